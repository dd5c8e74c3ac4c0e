"""The masses of a tile's pixels, with a dictionary of bins of the tile's own.

Contract: zero beyond the border, and in one more bin than there are; what a
shorter dictionary merges is below one rounding of the sum.

Axes: L bins and the empty one, N images, n a flat tile with its halo.
"""

from collections.abc import Callable
import functools
from typing import NamedTuple

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Array
from jaxtyping import Float
from jaxtyping import Int

from sel_jax.entropy import density
from sel_jax.entropy.density import DensitySpec
from sel_jax.entropy.forms.tiles.boxes import Span
from sel_jax.entropy.kernels import KERNELS

Samples = Float[Array, 'N n']  # u or v of each image, in bin units


class Masses(NamedTuple):
  """Something of both axes: masses a_i(u) and b_j(v), or their slopes."""

  first: Float[Array, 'L N n']
  second: Float[Array, 'L N n']


def _ends(
  samples: Samples,
  bandwidth: Float[Array, ''] | float,
  inside: Float[Array, ' n'],
  spec: DensitySpec,
) -> tuple[Float[Array, ''], Float[Array, '']]:
  """First and last bin of the tile's own dictionary, for one axis.

  Beyond the kernel's tail the densities of both images fall off together, and
  one bin stands for all the rest of a sum of terms that merge.
  """
  accuracy = float(jnp.finfo(inside.dtype).eps)
  reach = KERNELS[spec.kernel].tail(accuracy) * bandwidth + 0.5
  # A broken pixel must not move the others' ends.
  counts = (inside[None] > 0) & ~jnp.isnan(samples)
  least = jnp.min(jnp.where(counts, samples, jnp.inf))
  most = jnp.max(jnp.where(counts, samples, -jnp.inf))
  ends = jnp.floor(least - reach), jnp.ceil(most + reach)
  first, last = (jnp.clip(end, 0, spec.levels - 1) for end in ends)
  return jnp.minimum(first, last), last  # where every pixel is broken


def mass_functions(
  samples: tuple[Samples, Samples],
  bandwidth: Float[Array, ''],
  inside: Float[Array, ' n'],
  spec: DensitySpec,
  merge: bool,
) -> list[Callable[..., Float[Array, 'L N n']]]:
  """For each axis, what makes masses of samples and a bandwidth.

  Args:
    samples: u and v of each image.
    bandwidth: h in bin units.
    inside: 1 for pixels that exist, 0 beyond the border.
    spec: levels, kernel, mass.
    merge: the bins beyond the tile's own range are one bin.

  Returns:
    Two functions of ([N, n], h), elementwise in the samples.
  """
  index = jnp.arange(spec.levels + 1, dtype=inside.dtype)[:, None, None]

  def masses(axis, ends, x, h):
    found = density.axis_masses(x[None], index, h, spec=spec, ends=ends)[axis]
    return jnp.where(index < spec.levels, found * inside[None, None], 0)

  ends = [_ends(x, bandwidth, inside, spec) if merge else None for x in samples]
  return [functools.partial(masses, n, end) for n, end in enumerate(ends)]


def masses_of(
  functions: list[Callable[..., Float[Array, 'L N n']]],
  samples: tuple[Samples, Samples],
  bandwidth: Float[Array, ''],
) -> Masses:
  """a_i(u) and b_j(v) of each image, see `mass_functions`."""
  pairs = zip(functions, samples, strict=True)
  return Masses(*(function(x, bandwidth) for function, x in pairs))


def bin_of(
  values: Float[Array, 'L N n'],
  index: Int[Array, ''] | int,
  image: int,
  span: Span,
) -> Float[Array, ' m']:
  """One bin of one image within a span: what XLA for CPUs reads at full speed.

  Args:
    values: masses or slopes of one axis.
    index: the bin.
    image: which.
    span: first pixel, and the one behind the last.
  """
  start, stop = span
  first = (jnp.asarray(index), jnp.asarray(image), jnp.asarray(start))
  return lax.dynamic_slice(values, first, (1, 1, stop - start)).reshape(-1)


def slopes_of(
  functions: list[Callable[..., Float[Array, 'L N n']]],
  samples: tuple[Samples, Samples],
  bandwidth: Float[Array, ''],
) -> tuple[Masses, Masses]:
  """Derivatives of the masses by their samples, and by the bandwidth."""
  still = jnp.zeros_like(bandwidth)

  def by_samples(function, x):
    tangents = jnp.ones_like(x), still
    return jax.jvp(function, (x, bandwidth), tangents)[1]

  def by_bandwidth(function, x):
    tangents = jnp.zeros_like(x), still + 1
    return jax.jvp(function, (x, bandwidth), tangents)[1]

  pairs = list(zip(functions, samples, strict=True))
  return (
    Masses(*(by_samples(*pair) for pair in pairs)),
    Masses(*(by_bandwidth(*pair) for pair in pairs)),
  )
