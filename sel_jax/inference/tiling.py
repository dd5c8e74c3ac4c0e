"""Photographs larger than the device: overlapping tiles, blended at every step.

Contract: the photograph and the sampler's state stay on the host as [H, W, 3]
float32; the device sees tiles of one fixed shape. x_0_hat is blended before
each step (MultiDiffusion, arXiv 2302.08113), so tiles cannot drift apart.
"""

from collections.abc import Callable
from collections.abc import Iterator
import dataclasses
import functools
import math
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float
from jaxtyping import Int
import numpy as np

from sel_jax.arrays import RandomKey
from sel_jax.arrays import Rgb
from sel_jax.diffusion import IRSDE
from sel_jax.diffusion.samplers import Coefficients
from sel_jax.diffusion.samplers import combine
from sel_jax.diffusion.samplers import draw_key
from sel_jax.diffusion.samplers import restrict
from sel_jax.diffusion.samplers import row_noise
from sel_jax.eval_section import MULTIPLE

_BAND = 64
_BAND_WIDTH = 512

Corner = tuple[int, int]
# (params, x [N, h, w, 3], mu, t) -> x_0_hat [N, h, w, 3].
Estimate = Callable[[Any, np.ndarray, np.ndarray, int], jax.Array]


def side_multiple(model: nn.Module) -> int:
  """The least common multiple of `MULTIPLE` and the network's own, if any.

  Sides of what the network sees are multiples of it.
  """
  return math.lcm(MULTIPLE, getattr(model, 'multiple', 1))


def round_up(side: int, multiple: int) -> int:
  """The next multiple that is not below `side`."""
  return -(-side // multiple) * multiple


def tile_starts(
  length: int, tile: int, overlap: int, *, multiple: int = MULTIPLE
) -> Int[np.ndarray, ' N']:
  """Where tiles begin along one side, evenly spread, overlapping enough.

  Args:
    length: the side's length, a multiple of `multiple`, at least `tile`.
    tile: side of a tile, a multiple of `multiple`.
    overlap: least overlap of neighbours, below `tile`.
    multiple: sides are multiples of it; see `side_multiple`.

  Returns:
    Multiples of `multiple` from 0 to length - tile.
  """
  span = (length - tile) // multiple
  step = max((tile - overlap) // multiple, 1)
  count = math.ceil(span / step) + 1
  return np.linspace(0, span, count).round().astype(int) * multiple


def tile_weights(
  length: int, tile: int, starts: Int[np.ndarray, ' N']
) -> Float[np.ndarray, 'N tile']:
  """Blending weights along one side; they sum to one at every pixel.

  Each is a squared sine over its tile, never zero, divided by the sum.

  Args:
    length: the side's length.
    tile: side of a tile.
    starts: from `tile_starts`.

  Returns:
    [len(starts), tile] float32.
  """
  bump = np.sin(np.pi * (np.arange(tile) + 0.5) / tile) ** 2 + 1e-6
  total = np.zeros(length)
  for start in starts:
    total[start : start + tile] += bump
  rows = [bump / total[start : start + tile] for start in starts]
  return np.stack(rows).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Tiling:
  """Tiles over a photograph of one size.

  Attributes:
    size: height and width, rounded up to the multiple.
    tile: height and width of a tile.
    rows: where tiles begin downwards.
    columns: where they begin to the right.
    row_weights: [len(rows), tile[0]].
    column_weights: [len(columns), tile[1]].
  """

  size: tuple[int, int]
  tile: tuple[int, int]
  rows: Int[np.ndarray, ' R']
  columns: Int[np.ndarray, ' C']
  row_weights: Float[np.ndarray, 'R h']
  column_weights: Float[np.ndarray, 'C w']

  @classmethod
  def create(
    cls,
    height: int,
    width: int,
    tile: int,
    overlap: int,
    *,
    multiple: int = MULTIPLE,
  ) -> 'Tiling':
    """Covers a photograph; a side shorter than the tile has a shorter tile."""
    size = round_up(height, multiple), round_up(width, multiple)
    sides = min(size[0], tile), min(size[1], tile)
    starts = [
      tile_starts(n, side, overlap, multiple=multiple)
      for n, side in zip(size, sides)
    ]
    weights = [
      tile_weights(n, side, begin)
      for n, side, begin in zip(size, sides, starts)
    ]
    return cls(size, sides, *starts, *weights)

  def __len__(self) -> int:
    """Number of tiles."""
    return len(self.rows) * len(self.columns)

  def groups(self, size: int) -> Iterator[list[tuple[int, int]]]:
    """Tiles as (row, column) numbers, `size` at a time."""
    pairs = [
      (i, j) for i in range(len(self.rows)) for j in range(len(self.columns))
    ]
    for start in range(0, len(pairs), size):
      yield pairs[start : start + size]

  def window(self, i: int, j: int) -> tuple[slice, slice]:
    """Where tile (i, j) lies."""
    y, x = self.rows[i], self.columns[j]
    return slice(y, y + self.tile[0]), slice(x, x + self.tile[1])

  def weight(self, i: int, j: int) -> Float[np.ndarray, 'h w 1']:
    """[tile, tile, 1] blending weights of tile (i, j)."""
    product = np.outer(self.row_weights[i], self.column_weights[j])
    return product[:, :, None]


def _mirrored(span: slice, length: int) -> Int[np.ndarray, ' N']:
  """Indices of a span that may reach beyond the photograph, mirrored there."""
  index = np.arange(span.start, span.stop) % (2 * length)
  return np.minimum(index, 2 * length - 1 - index)


@functools.partial(jax.jit, static_argnames='width')
def _band_noise(key, n, first, width):
  own = draw_key(key, n, 0)
  return row_noise(own, first + jnp.arange(_BAND), width, 3)


@jax.jit
def _advance(sde, key, n, first, step, t, limit, x, mu, clean, previous):
  """One step of a band of rows: (x_s, the x_0_hat that was used)."""
  clean = jnp.where(limit > 0, restrict(clean, jnp.maximum(limit, 1)), clean)
  noise = _band_noise(key, n, first, x.shape[1])
  x = combine(sde, step, t, x, mu, clean, previous, noise)
  return x, clean


@dataclasses.dataclass(frozen=True)
class TiledSampler:
  """Runs a sampler over a photograph tile by tile.

  Attributes:
    estimate: the network's x_0_hat of a batch of tiles, not clipped.
    sde: the diffusion.
    steps: the sampler's coefficients, leaves [S].
    times: [S + 1].
    tile: side of a tile, a multiple of `multiple`.
    overlap: least overlap of neighbours.
    at_once: tiles given to `estimate` together.
    clip: keep x_0_hat in [0, 1].
    dynamic: quantile of dynamic thresholding; 0 is a plain clip.
    multiple: sides that `estimate` sees are multiples of it; see
      `side_multiple`.
  """

  estimate: Estimate
  sde: IRSDE
  steps: Coefficients
  times: Int[np.ndarray, ' N']
  tile: int
  overlap: int
  at_once: int = 1
  clip: bool = True
  dynamic: float = 0.0
  multiple: int = MULTIPLE

  def __call__(
    self,
    params: Any,
    key: RandomKey,
    image: Rgb,
    *,
    on_tile: Callable[[float], None] | None = None,
  ) -> Rgb:
    """Restores one photograph.

    Args:
      params: the network's parameters.
      key: draws the sampler's noise.
      image: [H, W, 3] low light, float32 in [0, 1].
      on_tile: called with the share of the work just done.

    Returns:
      [H, W, 3] float32, not clamped.
    """
    height, width, _ = image.shape
    tiling = Tiling.create(
      height, width, self.tile, self.overlap, multiple=self.multiple
    )
    x = np.empty((*tiling.size, 3), np.float32)
    host = jax.tree.map(np.asarray, self.sde)
    for band in self._bands(x):
      low = self._low(image, band, slice(0, x.shape[1]))
      x[band] = host.start(low, self._noise(key, band, x.shape[1]))
    previous, clean = x.copy(), np.empty_like(x)
    for i, t in enumerate(self.times[:-1]):
      self._blend(params, tiling, x, image, t, clean, on_tile)
      limit = self._limit(clean[:height, :width])
      step = jax.tree.map(lambda leaf, i=i: leaf[i], self.steps)
      for band in self._bands(x):
        self._step(key, i + 1, step, t, limit, band, image, x, clean, previous)
      previous, clean = clean, previous
    return x[:height, :width]

  def _low(self, image, rows, columns):
    """A part of the photograph, mirrored beyond its border."""
    height, width, _ = image.shape
    if rows.stop <= height and columns.stop <= width:
      return image[rows, columns]
    index = np.ix_(_mirrored(rows, height), _mirrored(columns, width))
    return image[index]

  def _bands(self, x):
    for first in range(0, x.shape[0], _BAND):
      yield slice(first, min(first + _BAND, x.shape[0]))

  def _padded(self, part):
    """A band in one of few shapes, so that compilations are few."""
    pads = (_BAND - part.shape[0], -part.shape[1] % _BAND_WIDTH)
    return np.pad(part, ((0, pads[0]), (0, pads[1]), (0, 0)))

  def _noise(self, key, band, width):
    padded = width + -width % _BAND_WIDTH
    noise = _band_noise(key, 0, band.start, padded)
    return np.asarray(noise)[: band.stop - band.start, :width]

  def _blend(self, params, tiling, x, image, t, clean, on_tile):
    """x_0_hat of every tile, summed with their weights into `clean`."""
    clean[:] = 0
    pending = None
    groups = list(tiling.groups(self.at_once))
    for group in [*groups, None]:
      found = None
      if group:  # the device works on it while the last one is added
        filled = group + group[-1:] * (self.at_once - len(group))
        windows = [tiling.window(i, j) for i, j in filled]
        states = np.stack([x[window] for window in windows])
        lows = np.stack([self._low(image, *window) for window in windows])
        found = self.estimate(params, states, lows, t)
      if pending:
        for (i, j), part in zip(*pending):
          height, width = tiling.tile  # the device may have a larger canvas
          part = part[:height, :width]
          clean[tiling.window(i, j)] += tiling.weight(i, j) * part
          if on_tile:
            on_tile(1 / (len(tiling) * (len(self.times) - 1)))
      pending = (group, np.asarray(found)) if group else None

  def _limit(self, clean) -> float:
    """Where to clamp 2 x_0_hat - 1; 0 is nowhere."""
    if not self.clip:
      return 0.0
    if not self.dynamic:
      return 1.0
    return max(1.0, float(np.quantile(np.abs(2 * clean - 1), self.dynamic)))

  def _step(self, key, n, step, t, limit, band, image, x, clean, previous):
    rows, width = band.stop - band.start, x.shape[1]
    low = self._low(image, band, slice(0, width))
    parts = (x[band], low, clean[band], previous[band])
    parts = [self._padded(part) for part in parts]
    moved, used = _advance(
      self.sde, key, n, band.start, step, t, np.float32(limit), *parts
    )
    x[band] = np.asarray(moved)[:rows, :width]
    clean[band] = np.asarray(used)[:rows, :width]
