"""Dark photographs of cameras that nobody had to hand: a physical model.

Contract: images are float32 sRGB in [0, 1], [H, W, 3]; randomness comes from a
NumPy generator, which is the first argument. Training draws from `TRAINING`;
`UNSEEN` has other sensors and stronger casts, to validate on.
"""

from collections.abc import Mapping
import dataclasses
import types

import cv2
import numpy as np

from sel_jax.data import degrade
from sel_jax.images import codec

# Light that a raw pixel of red, green, blue gets, of a grey scene in daylight.
_DAYLIGHT = np.array([0.5, 1.0, 0.65])
_RAW_WHITE = 2**16 - 1


@dataclasses.dataclass(frozen=True)
class Sensor:
  """What a sensor adds to the light.

  Attributes:
    full_well: electrons of a white pixel, drawn log-uniformly: the range is
      that of its sensitivities.
    read_noise: standard deviation in electrons.
    row_noise: standard deviation of what a row has in common, electrons.
    bits: depth of the raw file.
    black: largest error of the black level, share of white.
    vignetting: largest share of the light that the corners miss.
  """

  full_well: tuple[float, float]
  read_noise: float
  row_noise: float
  bits: int
  black: float
  vignetting: float


@dataclasses.dataclass(frozen=True)
class Cameras:
  """Ranges of the model; each photograph draws from them.

  Attributes:
    sensors: each as likely as another.
    exposure: share of the light that is left, drawn log-uniformly.
    temperature: range of the cast's size from blue to orange, the natural
      logarithm of red's gain over green's, and of green's over blue's.
    tint: the same from green to magenta, of green's gain.
    tone: exponents of the tone curve on the encoded photograph.
    quality: JPEG's, of the file that half of them go through.
    demosaic: OpenCV's conversion.
  """

  sensors: Mapping[str, Sensor]
  exposure: tuple[float, float] = (0.01, 0.2)
  temperature: tuple[float, float] = (0.0, 0.25)
  tint: tuple[float, float] = (0.0, 0.06)
  tone: tuple[float, float] = (0.9, 1.15)
  quality: tuple[int, int] = (70, 98)
  demosaic: int = cv2.COLOR_BayerRGGB2RGB


TRAINING = Cameras(
  types.MappingProxyType(
    {
      'full_frame': Sensor((4e3, 6e4), 3.0, 0.2, 14, 5e-4, 0.4),
      'crop': Sensor((2e3, 3e4), 2.5, 0.3, 12, 1e-3, 0.3),
      'phone': Sensor((600, 8e3), 2.0, 0.3, 10, 2e-3, 0.2),
    }
  )
)
UNSEEN = Cameras(
  types.MappingProxyType(
    {
      'old_compact': Sensor((1500, 6e3), 9.0, 1.0, 10, 4e-3, 0.5),
      'small_phone': Sensor((350, 3e3), 1.2, 0.6, 12, 1e-3, 0.3),
    }
  ),
  temperature=(0.25, 0.4),
  tint=(0.06, 0.12),
  quality=(55, 90),
  demosaic=cv2.COLOR_BayerRGGB2RGB_EA,
)


def _signed(rng: np.random.Generator, size: tuple[float, float]) -> float:
  return float(rng.uniform(*size) * rng.choice((-1, 1)))


def _log_uniform(rng: np.random.Generator, size: tuple[float, float]) -> float:
  return float(np.exp(rng.uniform(*np.log(size))))


def _cast(rng: np.random.Generator, model: Cameras) -> np.ndarray:
  """Gains of red, green, blue that the camera got wrong; [3]."""
  warm, green = _signed(rng, model.temperature), _signed(rng, model.tint)
  return np.exp([warm, green, -warm])


def _vignette(
  shape: tuple[int, ...], place: tuple[int, int, int, int], share: float
) -> np.ndarray:
  """Light that is left, [H, W, 1]: 1 in the middle, 1 - share in corners."""
  top, left, height, width = place
  y = (np.arange(shape[0]) + top + 0.5) / height - 0.5
  x = (np.arange(shape[1]) + left + 0.5) / width - 0.5
  return 1 - share * 2 * (y[:, None, None] ** 2 + x[None, :, None] ** 2)


def _mosaic(image: np.ndarray) -> np.ndarray:
  """Of each pixel the one channel that a Bayer sensor has, [H, W]."""
  raw = image[..., 1].copy()
  raw[::2, ::2] = image[::2, ::2, 0]
  raw[1::2, 1::2] = image[1::2, 1::2, 2]
  return raw


def _read(
  rng: np.random.Generator, sensor: Sensor, expected: np.ndarray, well: float
) -> np.ndarray:
  """Electrons, noise and black level of a raw photograph, share of white.

  Args:
    rng: draws all of them.
    sensor: the ranges.
    expected: [H, W] light, share of white.
    well: electrons of white.
  """
  electrons = rng.poisson(expected * well).astype(np.float32)
  electrons += sensor.read_noise * rng.standard_normal(
    expected.shape, np.float32
  )
  electrons += sensor.row_noise * rng.standard_normal(
    (expected.shape[0], 1), np.float32
  )
  light = electrons / well + rng.uniform(-sensor.black, sensor.black)
  return np.rint(light * 2**sensor.bits) / 2**sensor.bits


def take(
  rng: np.random.Generator,
  image: np.ndarray,
  *,
  model: Cameras = TRAINING,
  place: tuple[int, int, int, int] | None = None,
) -> np.ndarray:
  """The same photograph, taken by another camera in too little light.

    raw = Poisson(w k v x / g) / w + read and row noise + black level,
    photograph = JPEG(tone(g c demosaic(raw)))

  Args:
    rng: draws exposure k, white w, vignetting v, cast c, tone and noise.
    image: [H, W, 3] sRGB in [0, 1]; x is its linear light, g the gains of
      daylight.
    model: the ranges.
    place: top, left of a crop, and height, width of the photograph that it is
      of; the image itself if left out.

  Returns:
    [H, W, 3] sRGB in [0, 1], float32, of 8 bits.
  """
  sensor = model.sensors[str(rng.choice(list(model.sensors)))]
  exposure = _log_uniform(rng, model.exposure)
  well = _log_uniform(rng, sensor.full_well)
  fall = _vignette(
    image.shape,
    place or (0, 0, *image.shape[:2]),
    rng.uniform(0, sensor.vignetting),
  )
  cast, tone = _cast(rng, model), rng.uniform(*model.tone)
  light = degrade.srgb_to_linear(image) * fall * exposure
  raw = _read(rng, sensor, _mosaic(light * _DAYLIGHT), well)
  # A pedestal, as raw files have, keeps noise below black through OpenCV.
  pedestal = 0.125
  scaled = np.clip((raw + pedestal) * _RAW_WHITE / 2, 0, _RAW_WHITE)
  full = cv2.cvtColor(np.rint(scaled).astype(np.uint16), model.demosaic)
  light = full / (_RAW_WHITE / 2) - pedestal
  light = np.clip(light / _DAYLIGHT * cast, 0, 1)
  low = codec.to_uint8((degrade.linear_to_srgb(light) ** tone).astype('f4'))
  if rng.random() < 0.5:
    low = _through_jpeg(low, int(rng.integers(*model.quality)))
  return codec.to_float(low)


def _through_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
  """What is left after a JPEG file; uint8 in and out."""
  options = [cv2.IMWRITE_JPEG_QUALITY, quality]
  _, data = cv2.imencode('.jpg', image[..., ::-1], options)
  return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1]
