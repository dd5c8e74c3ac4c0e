"""Large photographs at a share of their size, as the published test has it.

Contract: with a share of 1, and below `LARGE`, a photograph is left as it is.
The release takes the nearest pixels both ways; here it is areas and cubics.
"""

import cv2
from jaxtyping import Float
import numpy as np

from sel_jax.arrays import Rgb

# Longer side, pixels, from which on a photograph is reduced.
LARGE = 4000


def size_at(size: tuple[int, int], share: float) -> tuple[int, int]:
  """Height and width at which a photograph is restored.

  Args:
    size: its own.
    share: its sides' part that is left, in 0 to 1.
  """
  if share == 1 or max(size) < LARGE:
    return size
  height, width = (max(1, round(share * side)) for side in size)
  return height, width


def reduced(image: Rgb, share: float) -> Float[np.ndarray, 'h w 3']:
  """A photograph at the size at which it is restored."""
  size = size_at((image.shape[0], image.shape[1]), share)
  if size == image.shape[:2]:
    return image
  return cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)


def enlarged(image: Float[np.ndarray, 'h w 3'], size: tuple[int, ...]) -> Rgb:
  """A restored photograph at its own height and width, in [0, 1]."""
  if size == image.shape[:2]:
    return image
  found = cv2.resize(image, size[::-1], interpolation=cv2.INTER_CUBIC)
  return np.clip(found, 0, 1, out=found)
