"""Sums over bins, one tile of one channel at a time: the form for CPUs.

Contract: samples are planes [B, C, H, W] in bin units; value and gradient equal
`rows` to rounding. A tile's planes stay in the caches, its masses live only
while it is worked on, and bin pairs that none of its pixels reaches are
skipped: memory is linear in pixels, time follows the picture's local range.

Planes are flat inside a tile, rows of a stride S one after another, so that a
shift by (dy, dx) is one by dy * S + dx and every loop is long.
"""

from collections.abc import Callable
import dataclasses
import functools
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp

from sel_jax.entropy import density
from sel_jax.entropy import neighborhood
from sel_jax.entropy.density import Samples
from sel_jax.entropy.divergences import Summand
from sel_jax.entropy.kernels import KERNELS
from sel_jax.entropy.spec import EntropySpec

Array = jax.Array
Factors = tuple[Array, Array]  # (a, b) of one image, each [L, n]

# Outputs of a tile are at most this square: a dozen such planes fit into 1 MB.
_SIDE = 64

# Bin pairs that hold less of a tile's mass than one pixel's times this many
# roundings are skipped.
_NEGLIGIBLE = 10.0


@dataclasses.dataclass(frozen=True)
class Grid:
  """How planes [H, W] are cut into `ny` x `nx` tiles.

  Attributes:
    ny: tiles along H.
    nx: tiles along W.
    height: outputs of a tile along H.
    width: outputs of a tile along W.
    reach: pixels of halo on each side.
  """

  ny: int
  nx: int
  height: int
  width: int
  reach: int

  @classmethod
  def over(cls, shape: tuple[int, int], reach: int) -> 'Grid':
    """The grid for planes of a shape."""
    counts = [-(-side // _SIDE) for side in shape]
    sides = [-(-s // n) for s, n in zip(shape, counts, strict=True)]
    return cls(*counts, *sides, reach)

  @property
  def stride(self) -> int:
    """Distance of a tile's rows in memory."""
    return self.width + 2 * self.reach

  @property
  def outputs(self) -> int:
    """Length of a flat output plane; `2 reach` columns are not used."""
    return self.height * self.stride

  def cut(self, planes: Array) -> Array:
    """[P, H, W] -> flat tiles with their halo, zeros beyond the border.

    Returns:
      [P * ny * nx, n].
    """
    r = self.reach
    bottom = self.ny * self.height - planes.shape[1] + r
    right = self.nx * self.width - planes.shape[2] + r
    wide = jnp.pad(planes, ((0, 0), (r, bottom), (r, right)))
    rows = jnp.arange(self.ny)[:, None] * self.height
    rows = rows + jnp.arange(self.height + 2 * r)[None]
    columns = jnp.arange(self.nx)[:, None] * self.width
    columns = columns + jnp.arange(self.stride)[None]
    tiles = wide[:, rows[:, None, :, None], columns[None, :, None, :]]
    count = planes.shape[0] * self.ny * self.nx
    tiles = tiles.reshape(count, (self.height + 2 * r) * self.stride)
    # Room for the last row's shifts to the right.
    return jnp.pad(tiles, ((0, 0), (0, 2 * r)))

  def join(self, tiles: Array, shape: tuple[int, int]) -> Array:
    """Flat outputs [P * ny * nx, K, outputs] -> [K, P, H, W]."""
    cells = (self.ny, self.nx, tiles.shape[1], self.height, self.stride)
    x = tiles.reshape(-1, *cells)[..., : self.width]
    x = x.transpose(3, 0, 1, 4, 2, 5)
    whole = (self.ny * self.height, self.nx * self.width)
    return x.reshape(*x.shape[:2], *whole)[:, :, : shape[0], : shape[1]]


def _apart(always: Array, function: Callable, *operands: Any) -> Any:
  """Computes `function` into memory of its own.

  XLA for CPUs drops optimization barriers and would then form a plane anew for
  each neighbour that reads it. A branch is a boundary that it respects;
  `always` is true, but not known to be before the program runs.
  """
  shapes = jax.eval_shape(function, *operands)

  def never(*_):
    return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)

  return lax.cond(always, function, never, *operands)


def _shifted_sum(
  x: Array, half: int, step: int, length: int, reach: int
) -> Array:
  """sum_{|d| <= half} x[m + (reach + d) * step] for m < length."""
  parts = [
    lax.slice_in_dim(x, (reach + d) * step, (reach + d) * step + length)
    for d in range(-half, half + 1)
  ]
  return sum(parts[1:], parts[0])


def _reached(factors: tuple[Factors, ...]) -> tuple[Array, Array]:
  """Per row of bins i, the interval [low, high) of bins j that hold mass.

  The mass of every pair over the whole tile is one matrix product.
  """
  mass = sum(
    jnp.einsum('in,jn->ij', a, b, precision='highest') for a, b in factors
  )
  levels, pixels = factors[0][0].shape
  limit = _NEGLIGIBLE * jnp.finfo(mass.dtype).eps / pixels * jnp.sum(mass)
  reached = jnp.logical_not(mass <= limit)  # NaN is reached, not skipped
  low = jnp.argmax(reached, axis=1)
  high = levels - jnp.argmax(reached[:, ::-1], axis=1)
  return low, jnp.where(jnp.any(reached, axis=1), high, low)


def _densities(always, windows, grid, rows, columns, scales):
  """p_W of each image for one bin pair: [image][window] of [outputs]."""
  length = grid.outputs + 2 * grid.reach

  def vertical(rows, columns):
    return [
      [
        _shifted_sum(a * b, w // 2, grid.stride, length, grid.reach)
        for w in windows
      ]
      for a, b in zip(rows, columns, strict=True)
    ]

  sums = _apart(always, vertical, rows, columns)
  return [
    [
      _shifted_sum(x, w // 2, 1, grid.outputs, grid.reach) * scale
      for x, w, scale in zip(image, windows, scales, strict=True)
    ]
    for image in sums
  ]


def _column(factors, j):
  return [lax.dynamic_index_in_dim(b, j, 0, keepdims=False) for _, b in factors]


def _put(rows, row, index):
  return lax.dynamic_update_index_in_dim(rows, row, index, 0)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def tile_sums(
  term: Callable[..., Array],
  windows: tuple[int, ...],
  grid: Grid,
  factors: tuple[Factors, ...],
  scales: Array,
) -> Array:
  """sum_{ij} term(p_W(i, j), ...) of one tile.

  Args:
    term: densities of each image -> summand, elementwise; hashable.
    windows: odd sizes.
    grid: the tile's sizes.
    factors: (a, b) of each image, [L, n] with n the flat tile and its halo.
    scales: 1/|W|, [windows, outputs]; not differentiated.

  Returns:
    [windows, outputs].
  """
  low, high = _reached(factors)
  always = high[0] >= 0

  def row(i, totals):
    rows = [a[i] for a, _ in factors]

    def cell(carry):
      j, totals = carry
      columns = _column(factors, j)
      found = _densities(always, windows, grid, rows, columns, scales)
      terms = [term(*p) for p in zip(*found, strict=True)]
      return j + 1, [t + x for t, x in zip(totals, terms, strict=True)]

    return lax.while_loop(lambda c: c[0] < high[i], cell, (low[i], totals))[1]

  zero = [jnp.zeros_like(scales[0]) for _ in windows]
  return jnp.stack(lax.fori_loop(0, low.size, row, zero))


def _forward(term, windows, grid, factors, scales):
  wanted = [any(x.perturbed for x in pair) for pair in factors]
  factors, scales = jax.tree.map(
    lambda x: x.value, (factors, scales), is_leaf=lambda x: hasattr(x, 'value')
  )
  # Whether a gradient is wanted is static; an empty tuple carries it.
  wanted = tuple(() if w else None for w in wanted)
  return tile_sums(term, windows, grid, factors, scales), (
    factors,
    scales,
    wanted,
  )


def _slopes(term, which, densities, cotangents):
  """Cotangents of each wanted image's densities: [wanted][window]."""
  pulled = []
  for p, g in zip(zip(*densities, strict=True), cotangents, strict=True):

    def of_wanted(*wanted, p=p):
      full = list(p)
      for k, x in zip(which, wanted, strict=True):
        full[k] = x
      return term(*full)

    _, pull = jax.vjp(of_wanted, *(p[k] for k in which))
    pulled.append(pull(g))
  return list(zip(*pulled, strict=True))


def _spread(always, windows, grid, slopes):
  """Transpose of the box sums: [window] of padded [outputs] -> [n]."""
  reach, stride = grid.reach, grid.stride
  length = grid.outputs + 2 * reach

  def horizontal(slopes):
    return [
      jnp.pad(_shifted_sum(x, w // 2, 1, length, reach), 2 * reach * stride)
      for x, w in zip(slopes, windows, strict=True)
    ]

  sums = [
    _shifted_sum(x, w // 2, stride, length + 2 * reach * stride, reach)
    for x, w in zip(_apart(always, horizontal, slopes), windows, strict=True)
  ]
  return sum(sums[1:], sums[0])


def _backward(term, windows, grid, residuals, cotangents):
  """Forms the planes again and pulls the cotangents through each."""
  factors, scales, wanted = residuals
  which = [k for k, w in enumerate(wanted) if w is not None]
  low, high = _reached(factors)
  always = high[0] >= 0
  # The unused columns take part in the shifts: nothing may come from them.
  used = jnp.arange(grid.outputs) % grid.stride < grid.width
  weights = jnp.where(used[None], cotangents * scales, 0)

  def row(i, carry):
    by_a, by_b = carry
    rows = [a[i] for a, _ in factors]

    def cell(carry):
      j, by_row, by_b = carry
      columns = _column(factors, j)
      found = _densities(always, windows, grid, rows, columns, scales)

      def slopes(found):
        pulled = _slopes(term, which, found, weights)
        return jax.tree.map(lambda x: jnp.pad(x, 2 * grid.reach), pulled)

      back = [
        _spread(always, windows, grid, image)
        for image in _apart(always, slopes, found)
      ]
      images = list(zip(which, back, strict=True))
      by_row = [g + x * columns[k] for g, (k, x) in zip(by_row, images)]
      by_b = [_put(g, g[j] + x * rows[k], j) for g, (k, x) in zip(by_b, images)]
      return j + 1, by_row, by_b

    start = (low[i], [jnp.zeros_like(rows[k]) for k in which], by_b)
    _, by_row, by_b = lax.while_loop(lambda c: c[0] < high[i], cell, start)
    return [_put(g, x, i) for g, x in zip(by_a, by_row)], by_b

  zeros = [[jnp.zeros_like(factors[k][n]) for k in which] for n in (0, 1)]
  by_a, by_b = lax.fori_loop(0, low.size, row, tuple(zeros))
  gradient = [jax.tree.map(jnp.zeros_like, pair) for pair in factors]
  for k, a, b in zip(which, by_a, by_b, strict=True):
    gradient[k] = (a, b)
  return tuple(gradient), jnp.zeros_like(scales)


tile_sums.defvjp(_forward, _backward, symbolic_zeros=True)


def _ends(samples, bandwidth, inside, spec):
  """First and last bin of the tile's own dictionary, for one axis.

  Beyond the kernel's tail the densities of both images fall off together, and
  one bin stands for all the rest of a sum of terms that merge.
  """
  accuracy = float(jnp.finfo(inside.dtype).eps)
  reach = KERNELS[spec.kernel].tail(accuracy) * bandwidth + 0.5
  samples = lax.stop_gradient(jnp.stack(samples))
  least = jnp.min(jnp.where(inside > 0, samples, jnp.inf))
  most = jnp.max(jnp.where(inside > 0, samples, -jnp.inf))
  ends = jnp.floor(least - reach), jnp.ceil(most + reach)
  return tuple(jnp.clip(end, 0, spec.levels - 1) for end in ends)


def _factors(samples, bandwidth, inside, spec, merge) -> tuple[Factors, ...]:
  """(a, b) of each image's flat (u, v), zero beyond the border."""
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


def _tile_totals(summand, spec, grid, tile):
  """Totals of every window of one tile: [windows, outputs]."""
  samples, bandwidth, inside, scales = tile
  merge = summand.merges and spec.mass == 'exact'
  factors = _factors(samples, bandwidth, inside, spec, merge)
  start = grid.reach * (grid.stride + 1)
  centre = jax.tree.map(
    lambda x: lax.slice_in_dim(x, start, start + grid.outputs, axis=1), factors
  )

  def sums(windows):
    return tile_sums(summand.term, windows, grid, factors, scales)

  return summand.totals(spec.windows, sums, tuple(zip(*centre, strict=True)))


def bin_sums(
  summand: Summand,
  samples: tuple[Samples, ...],
  bandwidth: Array,
  *,
  spec: EntropySpec,
) -> Array:
  """sum_{ij} of a summand, see `fused.bin_sums`."""
  batch, channels, *shape = samples[0][0].shape
  looped = summand.looped(spec.windows)
  grid = Grid.over(tuple(shape), max(looped, default=1) // 2)
  dtype = samples[0][0].dtype

  def cut(planes):
    return grid.cut(planes.reshape(-1, *shape))

  inside = cut(jnp.ones((1, *shape), dtype))
  scales = neighborhood.window_scales(tuple(shape), looped, spec.border, dtype)
  # Flat outputs with the same stride as the inputs.
  corner = grid.reach * (grid.stride + 1)
  scales = cut(scales)[:, corner : corner + grid.outputs]
  places = grid.ny * grid.nx
  scales = scales.reshape(len(looped), places, grid.outputs).swapaxes(0, 1)

  def every(x):  # the same for all planes
    return jnp.tile(x, (batch * channels,) + (1,) * (x.ndim - 1))

  tiles = (
    jax.tree.map(cut, samples),
    jnp.repeat(bandwidth, channels * places),
    every(inside),
    every(scales),
  )
  one = functools.partial(_tile_totals, summand, spec, grid)
  # Recomputed in the backward pass: no tile's masses outlive the tile.
  totals = lax.map(jax.checkpoint(one), tiles)
  totals = grid.join(totals, tuple(shape))
  return totals.reshape(len(spec.windows), batch, channels, *shape)
