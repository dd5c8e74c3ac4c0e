"""How much Gaussian noise a photograph has.

Contract: one number, in intensity; looks at pixels alone.
"""

import cv2
import numpy as np

from sel_jax.arrays import Rgb
from sel_jax.eval_section import EvalSpec

# The median of |z| of a standard normal z.
_MEDIAN = 0.6745
_SECOND = np.array([1, -2, 1], np.float32)


def estimate(image: Rgb) -> float:
  """Deviation of the noise, from differences of differences.

    sigma = median |d| / 0.6745,     d = (k^T k) * image / |k|^2,  k = [1 -2 1]

  Of white noise d has the deviation of a sample, and planes are nothing in it;
  edges and texture are few, and the median does not see them. Source: Immerkaer
  1996, with the median for the mean; the mean of the three channels.

  Args:
    image: [H, W, 3] float32 in [0, 1].

  Returns:
    In intensity, from 0. Below what was there where noise is clamped.
  """
  d = cv2.sepFilter2D(image, -1, _SECOND, _SECOND).reshape(-1, 3)
  medians = np.median(np.abs(d), axis=0) / (_SECOND @ _SECOND)
  return float(medians.mean() / _MEDIAN)


def of(image: Rgb, spec: EvalSpec) -> float:
  """Deviation of the noise: that of the settings, or what is estimated."""
  return spec.sigma / 255 if spec.sigma else estimate(image)
