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


@dataclasses.dataclass(frozen=True)
class Part:
  """One rectangle of every image of a batch.

  Attributes:
    rows: the spans of the height.
    columns: the spans of the width.
    corners: [B, 2], first row and column of each image's rectangle.
    weights: [B, h, w, 1] under which its mean is unbiased.
  """

  rows: _Axis
  columns: _Axis
  corners: Int[Array, 'B 2']
  weights: Float[Array, 'B h w 1']

  def cut(
    self, images: Float[AnyArray, 'B H W C'], *, margin: int = 0
  ) -> Float[Array, 'B h w C']:
    """The rectangles, with as much of a margin as the image has."""

    def one(image, corner):
      (height, y), (width, x) = self._spans(corner, margin)
      size = (height, width, image.shape[-1])
      return jax.lax.dynamic_slice(image, (y, x, jnp.zeros_like(x)), size)

    return jax.vmap(one)(jnp.asarray(images), self.corners)

  def inner(
    self, images: Float[Array, 'B _ _ C'], *, margin: int
  ) -> Float[Array, 'B h w C']:
    """The rectangles of what `cut` gave with a margin."""

    def one(image, corner):
      (_, y), (_, x) = self._spans(corner, margin)
      start = (corner[0] - y, corner[1] - x, jnp.zeros_like(x))
      size = (self.rows.side, self.columns.side, image.shape[-1])
      return jax.lax.dynamic_slice(image, start, size)

    return jax.vmap(one)(images, self.corners)

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
    share: of the pixels, above 0 to 1; sides are rounded, at least one pixel.

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
    return jnp.stack([y, x]), (high[:, None] * wide[None, :])[..., None]

  corners, weights = jax.vmap(one)(jnp.asarray(index))
  return Part(rows, columns, corners, weights)
