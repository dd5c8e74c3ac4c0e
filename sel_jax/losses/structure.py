"""Losses that compare the structure of two images.

Contract: (pred, target) [B, H, W, C] in [0, 1] -> [B].
"""

import functools

import jax.numpy as jnp
from jaxtyping import Float
import numpy as np

from sel_jax.arrays import Array
from sel_jax.arrays import Images

_SSIM_SIDE = 11


@functools.cache
def _blurring(length: int) -> np.ndarray:
  """[length - 10, length]: Gaussian means over 11 samples, sigma 1.5."""
  if length < _SSIM_SIDE:
    raise ValueError(
      f'ssim needs images of at least {_SSIM_SIDE} pixels, not {length}'
    )
  offsets = np.arange(_SSIM_SIDE) - _SSIM_SIDE // 2
  weights = np.exp(-0.5 * (offsets / 1.5) ** 2)
  rows = np.zeros((length - _SSIM_SIDE + 1, length), np.float32)
  for row in range(len(rows)):
    rows[row, row : row + _SSIM_SIDE] = weights / weights.sum()
  return rows


def ssim(pred: Images, target: Images) -> Float[Array, ' B']:
  """One less structural similarity (Wang et al. 2004), for images in [0, 1].

  Gaussian 11x11 with sigma 1.5, valid area, mean over channels, as the metric
  `evaluation.metrics.ssim`.

  Raises:
    ValueError: if a side is below 11 pixels.
  """
  rows, columns = (_blurring(side) for side in pred.shape[1:3])

  # Products of matrices are quicker than 22 shifted sums; variances are small
  # differences of them, so accelerators may not round to fewer digits.
  def blur(x):
    x = jnp.einsum('ih,bhwc->biwc', rows, x, precision='highest')
    return jnp.einsum('jw,biwc->bijc', columns, x, precision='highest')

  mean_p, mean_q = blur(pred), blur(target)
  power = blur(jnp.square(pred) + jnp.square(target))
  means, squares = mean_p * mean_q, jnp.square(mean_p) + jnp.square(mean_q)
  covariance = blur(pred * target) - means
  light = (2 * means + 0.01**2) / (squares + 0.01**2)
  structure = (2 * covariance + 0.03**2) / (power - squares + 0.03**2)
  return 1 - jnp.mean(light * structure, axis=(1, 2, 3))
