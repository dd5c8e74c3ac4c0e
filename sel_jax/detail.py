"""The detail layer of an image: what its own Gaussian blur takes away.

Contract: pure, linear in the image, and its own transpose up to the border;
stands below every loss, so that all of them may compare detail.
"""

import functools

import jax.numpy as jnp
from jaxtyping import Float
import numpy as np

from sel_jax.arrays import Array
from sel_jax.arrays import Images

# The blur ends there, in deviations: as scipy.ndimage.
_TRUNCATE = 4.0
# Pixels that one product of matrices blurs: linear in the side of an image.
_BLOCK = 128


@functools.cache
def _band(block: int, sigma: float) -> np.ndarray:
  """[block, block + 2 reach]: Gaussian means of a block and its margins."""
  reach = int(_TRUNCATE * sigma + 0.5)
  weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
  weights /= weights.sum()
  band = np.zeros((block, block + 2 * reach))
  for row in range(block):
    band[row, row : row + len(weights)] = weights
  return band


def _blur(x: Float[Array, '...'], axis: int, sigma: float):
  """Gaussian mean along one axis, mirrored at its ends."""
  length = x.shape[axis]
  block = min(length, _BLOCK)
  band = _band(block, sigma)
  starts = np.arange(0, length, block)
  margin = (band.shape[1] - block) // 2
  index = (starts[:, None] + np.arange(-margin, block + margin)) % (2 * length)
  mirrored = np.minimum(index, 2 * length - 1 - index)
  parts = jnp.take(jnp.moveaxis(x, axis, -1), mirrored, axis=-1)
  # Half of a bin is a hundredth: no rounding to bfloat16 on accelerators.
  means = jnp.einsum(
    'ij,...j->...i', band.astype(x.dtype), parts, precision='highest'
  )
  means = means.reshape(*means.shape[:-2], -1)[..., :length]
  return jnp.moveaxis(means, -1, axis)


def detail_layer(image: Images, *, sigma: float) -> Float[Array, 'B H W C']:
  """The image minus its own Gaussian blur.

    x - G_sigma * x,     borders mirrored, the Gaussian cut at 4 sigma

  Texture, edges and grain without brightness and shading: 0 wherever the image
  is flat, and unmoved by a constant that is added.

  Args:
    image: any intensities.
    sigma: standard deviation of the blur, in pixels, above 0.

  Returns:
    The detail layer, signed.
  """
  image = jnp.asarray(image)
  return image - _blur(_blur(image, 1, sigma), 2, sigma)
