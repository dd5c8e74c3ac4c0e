"""The windows whose sum over all bin pairs has a closed form.

Contract: sums over the bins of one axis at a time, of the tile's outputs. Bins
are added in a loop over a few of them, because XLA for CPUs does not vectorize
a reduction along the first axis.

Axes: L bins and the empty one, N images, n a flat tile with its halo, m its
outputs.
"""

from collections.abc import Callable
import functools
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Array
from jaxtyping import Float

from sel_jax.entropy.divergences import Product
from sel_jax.entropy.forms.tiles.boxes import Span
from sel_jax.entropy.forms.tiles.masses import Masses
from sel_jax.entropy.forms.wanted import Wanted

# Bins that one loop adds.
_BINS = 8

Sums = tuple[Float[Array, ' m'], ...]


def _rows_summed(x: Float[Array, 'L m']) -> Float[Array, ' m']:
  """Sum over a few rows, in a loop along them."""
  return functools.reduce(jnp.add, list(x))


def _over_bins(
  share: Callable[..., Any],
  arrays: tuple[Float[Array, 'L _ n'], ...],
  span: Span,
) -> Any:
  """Sum over the bins of what a function makes of rows of each array.

  Args:
    share: some bins of each array, [L, N, m] -> pytree of [L, m].
    arrays: masses or slopes; their last bin is empty, and left out.
    span: the outputs.
  """
  start, stop = span
  levels = len(arrays[0]) - 1

  def some(first, count):
    rows = [
      lax.dynamic_slice(x, (first, 0, start), (count, x.shape[1], stop - start))
      for x in arrays
    ]
    return jax.tree.map(_rows_summed, share(*rows))

  def add(number, total):
    return jax.tree.map(jnp.add, total, some(number * _BINS, _BINS))

  loops, rest = divmod(levels, _BINS)
  # Outside the loop what does not fill one, or else its first bins.
  total = some(levels - rest, rest) if rest else some(0, _BINS)
  if loops:
    total = lax.fori_loop(0 if rest else 1, loops, add, total)
  return total


def moments(product: Product, masses: Masses, span: Span) -> tuple[Sums, Sums]:
  """Both axes' moments at the outputs."""

  def share(pair):
    return product.moments(pair[:, 0], pair[:, 1])

  first, second = (_over_bins(share, (x,), span) for x in masses)
  return first, second


def pulled(
  product: Product,
  masses: Masses,
  slopes: Masses,
  wanted: Wanted,
  cotangents: tuple[Sums, Sums],
  span: Span,
) -> tuple[list[Float[Array, ' m']], list[Float[Array, ' m']]]:
  """What cotangents of both axes' moments make of the wanted images' samples.

  Args:
    product: the closed form.
    masses: a_i and b_j of each image.
    slopes: derivatives of the wanted images' masses.
    wanted: those images.
    cotangents: the moments' own.
    span: the outputs.

  Returns:
    Of each wanted image, through the first axis and through the second.
  """

  def along(masses, slopes, cotangents):
    def share(pair, slope):
      images = pair[:, 0], pair[:, 1]
      sums, pull = wanted.vjp(lambda images: product.moments(*images), images)
      (back,) = pull(
        tuple(
          jnp.broadcast_to(g[None], x.shape)
          for g, x in zip(cotangents, sums, strict=True)
        )
      )
      return [g * slope[:, place] for place, g in enumerate(back)]

    return _over_bins(share, (masses, slopes), span)

  first, second = map(along, masses, slopes, cotangents)
  return first, second
