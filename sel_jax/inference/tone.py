"""Tones of a restored photograph: one in all tiles, as bright as asked for.

Contract: images are float32, of NumPy where nothing else is said. What is
matched is coarse brightness and colour alone; detail stays the image's own.
"""

import math
from typing import Any

import cv2
import jax.numpy as jnp
from jaxtyping import Float
import numpy as np

from sel_jax.arrays import AnyArray
from sel_jax.arrays import Rgb
from sel_jax.data.augment import exposed
from sel_jax.eval_section import EvalSpec

# Below this dark a ratio of tones means nothing.
_FLOOR = 0.02
_STRONGEST = 4.0
# Gains that a request may need, and halvings of their logarithm: to 0.1 %.
_GAINS, _HALVINGS = 32.0, 14
# Samples of an image that the gain is found by.
_ENOUGH = 2**18


def thumbnail(image: Rgb, side: int) -> Float[np.ndarray, 'h w 3']:
  """The image reduced so that its longer side is `side` pixels."""
  height, width = image.shape[:2]
  scale = side / max(height, width)
  size = (max(1, round(width * scale)), max(1, round(height * scale)))
  small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
  return small.reshape(size[1], size[0], 3)


def match_tone(
  image: Rgb, small: Float[np.ndarray, 'h w 3'], spread: float
) -> None:
  """Multiplies an image, in place, so that its coarse tones are another's.

    image *= blur(small) / blur(thumbnail of image)

  Args:
    image: [H, W, 3] in [0, 1].
    small: [h, w, 3], the tones wanted, reduced as by `thumbnail`.
    spread: standard deviation of the blur, pixels of `small`.
  """
  height, width = image.shape[:2]
  blur = lambda x: np.maximum(cv2.GaussianBlur(x, (0, 0), spread), _FLOOR)
  own = thumbnail(image, max(small.shape[:2]))
  ratio = (blur(small) / blur(own)).reshape(small.shape)
  ratio = np.clip(ratio, 1 / _STRONGEST, _STRONGEST)
  for channel in range(3):  # one at a time: a photograph may be large
    wide = np.ascontiguousarray(ratio[..., channel])
    image[..., channel] *= cv2.resize(
      wide, (width, height), interpolation=cv2.INTER_LINEAR
    )


def met(
  image: Float[AnyArray, 'H W 3'], exposure: Any
) -> Float[AnyArray, 'H W 3']:
  """An image at the exposure whose mean is the one asked for.

    f(x) = g x / (1 + max(g - 1, 0) x),     mean f(x) = e

  White stays white where it gets brighter. The gain g is found by bisection.

  Args:
    image: [H, W, 3] in [0, 1], of NumPy or JAX.
    exposure: e, in [0, 1]; NaN leaves the image as it is.

  Returns:
    The shape and kind of `image`; where no gain of 1/32 to 32 is enough, the
    nearest.
  """
  xp, sample = jnp, image
  if isinstance(image, np.ndarray):
    stride = max(1, math.isqrt(image.size // _ENOUGH))
    xp, sample = np, image[::stride, ::stride]
  low = xp.asarray(-math.log(_GAINS), image.dtype)
  high = -low
  for _ in range(_HALVINGS):
    middle = (low + high) / 2
    dark = exposed(sample, xp.exp(middle)).mean() < exposure
    low, high = xp.where(dark, middle, low), xp.where(dark, high, middle)
  gain = xp.exp((low + high) / 2)
  return exposed(image, xp.where(xp.isnan(exposure), 1, gain))


def saturated(
  image: Float[AnyArray, 'H W 3'], saturation: float
) -> Float[AnyArray, 'H W 3']:
  """An image with livelier colours, or paler ones.

    f(x) = m + s (x - m),     m = (R + G + B) / 3

  Args:
    image: [H, W, 3] in [0, 1], of NumPy or JAX.
    saturation: s, from 0; 0 is grey.

  Returns:
    The shape and kind of `image`, clamped to [0, 1].
  """
  grey = image.mean(-1, keepdims=True)
  return (grey + saturation * (image - grey)).clip(0, 1)


def finished(
  image: Float[AnyArray, 'H W 3'], spec: EvalSpec, exposure: Any
) -> Float[AnyArray, 'H W 3']:
  """What is done to a restored photograph at last: its colours, its exposure.

  Args:
    image: [H, W, 3] in [0, 1], of NumPy or JAX.
    spec: the settings, of which `saturation` and `meet` count.
    exposure: as `met` takes it; None where none was asked for.

  Returns:
    The shape and kind of `image`.
  """
  if spec.saturation != 1:
    image = saturated(image, spec.saturation)
  if spec.meet and exposure is not None:
    image = met(image, exposure)
  return image
