"""Sums over bins, one tile of one channel at a time: the form for CPUs.

Contract: samples are planes [B, C, H, W] in bin units; value and gradient equal
`rows` to rounding. A tile's planes stay in the caches, its masses live only
while it is worked on, and bin pairs that none of its pixels reaches are
skipped: memory is linear in pixels, time follows the picture's local range.

A tile (`grid`) is `height` x `width` outputs in a halo of `reach` pixels:

      |<----------------- S ---------------->|
      +--------------------------------------+  ---
      |                 halo                 |   | reach
      |       +----------------------+       |  ---
      |       |                      |       |   |
      |       |       outputs        |       |   | height
      |       |                      |       |   |
      |       +----------------------+       |  ---
      |                                      |   | reach
      +--------------------------------------+  ---
      | reach |        width         | reach |

Its planes are flat, rows of a stride S one after another, so that a shift by
(dy, dx) is one by dy * S + dx and every loop is long (`boxes`):

      n   | row 0 | row 1 | row 2 |  ...  | last row | 2 reach |
          0       S      2S      3S

      m   | outputs, 2 reach unused | outputs, 2 reach unused | ... |
          reach * (S + 1)           + S                       + 2S

Of the L * L bin pairs each row i has an interval of bins j with mass
(`intervals`):

                j ->
                0  1  2  3  4  5  6  7        L = 8
      i     0   .  .  .  .  .  .  .  .        low = high: none
      |     1   .  .  o  o  o  .  .  .        [low, high) = [2, 5)
      v     2   .  .  .  o  o  o  o  .        [low, high) = [3, 7)

For each pair the densities are box means of the product of two masses
(`masses`, `boxes`); their summands are added up (`sums`).

Axes: B images, C channels, H and W pixels, P = B * C planes, T tiles of all
planes, K windows, L bins, n a flat tile with its halo, m its flat outputs.
"""

import functools
from typing import NamedTuple

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Array
from jaxtyping import Float

from sel_jax.entropy import neighborhood
from sel_jax.entropy.density import DensitySpec
from sel_jax.entropy.density import Planes
from sel_jax.entropy.divergences import Summand
from sel_jax.entropy.forms.tiles.grid import Grid
from sel_jax.entropy.forms.tiles.masses import factors_of
from sel_jax.entropy.forms.tiles.sums import tile_sums
from sel_jax.entropy.sampling import haloed
from sel_jax.entropy.sampling import Part

# Outputs of a tile are at most this square: a dozen such planes fit into 1 MB.
_SIDE = 64
# Beyond this reach a tile is half as large again: halos are most of its work.
_NEAR = 8


class _Tile(NamedTuple):
  """What the sum over one tile needs; stacked, what it needs over all.

  Attributes:
    samples: (u, v) of each image, flat.
    bandwidth: h of its image.
    inside: 1 for pixels that exist, 0 beyond the border.
    scales: 1/|W| of the windows that are looped over.
  """

  samples: tuple[tuple[Float[Array, '*T n'], Float[Array, '*T n']], ...]
  bandwidth: Float[Array, '*T']
  inside: Float[Array, '*T n']
  scales: Float[Array, '*T K m']


def _tiles(
  grid: Grid,
  looped: tuple[int, ...],
  samples: tuple[Planes, ...],
  bandwidth: Float[Array, ' B'],
  border: str,
  part: Part | None,
) -> _Tile:
  """All tiles of all planes, [T, ...]."""
  batch, channels, height, width = samples[0][0].shape
  dtype = samples[0][0].dtype

  def cut(planes):  # [b, c, H, W] -> [b, c, places, n]
    wide = (
      haloed(planes, grid.reach)
      if part is None
      else part.haloed(planes, grid.reach)
    )
    images, planes = wide.shape[:2]
    tiles = grid.cut(wide.reshape(images * planes, *wide.shape[2:]))
    return tiles.reshape(images, planes, grid.places, tiles.shape[-1])

  def flat(planes):  # [B, C, H, W] -> [T, n]
    return jax.lax.collapse(cut(planes), 0, 3)

  def every(x):  # [b, places, ...] -> [T, ...]
    whole = (batch, channels, *x.shape[1:])
    return jax.lax.collapse(jnp.broadcast_to(x[:, None], whole), 0, 3)

  scales = neighborhood.window_scales((height, width), looped, border, dtype)
  scales = grid.centre(cut(scales[None])).swapaxes(1, 2)
  return _Tile(
    jax.tree.map(flat, samples),
    jnp.repeat(bandwidth, channels * grid.places),
    every(cut(jnp.ones((1, 1, height, width), dtype))[:, 0]),
    every(scales),
  )


def _tile_totals(
  summand: Summand, spec: DensitySpec, grid: Grid, tile: _Tile
) -> Float[Array, 'K m']:
  """Totals of every window of one tile."""
  merge = summand.merges and spec.mass == 'exact'
  factors = factors_of(tile.samples, tile.bandwidth, tile.inside, spec, merge)
  centre = jax.tree.map(grid.centre, factors)

  def sums(windows):
    return tile_sums(summand.term, windows, grid, factors, tile.scales)

  first, second = zip(*centre, strict=True)
  return summand.totals(spec.windows, sums, (first, second))


def bin_sums(
  summand: Summand,
  samples: tuple[Planes, ...],
  bandwidth: Float[Array, ' B'],
  *,
  spec: DensitySpec,
  part: Part | None = None,
) -> Float[Array, 'K B C h w']:
  """sum_{ij} of a summand, see `fused.bin_sums`."""
  batch, channels, *shape = samples[0][0].shape
  height, width = shape if part is None else part.shape
  looped = summand.looped(spec.windows)
  reach = max(looped, default=1) // 2
  side = _SIDE if reach <= _NEAR else 3 * _SIDE // 2
  grid = Grid.over((height, width), reach, side, bordered=part is None)
  tiles = _tiles(grid, looped, samples, bandwidth, spec.border, part)
  one = functools.partial(_tile_totals, summand, spec, grid)
  # Recomputed in the backward pass: no tile's masses outlive the tile.
  totals = lax.map(jax.checkpoint(one), tiles)
  totals = grid.join(totals, (height, width))
  return totals.reshape(len(spec.windows), batch, channels, height, width)
