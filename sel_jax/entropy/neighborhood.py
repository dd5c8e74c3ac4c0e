"""Patches of an image and the weighted mean of each pixel's neighbours.

Contract: images are [B, H, W, C]; pixels beyond the border are marked by a mask
and never read as black unless the spec's border says 'zero'.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Float
import numpy as np

from sel_jax.arrays import AnyArray
from sel_jax.arrays import Array
from sel_jax.arrays import Images
from sel_jax.arrays import RandomKey


def extract_patches(
  image: Float[AnyArray, 'H W'], size: int
) -> tuple[Float[Array, 'H W w w'], Float[Array, 'H W w w']]:
  """The window around every pixel, by a vmapped slice.

  Args:
    image: [H, W].
    size: odd window size w.

  Returns:
    Patches [H, W, w, w], zero beyond the border, and the mask [H, W, w, w] of
    pixels that exist (1.0) or not (0.0).
  """
  half = size // 2
  padded = jnp.pad(image, half)
  inside = jnp.pad(jnp.ones_like(image), half)

  def patch_at(source, y, x):
    return jax.lax.dynamic_slice(source, (y, x), (size, size))

  over_columns = jax.vmap(patch_at, in_axes=(None, None, 0))
  over_pixels = jax.vmap(over_columns, in_axes=(None, 0, None))
  rows, columns = (jnp.arange(n) for n in image.shape)
  return over_pixels(padded, rows, columns), over_pixels(inside, rows, columns)


def window_scales(
  shape: tuple[int, ...],
  windows: tuple[int, ...],
  border: str,
  dtype: DTypeLike,
) -> Float[Array, 'K H W']:
  """1/|W| around every pixel.

  Args:
    shape: [H, W].
    windows: odd sizes.
    border: 'valid' counts the pixels that exist, 'zero' all of the window.
    dtype: the result's type.

  Returns:
    [windows, H, W].
  """

  def counts(length, half):
    place = jnp.arange(length)
    after = jnp.minimum(length - 1 - place, half)
    return (jnp.minimum(place, half) + 1 + after).astype(dtype)

  def scale(window):
    if border == 'zero':
      return jnp.full(shape, 1 / window**2, dtype)
    rows, columns = (counts(length, window // 2) for length in shape)
    return 1 / (rows[:, None] * columns[None, :])

  scales = [scale(window) for window in windows]
  return jnp.stack(scales) if scales else jnp.zeros((0, *shape), dtype)


def shifted_sums(
  image: Images, weights: Float[AnyArray, 'h w']
) -> Float[Array, 'B H W C']:
  """Correlates [B, H, W, C] with a small 2-D filter, zeros beyond the border.

  A sum of shifted copies: exact, without a grouped convolution, and its
  gradient is again such a sum.

  Args:
    image: [B, H, W, C].
    weights: [h, w], both odd.

  Returns:
    [B, H, W, C].
  """
  rows, columns = weights.shape
  height, width = image.shape[1:3]
  padded = jnp.pad(
    image, ((0, 0), (rows // 2,) * 2, (columns // 2,) * 2, (0, 0))
  )
  total = jnp.zeros_like(image)
  for y in range(rows):
    for x in range(columns):
      part = padded[:, y : y + height, x : x + width]
      total = total + weights[y, x] * part
  return total


def uniform_weights(*, dtype: DTypeLike = jnp.float32) -> Float[Array, '3 3']:
  """Equal weights of the eight neighbours: [3, 3], the centre 0, sum 1."""
  return jnp.full((3, 3), 1 / 8, dtype).at[1, 1].set(0)


def positive_weights(
  key: RandomKey, *, dtype: DTypeLike = jnp.float32
) -> Float[Array, '3 3']:
  """Random weights, uniform on the simplex of the eight neighbours.

  Args:
    key: typed PRNG key.
    dtype: the result's type.

  Returns:
    [3, 3], non-negative, the centre 0, sum 1.
  """
  draws = jax.random.exponential(key, (3, 3), dtype) + 1e-6
  draws = draws.at[1, 1].set(0)
  return draws / jnp.sum(draws)


def reference_weights(
  key: RandomKey, *, dtype: DTypeLike = jnp.float32
) -> Float[Array, '3 3']:
  """The release's draw: [3, 3] standard normal, not normalised (see
  `neighbor_mean`, which divides by the signed sum).
  """
  return jax.random.normal(key, (3, 3), dtype)


# Name -> (key, *, dtype) -> [3, 3]; only random ones look at the key.
WEIGHTS: dict[str, Callable[..., Array]] = {
  'uniform': lambda key, *, dtype: uniform_weights(dtype=dtype),
  'positive': positive_weights,
  'reference': reference_weights,
}


def draw_weights(
  key: RandomKey | None, name: str, *, dtype: DTypeLike = jnp.float32
) -> Float[Array, '3 3']:
  """Neighbour weights of a row of `WEIGHTS`.

  Without a key there is no draw, and the weights are uniform.
  """
  return WEIGHTS['uniform' if key is None else name](key, dtype=dtype)


def _check_weights(weights: Float[AnyArray, '...']) -> None:
  """Raises ValueError unless they are [3, 3] and, if known, have a sum."""
  if weights.shape[-2:] != (3, 3) or weights.size != 9:
    raise ValueError(f'neighbour weights must be (3, 3), not {weights.shape}')
  if isinstance(weights, jax.core.Tracer):
    return
  ring = np.delete(np.asarray(weights, np.float64).ravel(), 4)
  rounding = np.finfo(np.float32).eps * np.sum(np.abs(ring))
  if abs(np.sum(ring)) <= rounding:
    raise ValueError(
      'neighbour weights sum to zero without the centre, which is ignored: '
      'give positive ones, such as entropy.uniform_weights()'
    )


def neighbor_mean(
  image: Images,
  weights: Float[AnyArray, '...'],
  *,
  normalization: str = 'channel',
  border: str = 'valid',
) -> Float[Array, 'B H W C']:
  """Weighted mean of each pixel's eight neighbours, without the pixel itself.

    v = sum_k w_k x_k / sum_k w_k,     k over the 3x3 ring

  Args:
    image: [B, H, W, C].
    weights: [3, 3]; the centre is ignored, any scale.
    normalization: 'channel', or 'image' to divide by the sum over all channels
      as the release does.
    border: 'valid' averages over the neighbours that exist; 'zero' counts
      pixels beyond the border as black.

  Returns:
    [B, H, W, C]; a pixel without any neighbour keeps its own value. Traced
    weights that sum to zero are not divided by their sum.

  Raises:
    ValueError: if `weights` is not [3, 3], leading ones aside, or if those of
      the neighbours sum to zero.
  """
  _check_weights(weights)
  image = jnp.asarray(image)
  ring = jnp.asarray(weights).reshape(3, 3).astype(image.dtype)
  ring = ring.at[1, 1].set(0)
  total = jnp.sum(ring)
  total = jnp.where(total == 0, 1, total)
  if normalization == 'image':
    total = total * image.shape[-1]
  mean = shifted_sums(image, ring / total)
  if border == 'zero':
    return mean
  # The share of the weight that lies inside, by magnitude: the same as dividing
  # by the inside weights' sum when they are positive, and never 0 by sign.
  size = jnp.sum(jnp.abs(ring))
  share = jnp.abs(ring) / jnp.where(size == 0, 1, size)
  inside = shifted_sums(jnp.ones_like(image[:1, :, :, :1]), share)
  exists = inside > 1e-6
  return jnp.where(exists, mean / jnp.where(exists, inside, 1), image)
