"""NIQE: how far a photograph's statistics are from those of clean ones.

Contract: needs no ground truth; lower is better. Source: Mittal, Soundararajan,
Bovik, "Making a Completely Blind Image Quality Analyzer", IEEE Signal
Processing Letters 2013, with the parameters of their release, see
`niqe_parameters.txt`; luma of BT.601, studio range, blocks of 96 x 96.
"""

import functools
from importlib import resources
import math

import numpy as np
from scipy import ndimage
from scipy.special import gamma

from sel_jax.arrays import Rgb8

_BLOCK = 96
_LUMA = np.array([65.481, 128.553, 24.966]) / 255
_SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))
_SHAPES = np.arange(0.2, 10.001, 0.001)


@functools.cache
def _pristine() -> tuple[np.ndarray, np.ndarray]:
  """Mean [36] and covariance [36, 36] of undistorted photographs."""
  file = resources.files('sel_jax.evaluation') / 'niqe_parameters.npz'
  with file.open('rb') as stream, np.load(stream) as data:
    return data['mean'], data['covariance']


@functools.cache
def _ratios() -> np.ndarray:
  """Gamma(2/a)^2 / (Gamma(1/a) Gamma(3/a)) of every shape a."""
  inverse = 1 / _SHAPES
  return gamma(2 * inverse) ** 2 / (gamma(inverse) * gamma(3 * inverse))


def _rms(values: np.ndarray) -> float:
  return math.sqrt(np.mean(values**2)) if values.size else math.nan


def _fit(values: np.ndarray) -> tuple[float, float, float]:
  """Asymmetric generalized Gaussian by moments: shape, left, right scale."""
  left, right = _rms(values[values < 0]), _rms(values[values > 0])
  skew = left / right
  if not math.isfinite(skew):  # a plain area
    return math.nan, math.nan, math.nan
  ratio = np.mean(np.abs(values)) ** 2 / np.mean(values**2)
  ratio *= (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
  shape = _SHAPES[np.argmin((_ratios() - ratio) ** 2)]
  spread = np.sqrt(gamma(1 / shape) / gamma(3 / shape))
  return float(shape), float(left * spread), float(right * spread)


def _block_features(block: np.ndarray) -> list[float]:
  """The 18 figures of one block of normalised luminance."""
  shape, left, right = _fit(block)
  features = [shape, (left + right) / 2]
  for shift in _SHIFTS:
    product = block * np.roll(block, shift, axis=(0, 1))
    shape, left, right = _fit(product)
    mean = (right - left) * gamma(2 / shape) / gamma(1 / shape)
    features += [shape, mean, left, right]
  return features


def _normalised(luma: np.ndarray) -> np.ndarray:
  """Luminance less its local mean, over its local spread plus one."""
  blur = functools.partial(
    ndimage.gaussian_filter, sigma=7 / 6, radius=3, mode='nearest'
  )
  mean = blur(luma)
  spread = np.sqrt(np.abs(blur(luma * luma) - mean * mean))
  return (luma - mean) / (spread + 1)


def _halved(luma: np.ndarray) -> np.ndarray:
  """Half the size by Keys' cubic with antialiasing, borders mirrored."""
  distance = np.abs(np.arange(-3.5, 4)) / 2
  near = 1.5 * distance**3 - 2.5 * distance**2 + 1
  far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
  weights = np.where(distance <= 1, near, far)
  weights /= weights.sum()
  for axis in (0, 1):
    # An even filter sits half a pixel off: exactly where halving wants it.
    luma = ndimage.correlate1d(luma, weights, axis, mode='reflect', origin=-1)
    luma = luma[::2] if axis == 0 else luma[:, ::2]
  return luma


def niqe(image: Rgb8) -> float:
  """Naturalness of a photograph; 2 to 6 is usual, lower is better.

  Args:
    image: [H, W, 3] uint8.

  Returns:
    The distance; NaN if fewer than two blocks of 96 x 96 fit in, or where
    statistics cannot be fitted, as in a plain area.
  """
  rows, columns = (side // _BLOCK for side in image.shape[:2])
  if rows * columns < 2:
    return float('nan')
  image = image[: rows * _BLOCK, : columns * _BLOCK]
  luma = np.rint(16 + image.astype(np.float64) @ _LUMA)
  scales = []
  for level in (1, 2):
    side = _BLOCK // level
    blocks = _normalised(luma).reshape(rows, side, columns, side)
    blocks = blocks.swapaxes(1, 2).reshape(-1, side, side)
    scales.append([_block_features(block) for block in blocks])
    luma = _halved(luma)
  features = np.concatenate(scales, axis=1)
  sound = features[np.isfinite(features).all(axis=1)]
  if len(sound) < 2:
    return float('nan')
  mean, covariance = _pristine()
  # The release averages each figure over the blocks that have it.
  offset = mean - np.nanmean(features, axis=0)
  pooled = (covariance + np.cov(sound, rowvar=False)) / 2
  return float(np.sqrt(offset @ np.linalg.pinv(pooled) @ offset))
