"""The sums over the bin pairs of one tile, and their gradient.

Contract: pairs are taken a few at a time, and no plane outlives them. The
gradient is that of the tile's own pixels, of which all outputs around them are
made: their densities are formed again, for as far as they reach.

Axes: K windows, L bins and the empty one, N images, n a flat tile with its
halo, m its outputs, G pairs taken at a time, k a span.
"""

from collections.abc import Callable
from collections.abc import Sequence
import functools
from typing import Any
from typing import NamedTuple

from jax import lax
import jax.numpy as jnp
from jaxtyping import Array
from jaxtyping import Bool
from jaxtyping import Float
from jaxtyping import Int

from sel_jax.entropy.forms.tiles.boxes import formed
from sel_jax.entropy.forms.tiles.boxes import grown
from sel_jax.entropy.forms.tiles.boxes import line_spread
from sel_jax.entropy.forms.tiles.boxes import line_sums
from sel_jax.entropy.forms.tiles.boxes import Read
from sel_jax.entropy.forms.tiles.boxes import reader
from sel_jax.entropy.forms.tiles.boxes import Span
from sel_jax.entropy.forms.tiles.fence import apart
from sel_jax.entropy.forms.tiles.grid import Grid
from sel_jax.entropy.forms.tiles.masses import bin_of
from sel_jax.entropy.forms.tiles.masses import Masses
from sel_jax.entropy.forms.tiles.pairs import held_pairs
from sel_jax.entropy.forms.wanted import Wanted

# Numbers of a plane of all pairs taken at a time: so many that starting a loop
# on two cores is little of it, so few that its planes stay in the last cache.
_NUMBERS = 3 * 2**17
# Bounds of these pairs.
_FEWEST, _MOST = 8, 48
# Pairs whose share one loop adds: it reads up to ten planes for each.
_SHARES = 8


class _Group(NamedTuple):
  """Some of a tile's pairs: bin i and bin j of each."""

  first: Int[Array, ' G']
  second: Int[Array, ' G']


class Gradient(NamedTuple):
  """What an image's total owes to its pixels.

  Attributes:
    u: by own values.
    v: by neighbour means.
    bandwidth: by the bandwidth, each pixel's part; if it is wanted.
  """

  u: Float[Array, ' m']
  v: Float[Array, ' m']
  bandwidth: Float[Array, ' m'] | None


def _over_groups(
  masses: Masses,
  step: Callable[[Bool[Array, ''], _Group, Any], Any],
  carry: Any,
) -> Any:
  """What `step` makes of a carry, over all pairs that hold mass."""
  levels, length = len(masses.first) - 1, masses.first.shape[-1]
  whole = _NUMBERS // length // _SHARES * _SHARES
  size = min(max(_FEWEST, min(whole, _MOST)), levels**2)
  pairs = held_pairs(masses.first, masses.second, size)

  def body(number, carry):
    group = _Group(
      *(
        lax.dynamic_slice_in_dim(bins, number * size, size)
        for bins in (pairs.first, pairs.second)
      )
    )
    return step(pairs.always, group, carry)

  return lax.fori_loop(0, -(-pairs.count // size), body, carry)


def _shares(
  always: Bool[Array, ''],
  size: int,
  add: Callable[[Any, int], Any],
  carry: Any,
) -> Any:
  """Adds the share of each pair of a group, several in one loop."""
  for start in range(0, size, _SHARES):
    rows = range(start, min(start + _SHARES, size))
    some = lambda carry, rows=rows: functools.reduce(add, rows, carry)
    last = rows.stop == size
    carry = some(carry) if last else apart(always, some, carry)
  return carry


def _products(masses: Masses, group: _Group) -> Read:
  """Reads a_i b_j of each image, [G, N, k]."""

  def chosen(values, bins):
    return values.at[bins].get(
      mode='promise_in_bounds', wrap_negative_indices=False
    )

  def read(span, row=None):
    a = chosen(masses.first, group.first)
    b = chosen(masses.second, group.second)
    return reader(a * b, 0)(span, row)

  return read


def _densities(
  sums: Read, window: int, always: Bool[Array, ''], span: Span
) -> Read:
  """Reads the box sums of each image, of sums along the columns."""
  return line_sums(always, sums, {window: span}, 1, form=False)[window]


def tile_sums(
  term: Callable[..., Any],
  windows: tuple[int, ...],
  grid: Grid,
  masses: Masses,
  scales: Float[Array, 'K n'],
) -> list[Float[Array, ' m']]:
  """sum_{ij} term(p_W(i, j), ...) of one tile, for every window.

  Args:
    term: densities of each image -> summand, elementwise.
    windows: odd sizes.
    grid: the tile's sizes.
    masses: a_i and b_j of each image.
    scales: 1/|W|.

  Returns:
    Totals of every window.
  """
  if not windows:
    return []
  span = grid.outputs
  wide = {w: grown(span, w // 2) for w in windows}
  images = range(masses.first.shape[1])

  def step(always, group, totals):
    source = _products(masses, group)
    columns = line_sums(always, source, wide, grid.stride, form=True)
    added = []
    for window, scale, total in zip(windows, scales, totals, strict=True):
      sums = _densities(columns[window], window, always, span)

      def add(total, row, sums=sums, scale=scale):
        p = sums(span, row) * reader(scale, 0)(span)[None]
        return total + term(*(p[image] for image in images))

      added.append(_shares(always, group.first.size, add, total))
    return added

  zero = jnp.zeros(span[1] - span[0], scales.dtype)
  return _over_groups(masses, step, [zero for _ in windows])


def _slopes(
  term: Callable[..., Any],
  wanted: Wanted,
  p: Float[Array, 'G N k'],
  weights: Float[Array, ' k'],
) -> list[Float[Array, 'G k']]:
  """Cotangents of the wanted images' densities."""
  images = tuple(p[:, image] for image in range(p.shape[1]))
  _, pull = wanted.vjp(lambda images: term(*images), images)
  return list(pull(jnp.broadcast_to(weights[None], images[0].shape))[0])


class Slopes(NamedTuple):
  """Derivatives of the wanted images' masses.

  Attributes:
    samples: by u and by v.
    bandwidth: by the bandwidth; if it is wanted.
  """

  samples: Masses
  bandwidth: Masses | None


def _pulled(
  group: _Group,
  masses: Masses,
  slopes: Slopes,
  wanted: Wanted,
  span: Span,
  spread: Sequence[Read],
) -> Callable[[list[Gradient], int], list[Gradient]]:
  """Adds what the slopes of one pair's products make of the pixels'."""

  def add(gradients, row):
    i, j = group.first[row], group.second[row]

    def one(old, place, image):
      read = functools.partial(bin_of, span=span)
      a, b = read(masses.first, i, image), read(masses.second, j, image)
      back = spread[place](span, row)
      by_u = read(slopes.samples.first, i, place)
      by_v = read(slopes.samples.second, j, place)
      by_h = old.bandwidth
      if by_h is not None and slopes.bandwidth is not None:
        by_h = by_h + back * (
          b * read(slopes.bandwidth.first, i, place)
          + a * read(slopes.bandwidth.second, j, place)
        )
      return Gradient(old.u + back * b * by_u, old.v + back * a * by_v, by_h)

    return [
      one(old, place, image)
      for place, (old, image) in enumerate(
        zip(gradients, wanted.images, strict=True)
      )
    ]

  return add


def _spread_group(
  term: Callable[..., Any],
  windows: tuple[int, ...],
  grid: Grid,
  wanted: Wanted,
  source: Read,
  always: Bool[Array, ''],
  scales: Float[Array, 'K n'],
  weights: Float[Array, 'K n'],
) -> list[Read]:
  """Reads the slopes of each wanted image's products, [G, k]."""
  out = grid.outputs
  # From the pixels back to all that they are part of, and what that is made of.
  rows = {w: grown(out, w // 2 * grid.stride) for w in windows}
  boxes = {w: grown(rows[w], w // 2) for w in windows}
  wide = {w: grown(boxes[w], w // 2) for w in windows}
  columns = line_sums(always, source, wide, grid.stride, form=True)
  across: list[dict[int, Read]] = [{} for _ in wanted.images]
  for k, window in enumerate(windows):
    span = boxes[window]
    sums = _densities(columns[window], window, always, span)
    scale = reader(scales[k], 0)(span)
    weight = reader(weights[k], 0)(span) * scale

    def slopes(sums=sums, span=span, scale=scale, weight=weight):
      return _slopes(term, wanted, sums(span) * scale[None, None], weight)

    for place, found in enumerate(apart(always, slopes)):
      read = {window: reader(found, span[0])}
      read = line_spread(always, read, rows[window], 1)
      # Several sums are made of the widest window's, one of the others'.
      if window == max(windows):
        read = formed(always, read, rows[window])
      across[place][window] = read
  return [line_spread(always, reads, out, grid.stride) for reads in across]


def tile_gradients(
  term: Callable[..., Any],
  windows: tuple[int, ...],
  grid: Grid,
  masses: Masses,
  slopes: Slopes,
  wanted: Wanted,
  scales: Float[Array, 'K n'],
  weights: Float[Array, 'K n'],
) -> list[Gradient]:
  """Gradient of the tile's pixels, see `tile_sums`.

  Args:
    term: see `tile_sums`, as all that is not named.
    windows: odd sizes.
    grid: the tile's sizes; its halo holds all that its pixels are part of, and
      what that is made of.
    masses: a_i and b_j of each image.
    slopes: their derivatives.
    wanted: the images whose gradient is wanted.
    scales: 1/|W|.
    weights: cotangents of the totals.

  Returns:
    Of each wanted image.
  """
  span = grid.outputs

  def step(always, group, gradients):
    source = _products(masses, group)
    spread = _spread_group(
      term, windows, grid, wanted, source, always, scales, weights
    )
    add = _pulled(group, masses, slopes, wanted, span, spread)
    return _shares(always, group.first.size, add, gradients)

  zero = jnp.zeros(span[1] - span[0], scales.dtype)
  by_h = None if slopes.bandwidth is None else zero
  start = [Gradient(zero, zero, by_h) for _ in wanted.images]
  if not windows:
    return start
  return _over_groups(masses, step, start)
