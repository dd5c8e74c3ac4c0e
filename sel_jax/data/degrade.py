"""A physical model of a photograph taken in too little light.

Contract: images are float32 sRGB in [0, 1], [H, W, 3]; randomness comes from a
NumPy generator, which is the first argument.
"""

import dataclasses

import numpy as np


def srgb_to_linear(image: np.ndarray | float) -> np.ndarray:
  """From sRGB to linear light (IEC 61966-2-1), [0, 1] to [0, 1]."""
  low = image / 12.92
  high = ((image + 0.055) / 1.055) ** 2.4
  return np.where(image <= 0.04045, low, high)


def linear_to_srgb(light: np.ndarray | float) -> np.ndarray:
  """Linear light to sRGB, [0, 1] to [0, 1]."""
  low = light * 12.92
  high = 1.055 * np.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055
  return np.where(light <= 0.0031308, low, high)


@dataclasses.dataclass(frozen=True)
class LowLight:
  """Ranges of the model; each photograph draws from them.

  Attributes:
    exposure: share of the light that is left, drawn log-uniformly.
    full_well: electrons of a white pixel at full exposure: shot noise.
    read_noise: standard deviation in electrons.
    white_balance: largest relative error of the red and blue gains.
    levels: quantisation levels of the file.
  """

  exposure: tuple[float, float] = (0.02, 0.12)
  full_well: float = 8000.0
  read_noise: float = 3.0
  white_balance: float = 0.1
  levels: int = 256


def darken(
  rng: np.random.Generator,
  image: np.ndarray,
  *,
  model: LowLight = LowLight(),
) -> np.ndarray:
  """Linearise, expose down, shift the white balance, add noise, quantise.

    electrons ~ Poisson(k w g x) + Normal(0, read_noise),   x linear light

  Args:
    rng: draws exposure k, gains g and noise.
    image: [H, W, 3] sRGB in [0, 1].
    model: the ranges; w is its full well.

  Returns:
    [H, W, 3] sRGB in [0, 1], float32.
  """
  exposure = np.exp(rng.uniform(*np.log(model.exposure)))
  error = rng.uniform(-model.white_balance, model.white_balance, 2)
  gains = np.array([1 + error[0], 1.0, 1 + error[1]])
  expected = srgb_to_linear(image) * gains * (exposure * model.full_well)
  electrons = rng.poisson(expected) + rng.normal(
    0, model.read_noise, image.shape
  )
  light = np.clip(electrons / model.full_well, 0, 1)
  steps = model.levels - 1
  return (np.rint(linear_to_srgb(light) * steps) / steps).astype(np.float32)
