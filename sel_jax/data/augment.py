"""Random crops, flips, turns, reductions, mixtures, cameras of image pairs.

Contract: both images of a pair get the same geometry; images are [H, W, 3]
uint8 or uint16 in, float32 in [0, 1] out; randomness comes from a NumPy
generator, which is the first argument.
"""

import math
from typing import Any

import cv2
import numpy as np

from sel_jax import fields
from sel_jax.data import cameras
from sel_jax.data.sequences import Brightness
from sel_jax.fields import key
from sel_jax.images import codec

_SHRINK = 0.8
EXPOSURES = ('crop', 'photograph')
# Gains of a clean image at another exposure, drawn log-uniformly.
_GAINS = 1 / 3, 3.0


@fields.spec
class AugmentSpec:
  """Part of section `data`: what is drawn for each training pair."""

  crop: int = key(
    'side of the square crop, pixels', default=128, ge=1, le=8_192
  )
  flip: bool = key('mirror left-right half of the time', default=True)
  rotate: bool = key('turn by a random multiple of 90 degrees', default=True)
  shrink: float = key(
    'probability of reducing the pair to 0.8 of its size first',
    default=0.2,
    ge=0,
    le=1,
  )
  relight: float = key(
    'probability of mixing a share of the clean image, uniform in 0 to 1, '
    'into the low one: photographs that are less dark, or not at all',
    default=0.0,
    ge=0,
    le=1,
  )
  cameras: float = key(
    'probability of a low image that is made of the clean one, as another '
    'camera would have taken it, instead of the real one',
    default=0.0,
    ge=0,
    le=1,
  )
  exposure: str = key(
    'whose mean intensity a network with model.exposure is told: that of the '
    'clean crop, or of the whole photograph',
    default='photograph',
    choices=EXPOSURES,
  )
  reexpose: float = key(
    'probability of a clean image at another exposure, of which the network is '
    'told, so that it obeys requests that its pairs do not have',
    default=0.0,
    ge=0,
    le=1,
  )
  exposure_dropout: float = key(
    'probability that it is not told, so that one network works without too',
    default=0.1,
    ge=0,
    le=1,
  )


def tell_exposure(
  rng: np.random.Generator,
  spec: AugmentSpec,
  *,
  crop: np.ndarray,
  photograph: Brightness,
) -> tuple[np.ndarray, np.ndarray]:
  """The clean crop, and what the network is told of how bright it is.

  Args:
    rng: draws whether anything is told, and at which exposure.
    spec: names crop or photograph, and says how likely what is.
    crop: the clean one, float32 in [0, 1].
    photograph: brightness of the whole clean one.

  Returns:
    The crop, at another exposure if that is drawn, and the mean intensity of
    it, or of the photograph at that exposure: float32 []; NaN is nothing.
  """
  if rng.random() < spec.exposure_dropout:
    return crop, np.asarray(np.nan, np.float32)
  if spec.reexpose and rng.random() < spec.reexpose:
    gain = float(np.exp(rng.uniform(*np.log(_GAINS))))
    crop = exposed(crop, gain)
    few = exposed(codec.to_float(photograph.few), gain)
    mean = codec.mean_intensity(few)
  else:
    mean = photograph.mean
  if spec.exposure == 'crop':
    mean = codec.mean_intensity(crop)
  return crop, np.asarray(mean, np.float32)


def exposed(image: Any, gain: Any) -> Any:
  """A photograph at another exposure.

    g x for g <= 1, and g x / (1 + (g - 1) x) above: white stays white.

  Args:
    image: encoded samples x, float32 in [0, 1], of NumPy or JAX.
    gain: g, of the darkest tones; a number, or an array of `image`'s kind.
  """
  gain = np.float32(gain) if isinstance(gain, float) else gain
  more = gain.clip(1) - 1
  return gain * image / (1 + more * image)


def relit(
  rng: np.random.Generator, *, low: np.ndarray, clean: np.ndarray
) -> np.ndarray:
  """A low photograph that is less dark, or not at all.

  Args:
    rng: draws the share of the clean one, uniform in 0 to 1.
    low: float32 in [0, 1].
    clean: the same.
  """
  return low + np.float32(rng.random()) * (clean - low)


def augment_pair(
  rng: np.random.Generator,
  spec: AugmentSpec,
  *,
  low: np.ndarray,
  clean: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
  """One random crop of a pair.

  Args:
    rng: draws everything.
    spec: what is drawn.
    low: [H, W, 3], at least `spec.crop` on each side.
    clean: shape of `low`.

  Returns:
    Both as [crop, crop, 3] float32 in [0, 1].
  """
  height, width = low.shape[:2]
  # Shrinking a larger crop is shrinking the photograph and cropping it.
  side = math.ceil(spec.crop / _SHRINK)
  shrink = rng.random() < spec.shrink and side <= min(height, width)
  side = side if shrink else spec.crop
  y = int(rng.integers(height - side + 1))
  x = int(rng.integers(width - side + 1))
  turns = int(rng.integers(4)) if spec.rotate else 0
  mirror = bool(rng.integers(2)) if spec.flip else False

  def cropped(image):
    return codec.to_float(image[y : y + side, x : x + side])

  def transform(crop):
    if shrink:
      crop = cv2.resize(
        crop, (spec.crop, spec.crop), interpolation=cv2.INTER_LINEAR
      )
    crop = np.rot90(crop, turns)
    return np.ascontiguousarray(crop[:, ::-1] if mirror else crop)

  low, clean = cropped(low), cropped(clean)
  if spec.cameras and rng.random() < spec.cameras:
    low = cameras.take(rng, clean, place=(y, x, height, width))
  low, clean = transform(low), transform(clean)
  if spec.relight and rng.random() < spec.relight:
    low = relit(rng, low=low, clean=clean)
  return low, clean
