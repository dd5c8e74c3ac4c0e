"""The windows whose sum over all bin pairs has a closed form.

Contract: sums over the bins of one axis at a time, of the tile's outputs. Bins
are read one by one, several in a loop: XLA for CPUs vectorizes neither a
reduction along the first axis nor the slices of a few bins of all images.

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
from sel_jax.entropy.forms.tiles.masses import bin_of
from sel_jax.entropy.forms.tiles.masses import Masses
from sel_jax.entropy.forms.wanted import Wanted

# Bins that one loop adds.
_BINS = 8

Sums = tuple[Float[Array, ' m'], ...]


def _over_bins(
  share: Callable[..., Any],
  arrays: tuple[Float[Array, 'L _ n'], ...],
  span: Span,
) -> Any:
  """Sum over the bins of what a function makes of one bin.

  Args:
    share: that bin of every image, a list of [m] for each array -> pytree of
      [m].
    arrays: masses or slopes; their last bin is empty, and left out.
    span: the outputs.
  """
  levels = len(arrays[0]) - 1

  def one(index):
    return share(
      *([bin_of(x, index, k, span) for k in range(x.shape[1])] for x in arrays)
    )

  def added(total, bins):
    add = functools.partial(jax.tree.map, jnp.add)
    return functools.reduce(add, map(one, bins), total)

  # Outside the loop what does not fill one, or else its first bins.
  first = levels % _BINS or min(_BINS, levels)
  total = added(one(0), range(1, first))

  def some(number, total):
    start = first + number * _BINS
    return added(total, (start + k for k in range(_BINS)))

  loops = (levels - first) // _BINS
  return lax.fori_loop(0, loops, some, total) if loops else total


def moments(product: Product, masses: Masses, span: Span) -> tuple[Sums, Sums]:
  """Both axes' moments at the outputs."""

  def share(pair):
    return product.moments(*pair)

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
      _, pull = wanted.vjp(lambda images: product.moments(*images), pair)
      (back,) = pull(cotangents)
      return [g * by for g, by in zip(back, slope, strict=True)]

    return _over_bins(share, (masses, slopes), span)

  first, second = map(along, masses, slopes, cotangents)
  return first, second
