"""Which photographs show the same scene.

Contract: a scene is recognised by its clean images at any exposure. Measured
on LOL-v1 (500 of them): pairs of one scene correlate above 0.9, all others but
14 of 117,370 below 0.5.
"""

from collections.abc import Iterable

import cv2
import numpy as np

# Correlation of two descriptors from which on they are of one scene.
SAME = 0.6

_SIDE = 48
_BLUR = 6.0


def descriptor(image: np.ndarray) -> np.ndarray:
  """Local contrast of the log intensity at 48x48, as a unit vector.

  A longer exposure adds a constant to the logarithm, which local contrast does
  not see.

  Args:
    image: [H, W, 3], uint8 or uint16.

  Returns:
    [2304] float32 of norm one; zeros for an image without contrast.
  """
  gray = image.mean(axis=2, dtype=np.float32) / np.iinfo(image.dtype).max
  small = cv2.resize(gray, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
  log = np.log(1 / 255 + small)
  contrast = log - cv2.GaussianBlur(log, (0, 0), _BLUR)
  contrast = (contrast - contrast.mean()).reshape(-1)
  norm = np.linalg.norm(contrast)
  return contrast / norm if norm > 1e-3 else np.zeros_like(contrast)


def describe(images: Iterable[np.ndarray]) -> np.ndarray:
  """Descriptors [N, 2304] of N images, one at a time."""
  return np.stack([descriptor(image) for image in images])


def group(descriptors: np.ndarray) -> np.ndarray:
  """Scene number of each image: connected by correlations of at least `SAME`.

  Args:
    descriptors: [N, D] of `describe`.

  Returns:
    [N] integers; a scene's number is the index of its first image.
  """
  alike = descriptors @ descriptors.T >= SAME
  scene = np.arange(len(descriptors))
  for first, second in np.argwhere(np.triu(alike, 1)):
    low, high = sorted((scene[first], scene[second]))
    scene[scene == high] = low
  return scene


def shared(descriptors: np.ndarray, others: np.ndarray) -> np.ndarray:
  """[N] booleans: whether an image shows a scene that is among the others."""
  return np.any(descriptors @ others.T >= SAME, axis=1)


def hold_out(scene: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
  """Cuts whole scenes from the end until they hold `count` images.

  Args:
    scene: [N] of `group`.
    count: size of the part that is cut off.

  Returns:
    Indices of the rest, and of the last `count` images of the scenes cut off.
  """
  taken = np.zeros(len(scene), bool)
  for index in range(len(scene) - 1, -1, -1):
    if taken.sum() >= count:
      break
    taken |= scene == scene[index]
  return np.flatnonzero(~taken), np.flatnonzero(taken)[-count:]
