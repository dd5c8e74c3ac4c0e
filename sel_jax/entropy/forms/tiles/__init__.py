"""Sums over bins, one tile of one channel at a time: the form for CPUs.

Contract: samples are planes [B, C, H, W] in bin units; value and gradient equal
`rows` to rounding. A tile's planes stay in the caches, its masses live only
while it is worked on, and bin pairs that none of its pixels reaches are
skipped: memory is linear in pixels, time follows the picture's local range.

A tile (`grid`) is `height` x `width` outputs in a halo:

      |<----------------- S ---------------->|
      +--------------------------------------+  ---
      |                 halo                 |   | halo
      |       +----------------------+       |  ---
      |       |                      |       |   |
      |       |       outputs        |       |   | height
      |       |                      |       |   |
      |       +----------------------+       |  ---
      |                                      |   | halo
      +--------------------------------------+  ---
      | halo  |        width         | halo  |

Its planes are flat, rows of a stride S one after another, so that a shift by
(dy, dx) is one by dy * S + dx and every loop is long (`boxes`):

      n   | row 0 | row 1 | row 2 |  ...  | last row |
          0       S      2S      3S

      m   | outputs, the rest unused | outputs, the rest unused | ... |
          halo * (S + 1)             + S                        + 2S

The L * L bin pairs that hold mass are listed (`pairs`) and taken a few at a
time. For each the densities are box means of the product of two masses
(`masses`, `boxes`); their summands are added up (`sums`).

Forward, a tile's outputs are the windows' centres, and its halo is as wide as
the widest window reaches: R. The gradient is that of the tile's own pixels, of
which windows R around are made, which in turn reach R further: its halo is 2 R.
So no tile writes into another.

Axes: B images, C channels, H and W pixels, P = B * C planes, N images that are
compared, T tiles of all planes, K windows, L bins, n a flat tile with its halo,
m its flat outputs.
"""

from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
import functools
from typing import Any
from typing import NamedTuple

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Array
from jaxtyping import Float
from jaxtyping import Int
import numpy as np

from sel_jax.entropy import neighborhood
from sel_jax.entropy.density import DensitySpec
from sel_jax.entropy.density import Planes
from sel_jax.entropy.divergences import Product
from sel_jax.entropy.divergences import Summand
from sel_jax.entropy.forms.tiles.closed import moments
from sel_jax.entropy.forms.tiles.closed import pulled
from sel_jax.entropy.forms.tiles.fence import apart
from sel_jax.entropy.forms.tiles.grid import Grid
from sel_jax.entropy.forms.tiles.masses import mass_functions
from sel_jax.entropy.forms.tiles.masses import Masses
from sel_jax.entropy.forms.tiles.masses import masses_of
from sel_jax.entropy.forms.tiles.masses import slopes_of
from sel_jax.entropy.forms.tiles.sums import Gradient
from sel_jax.entropy.forms.tiles.sums import Slopes
from sel_jax.entropy.forms.tiles.sums import tile_gradients
from sel_jax.entropy.forms.tiles.sums import tile_sums
from sel_jax.entropy.forms.wanted import values
from sel_jax.entropy.forms.wanted import Wanted
from sel_jax.entropy.sampling import haloed
from sel_jax.entropy.sampling import Part

# Outputs of a tile are at most this square, 64x64 of sides of 128: what belongs
# to one pass over its loops stays in the caches.
_SIDE = 80
# Beyond this reach a tile is larger: halos are most of its work.
_NEAR = 8

# (u, v) of each image with what surrounds them.
_Images = tuple[Float[Array, 'P 2 _ _'], ...]


@dataclasses.dataclass(frozen=True)
class _Work:
  """What is summed, over which pixels.

  Attributes:
    summand: what is summed.
    spec: levels, kernel, mass, windows.
    shape: (h, w) of the pixels that are asked for.
    channels: C.
    around: pixels around those whose gradient is not zero either.
  """

  summand: Summand
  spec: DensitySpec
  shape: tuple[int, int]
  channels: int
  around: int

  @property
  def looped(self) -> tuple[int, ...]:
    """The windows without a closed form."""
    return self.summand.looped(self.spec.windows)

  @property
  def reach(self) -> int:
    """R: how far the widest of them reaches."""
    return max(self.looped, default=1) // 2

  @property
  def margin(self) -> int:
    """Pixels beyond those asked for that images are given with."""
    return self.around + 2 * self.reach

  def grown(self, grid: Grid) -> int:
    """Pixels around those asked for that a grid covers."""
    return (grid.shape[0] - self.shape[0]) // 2

  def grid(self, halo: int, around: int = 0) -> Grid:
    """The tiles, with pixels around those that are asked for."""
    side = _SIDE if self.reach <= _NEAR else 6 * _SIDE // 5
    height, width = (length + 2 * around for length in self.shape)
    bordered = self.around == 0
    return Grid.over((height, width), halo, side, bordered=bordered)


def _cropped(
  planes: Float[Array, '... _ _'], by: int
) -> Float[Array, '... _ _']:
  height, width = planes.shape[-2:]
  return planes[..., by : height - by, by : width - by]


class _Tile(NamedTuple):
  """One tile's samples, masses, and the windows that are looped over.

  Attributes:
    samples: u and v of each image, [N, n].
    bandwidth: h of its image.
    functions: what made the masses, see `mass_functions`.
    masses: a_i and b_j of each image.
    scales: 1/|W| of each window.
  """

  samples: tuple[Float[Array, 'N n'], Float[Array, 'N n']]
  bandwidth: Float[Array, '']
  functions: list[Callable[..., Float[Array, 'L N n']]]
  masses: Masses
  scales: Float[Array, 'K n']

  def slopes(self, wanted: Wanted, bandwidth: bool) -> Slopes:
    """Derivatives of the wanted images' masses."""
    chosen = np.asarray(wanted.images)
    u, v = (x[chosen] for x in self.samples)
    by_samples, by_h = slopes_of(self.functions, (u, v), self.bandwidth)
    return Slopes(by_samples, by_h if bandwidth else None)


def _over_tiles(
  work: _Work,
  grid: Grid,
  images: _Images,
  bandwidth: Float[Array, ' B'],
  border: Float[Array, 'b F _ _'],
  function: Callable[[_Tile, Int[Array, ''], Int[Array, '']], Any],
) -> Any:
  """What a function makes of every tile, of (tile, its plane, its place)."""
  merge = work.summand.merges and work.spec.mass == 'exact'
  crop = work.margin - work.grown(grid) - grid.halo
  planes = grid.widened(_cropped(jnp.stack(images, axis=1), crop))
  border = grid.widened(_cropped(border, crop))

  def one(number):
    plane, place = number // grid.places, number % grid.places
    image = plane // work.channels
    cut = grid.tile(planes, plane, place)
    edge = grid.tile(border, image if len(border) > 1 else 0 * image, place)
    samples, h = (cut[:, 0], cut[:, 1]), bandwidth[image]
    functions = mass_functions(samples, h, edge[0], work.spec, merge)
    # Several loops read them: their last steps are not repeated in each.
    masses = apart(number >= 0, lambda: masses_of(functions, samples, h))
    tile = _Tile(samples, h, functions, masses, edge[1:])
    return function(tile, plane, place)

  return lax.map(one, jnp.arange(len(planes) * grid.places))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _totals(
  work: _Work,
  images: _Images,
  bandwidth: Float[Array, ' B'],
  border: Float[Array, 'b F _ _'],
) -> Float[Array, 'K P h w']:
  """Totals of every window.

  Args:
    work: what is summed.
    images: (u, v) of each image, with the work's margin.
    bandwidth: h of each image.
    border: 1 for pixels that exist, then 1/|W| of the windows that are looped
      over; of each image, or one for all; not differentiated.

  Returns:
    Of the pixels that are asked for.
  """
  grid = work.grid(work.reach)

  def one(tile, plane, place):
    del plane, place
    looped = work.looped
    term = work.summand.term
    found = tile_sums(term, looped, grid, tile.masses, tile.scales)
    totals = dict(zip(looped, found, strict=True))
    product = work.summand.product
    if product is not None and len(looped) < len(work.spec.windows):
      closed = product.finish(*moments(product, tile.masses, grid.outputs))
      totals = {w: totals.get(w, closed) for w in work.spec.windows}
    return jnp.stack([totals[w] for w in work.spec.windows])

  totals = _over_tiles(work, grid, images, bandwidth, border, one)
  return jnp.moveaxis(grid.join(totals), 1, 0)


def _forward(
  work: _Work, images: Any, bandwidth: Any, border: Any
) -> tuple[Float[Array, 'K P h w'], Any]:
  """The totals, and what the backward rule needs; see `wanted` on operands."""
  of_h = Wanted.among((bandwidth,))
  wanted = Wanted.among(images)
  if of_h.images:  # the masses of all images are made with it
    wanted = Wanted(tuple(range(len(images))))
  images, bandwidth, border = values((images, bandwidth, border))
  totals = _totals(work, images, bandwidth, border)
  return totals, (images, bandwidth, border, wanted, of_h)


def _closed_gradients(
  product: Product,
  grid: Grid,
  tile: _Tile,
  slopes: Slopes,
  wanted: Wanted,
  weight: Float[Array, ' m'],
) -> list[Gradient]:
  """What comes through the windows that have a closed form."""
  span = grid.outputs
  sums = moments(product, tile.masses, span)
  cotangents = jax.vjp(product.finish, *sums)[1](weight)

  def through(slopes):
    return pulled(product, tile.masses, slopes, wanted, cotangents, span)

  by_u, by_v = through(slopes.samples)
  if slopes.bandwidth is None:
    by_h = [None for _ in by_u]
  else:
    by_h = list(map(jnp.add, *through(slopes.bandwidth)))
  return [Gradient(*x) for x in zip(by_u, by_v, by_h, strict=True)]


def _backward(
  work: _Work, residuals: Any, cotangents: Float[Array, 'K P h w']
) -> tuple[_Images, Float[Array, ' B'], Float[Array, 'b F _ _']]:
  """Forms the densities again and pulls the cotangents through each."""
  images, bandwidth, border, wanted, of_h = residuals
  if not wanted.images:
    return jax.tree.map(jnp.zeros_like, (images, bandwidth, border))
  grid = work.grid(2 * work.reach, work.around)
  margin = [(work.margin,) * 2] * 2
  weights = jnp.pad(jnp.moveaxis(cotangents, 0, 1), [(0, 0)] * 2 + margin)
  weights = grid.widened(weights)
  windows = work.spec.windows
  loops = np.asarray([w in work.looped for w in windows])
  start, stop = grid.outputs

  def one(tile, plane, place):
    slopes = tile.slopes(wanted, bool(of_h.images))
    weight = grid.tile(weights, plane, place)
    gradients = tile_gradients(
      work.summand.term,
      work.looped,
      grid,
      tile.masses,
      slopes,
      wanted,
      tile.scales,
      weight[loops],
    )
    product = work.summand.product
    if product is not None and not loops.all():
      closed = jnp.sum(weight[~loops, start:stop], axis=0)
      through = _closed_gradients(product, grid, tile, slopes, wanted, closed)
      gradients = jax.tree.map(jnp.add, gradients, through)
    return jnp.stack(jax.tree.leaves(gradients))

  found = _over_tiles(work, grid, images, bandwidth, border, one)
  found = grid.join(found)  # [P, features of each wanted image, H, W]
  found = found.reshape(len(found), len(wanted.images), -1, *found.shape[2:])
  around = [(0, 0)] * 2 + [(2 * work.reach,) * 2] * 2
  chosen = [
    jnp.pad(found[:, place, :2], around) for place in range(len(wanted.images))
  ]
  by_h = jnp.zeros_like(bandwidth)
  if of_h.images:
    by_h = jnp.sum(found[:, :, 2].reshape(len(bandwidth), -1), axis=1)
  by_images = wanted.complete(chosen, images)
  return by_images, by_h, jnp.zeros_like(border)


_totals.defvjp(_forward, _backward, symbolic_zeros=True)


def bin_sums(
  summand: Summand,
  samples: tuple[Planes, ...],
  bandwidth: Float[Array, ' B'],
  *,
  spec: DensitySpec,
  part: Part | None = None,
) -> Float[Array, 'K B C h w']:
  """sum_{ij} of a summand, see `fused.bin_sums`."""
  batch, channels, *whole = samples[0][0].shape
  height, width = whole if part is None else part.shape
  # One that is given twice is summed once.
  distinct = tuple(dict.fromkeys(spec.windows))
  places = [distinct.index(window) for window in spec.windows]
  spec = dataclasses.replace(spec, windows=distinct)
  looped = summand.looped(distinct)
  reach = max(looped, default=1) // 2
  around = 0 if part is None else reach
  work = _Work(summand, spec, (height, width), channels, around)

  def wide(planes):  # [b, F, H, W] -> [b, F, h and margin, w and margin]
    if part is None:
      return haloed(planes, work.margin)
    return part.haloed(planes, work.margin)

  def image(planes):
    both = wide(jnp.concatenate(planes, axis=1))
    both = both.reshape(batch, 2, channels, *both.shape[2:]).swapaxes(1, 2)
    return both.reshape(batch * channels, *both.shape[2:])

  dtype = samples[0][0].dtype
  inside = jnp.ones((1, *whole), dtype)
  scales = neighborhood.window_scales(tuple(whole), looped, spec.border, dtype)
  border = wide(jnp.concatenate([inside, scales])[None])
  images = tuple(image(planes) for planes in samples)
  totals = _totals(work, images, bandwidth, border)[np.asarray(places)]
  return totals.reshape(len(places), batch, channels, height, width)
