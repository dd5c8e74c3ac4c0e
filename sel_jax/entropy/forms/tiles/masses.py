"""The masses of a tile's pixels, with a dictionary of bins of the tile's own.

Contract: zero beyond the border; what a shorter dictionary merges is below one
rounding of the sum.

Axes: L bins, n a flat tile with its halo.
"""

import functools

from jax import lax
import jax.numpy as jnp
from jaxtyping import Array
from jaxtyping import Float

from sel_jax.entropy import density
from sel_jax.entropy.density import DensitySpec
from sel_jax.entropy.kernels import KERNELS

Flat = tuple[Float[Array, ' n'], Float[Array, ' n']]  # (u, v) of one image
Factors = tuple[Float[Array, 'L n'], Float[Array, 'L n']]  # its (a, b)


def _ends(
  samples: tuple[Float[Array, ' n'], ...],
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
  stacked = lax.stop_gradient(jnp.stack(samples))
  # A broken pixel must not move the others' ends.
  counts = (inside[None] > 0) & ~jnp.isnan(stacked)
  least = jnp.min(jnp.where(counts, stacked, jnp.inf))
  most = jnp.max(jnp.where(counts, stacked, -jnp.inf))
  ends = jnp.floor(least - reach), jnp.ceil(most + reach)
  first, last = (jnp.clip(end, 0, spec.levels - 1) for end in ends)
  return jnp.minimum(first, last), last  # where every pixel is broken


def factors_of(
  samples: tuple[Flat, ...],
  bandwidth: Float[Array, ''] | float,
  inside: Float[Array, ' n'],
  spec: DensitySpec,
  merge: bool,
) -> tuple[Factors, ...]:
  """The masses a_i(u) and b_j(v) of each image, zero beyond the border.

  Args:
    samples: each image's (u, v), in bin units.
    bandwidth: h in bin units.
    inside: 1 for pixels that exist, 0 beyond the border.
    spec: levels, kernel, mass.
    merge: the bins beyond the tile's own range are one bin.

  Returns:
    (a, b) of each image.
  """
  index = jnp.arange(spec.levels, dtype=inside.dtype)[:, None]
  factors = []
  for axis, x in enumerate(zip(*samples, strict=True)):
    ends = _ends(x, bandwidth, inside, spec) if merge else None
    masses = functools.partial(
      density.axis_masses,
      index=index,
      bandwidth=bandwidth,
      spec=spec,
      ends=ends,
    )
    factors.append([masses(one[None])[axis] * inside[None] for one in x])
  return tuple(zip(*factors, strict=True))
