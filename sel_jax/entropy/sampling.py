"""A random part of the pixels, for a loss that is nearly free.

Contract: an image is covered by equal rectangles of its own shape; one is drawn
for each image, and what it holds is weighed so that its mean estimates the mean
over all pixels without bias. Windows see the pixels beyond the rectangle.

Axes: N rectangles along one axis of an image, h and w pixels of one.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
from jaxtyping import Float
from jaxtyping import Int
import numpy as np

from sel_jax.arrays import AnyArray
from sel_jax.arrays import Array
from sel_jax.arrays import RandomKey

# The draw of the part, apart from that of the neighbour weights.
_STREAM = 1


@dataclasses.dataclass(frozen=True)
class _Axis:
  """Equal spans that cover one axis, overlapping where they must.

  Attributes:
    length: pixels of the axis.
    side: pixels of a span.
  """

  length: int
  side: int

  @functools.cached_property
  def starts(self) -> Int[np.ndarray, ' N']:
    """First pixel of each span."""
    spans = math.ceil(self.length / self.side)
    places = np.linspace(0, self.length - self.side, spans)
    return np.rint(places).astype(np.int32)

  @functools.cached_property
  def weights(self) -> Float[np.ndarray, 'N h']:
    """Weights under which a drawn span's mean is unbiased (Horvitz-Thompson).

    1 where spans do not overlap; a pixel of several spans is drawn more often.
    """
    pixels = self.starts[:, None] + np.arange(self.side)
    found = np.bincount(pixels.ravel(), minlength=self.length)[pixels]
    return pixels.size / (self.length * found)

  def cut(
    self, start: Int[Array, ''], margin: int
  ) -> tuple[int, Int[Array, '']]:
    """Length and first pixel of a span with its margins, inside the axis."""
    length = min(self.length, self.side + 2 * margin)
    return length, jnp.clip(start - margin, 0, self.length - length)


def haloed(
  planes: Float[Array, 'B C H W'], reach: int
) -> Float[Array, 'B C _ _']:
  """Whole planes with zeros around them."""
  return jnp.pad(planes, ((0, 0), (0, 0), (reach, reach), (reach, reach)))


def _sliced(planes, corner, size):
  """[C, H, W] -> [C, *size] from a corner on."""
  y, x = corner
  start = (jnp.zeros_like(y), y, x)
  return jax.lax.dynamic_slice(planes, start, (planes.shape[0], *size))


@dataclasses.dataclass(frozen=True)
class Part:
  """One rectangle of every image of a batch.

  Attributes:
    rows: the spans of the height.
    columns: the spans of the width.
    corners: [B, 2], first row and column of each image's rectangle.
    weights: [B, 1, h, w] under which its mean is unbiased.
  """

  rows: _Axis
  columns: _Axis
  corners: Int[Array, 'B 2']
  weights: Float[Array, 'B 1 h w']

  @property
  def shape(self) -> tuple[int, int]:
    """(h, w) of a rectangle."""
    return self.rows.side, self.columns.side

  def cut(
    self, planes: Float[AnyArray, 'B C H W'], *, margin: int = 0
  ) -> Float[Array, 'B C h w']:
    """The rectangles, with as much of a margin as the image has."""

    def one(planes, corner):
      (height, y), (width, x) = self._spans(corner, margin)
      return _sliced(planes, (y, x), (height, width))

    return jax.vmap(one)(jnp.asarray(planes), self.corners)

  def inner(
    self, planes: Float[Array, 'B C _ _'], *, margin: int
  ) -> Float[Array, 'B C h w']:
    """The rectangles of what `cut` gave with a margin."""

    def one(planes, corner):
      (_, y), (_, x) = self._spans(corner, margin)
      return _sliced(planes, (corner[0] - y, corner[1] - x), self.shape)

    return jax.vmap(one)(planes, self.corners)

  def haloed(
    self, planes: Float[Array, 'b C H W'], reach: int
  ) -> Float[Array, 'B C _ _']:
    """The rectangles with what surrounds them, zeros beyond the image.

    Args:
      planes: the images; one stands for all.
      reach: pixels on every side.
    """
    size = tuple(side + 2 * reach for side in self.shape)
    wide = haloed(planes, reach)
    wide = jnp.broadcast_to(wide, (len(self.corners), *wide.shape[1:]))
    return jax.vmap(functools.partial(_sliced, size=size))(wide, self.corners)

  def _spans(self, corner, margin):
    return (
      self.rows.cut(corner[0], margin),
      self.columns.cut(corner[1], margin),
    )


def draw_part(
  key: RandomKey,
  index: Int[AnyArray, ' B'],
  *,
  shape: tuple[int, int],
  share: float,
) -> Part:
  """Draws a rectangle of each image.

  Args:
    key: typed PRNG key.
    index: number of each image; its draw depends on key and number alone.
    shape: (H, W).
    share: part of the pixels, above 0 to 1; sides are rounded, and at least 1.

  Returns:
    The rectangles, equally likely, of the shape of the image.
  """
  rows, columns = (_Axis(n, max(1, round(n * math.sqrt(share)))) for n in shape)

  def span(own, axis):
    n = jax.random.randint(own, (), 0, len(axis.starts))
    return jnp.asarray(axis.starts)[n], jnp.asarray(axis.weights, float)[n]

  def one(number):
    own = jax.random.fold_in(jax.random.fold_in(key, _STREAM), number)
    down, across = jax.random.split(own)
    (y, high), (x, wide) = span(down, rows), span(across, columns)
    return jnp.stack([y, x]), (high[:, None] * wide[None, :])[None]

  corners, weights = jax.vmap(one)(jnp.asarray(index))
  return Part(rows, columns, corners, weights)
