"""Which exposures are plausible of a dark photograph.

Contract: a photograph and a few numbers in, a distribution out; no network. The
exposure is the mean intensity of the restored photograph, in [0, 1].
"""

from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import math
import statistics
from typing import Any

import cv2
from jaxtyping import Float
from jaxtyping import Shaped
import numpy as np

from sel_jax.errors import InputError
from sel_jax.images import codec

# The most plausible exposure, where a number may stand.
AUTO = 'auto'
# Half a level of 8 bits, so that black has a logarithm.
_HALF = 0.5 / 255
# What a request is kept within: a mean of 0 or 1 is no photograph.
LIMITS = 0.02, 0.98
# Side of the thumbnail, and of the middle whose noise is measured, pixels.
_SMALL, _MIDDLE = 256, 1024
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
# Stops that may be asked for, either way.
_STOPS = 5
# Exponent between light and encoded samples.
_GAMMA = 2.2


def check(exposure: float | str, ev: float) -> None:
  """Checks what is asked for.

  Args:
    exposure: 'auto', a mean intensity, or NaN, which asks for nothing.
    ev: stops of light brighter than that.

  Raises:
    InputError: if it cannot be asked for so.
  """
  if isinstance(exposure, str):
    if exposure != AUTO:
      raise InputError(f"exposure={exposure!r}: give '{AUTO}' or 0 to 1")
  elif not (math.isnan(exposure) or LIMITS[0] <= exposure <= LIMITS[1]):
    raise InputError(
      f'exposure={exposure}: is the mean intensity of the result; give '
      f'{LIMITS[0]} to {LIMITS[1]}'
    )
  if not abs(ev) <= _STOPS:
    raise InputError(f'ev={ev}: give -{_STOPS} to {_STOPS} stops of light')


def brighter(exposure: float, ev: float) -> float:
  """An exposure so many stops of light further: e 2^(ev / 2.2).

  Args:
    exposure: in [0, 1].
    ev: stops; below 0 is darker.
  """
  return min(max(exposure * 2 ** (ev / _GAMMA), LIMITS[0]), LIMITS[1])


def _float(image: np.ndarray) -> np.ndarray:
  return image if image.dtype.kind == 'f' else codec.to_float(image)


def _log(value: Any) -> Any:
  return np.log(np.asarray(value, np.float64) + _HALF)


def features(image: Shaped[np.ndarray, 'H W 3']) -> Float[np.ndarray, ' F']:
  """What is looked at: tones, colours, layout and noise of a photograph.

  Args:
    image: [H, W, 3] low light, float in [0, 1], or uint8 or uint16 samples.
  """
  height, width = image.shape[:2]
  share = min(1.0, _SMALL / max(height, width))
  size = max(1, round(width * share)), max(1, round(height * share))
  small = _float(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
  luma = small @ _LUMA
  tones = _log(np.quantile(luma, (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)))
  colours = _log(small.reshape(-1, 3).mean(0))
  mean, least = _log(small.mean()), 2 / 255
  rows, columns = luma.shape
  y, x = rows // 4, columns // 4
  middle = luma[y : rows - y, x : columns - x]
  chroma = (small.max(-1) - small.min(-1)).mean() / (luma.mean() + _HALF)
  return np.array(
    [
      *tones,
      mean,
      *(colours - mean)[:2],
      tones[4] - tones[0],
      _log(luma).std(),
      (luma < least).mean(),
      (small > 0.98).mean(),
      _log(middle.mean()) - _log(luma.mean()),
      _log(luma[: max(1, rows // 3)].mean()) - _log(luma.mean()),
      chroma,
      _log(_noise(image)),
    ],
    np.float64,
  )


def _noise(image: np.ndarray) -> float:
  """Median difference of a pixel from its neighbours, in the middle."""
  top, left = (max(0, (side - _MIDDLE) // 2) for side in image.shape[:2])
  middle = _float(np.ascontiguousarray(image[top:, left:][:_MIDDLE, :_MIDDLE]))
  luma = np.pad(middle @ _LUMA, 1, mode='edge')
  around = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:]
  return float(np.median(np.abs(luma[1:-1, 1:-1] - around / 4)))


def logit(exposure: Any) -> Any:
  """ln(e / (1 - e)), of e within `LIMITS`."""
  e = np.clip(exposure, *LIMITS)
  return np.log(e / (1 - e))


@dataclasses.dataclass(frozen=True)
class Plausible:
  """What is plausible of a photograph: logit e is normal.

  Attributes:
    mean: mean of logit e.
    deviation: standard deviation of logit e.
    least: mean intensity of the photograph itself, which no quantile is below.
  """

  mean: float
  deviation: float
  least: float

  def quantile(self, share: float) -> float:
    """The exposure that so much of the distribution is below.

    Args:
      share: above 0, below 1; 0.5 is the most plausible one.
    """
    z = statistics.NormalDist(self.mean, self.deviation).inv_cdf(share)
    e = 1 / (1 + math.exp(-z))
    return min(max(e, self.least, LIMITS[0]), LIMITS[1])

  def spread(self, count: int) -> list[float]:
    """So many exposures, dark to bright: the middles of equal shares of it.

    Args:
      count: how many; 1 is the most plausible one.
    """
    return [self.quantile((n + 0.5) / count) for n in range(count)]


def shared(series: Sequence[Plausible]) -> Plausible:
  """What is plausible of photographs that are to be equally bright.

  Args:
    series: what is plausible of each photograph, one at least.
  """
  return Plausible(
    mean=statistics.fmean(one.mean for one in series),
    deviation=math.sqrt(statistics.fmean(one.deviation**2 for one in series)),
    least=max(one.least for one in series),
  )


@dataclasses.dataclass(frozen=True, eq=False)
class Predictor:
  """Bayesian linear regression of logit e on `features` (Bishop 2006, 3.58).

  Attributes:
    center: means of the features, [F].
    scale: their standard deviations, [F].
    weights: posterior mean, [F].
    covariance: posterior covariance, [F, F].
    bias: logit e where every feature is at its mean.
    noise: variance of logit e around the line.
  """

  center: Float[np.ndarray, ' F']
  scale: Float[np.ndarray, ' F']
  weights: Float[np.ndarray, ' F']
  covariance: Float[np.ndarray, 'F F']
  bias: float
  noise: float

  def __call__(self, image: Shaped[np.ndarray, 'H W 3']) -> Plausible:
    """What is plausible of a photograph.

    Args:
      image: [H, W, 3] low light, float in [0, 1], or uint8 or uint16 samples.
    """
    x = (features(image) - self.center) / self.scale
    variance = self.noise + x @ self.covariance @ x
    return Plausible(
      mean=float(x @ self.weights) + self.bias,
      deviation=math.sqrt(variance),
      least=codec.mean_intensity(image),
    )

  def to_json(self) -> dict[str, Any]:
    """Its numbers, for a checkpoint."""
    every = dataclasses.asdict(self)
    return {name: np.asarray(value).tolist() for name, value in every.items()}

  @classmethod
  def from_json(cls, stored: Mapping[str, Any]) -> 'Predictor':
    """From what `to_json` gave.

    Raises:
      InputError: if it is not of this version's features.
    """
    names = [field.name for field in dataclasses.fields(cls)]
    count = len(features(np.zeros((4, 4, 3), np.float32)))
    if len(stored.get('center', ())) != count:
      raise InputError(
        f"the model's exposure predictor has {len(stored.get('center', ()))} "
        f'features, not {count}: it is of another version of sel_jax; use that'
      )
    shapes = dict.fromkeys(names[:3], (count,)) | {names[3]: (count, count)}
    shapes |= dict.fromkeys(names[4:], ())
    try:
      arrays = {n: np.asarray(stored[n], np.float64) for n in names}
    except (KeyError, TypeError, ValueError) as error:
      raise InputError(
        f"the model's exposure predictor is broken ({error!r}); get it anew"
      ) from error
    for name, array in arrays.items():
      if array.shape != shapes[name] or not np.isfinite(array).all():
        raise InputError(
          f"the model's exposure predictor is broken: {name} is not of "
          f'{shapes[name]} finite numbers; get it anew'
        )
    bias, noise = (float(arrays.pop(n)) for n in names[4:])
    return cls(**arrays, bias=bias, noise=noise)
