"""What is drawn beside a result: previews, maps, strips.

Contract: arrays in, 8-bit pictures out; no file is touched.
"""

import cv2
from jaxtyping import Float
from jaxtyping import UInt8
from jaxtyping import UInt16
import numpy as np

from sel_jax.arrays import Rgb8
from sel_jax.images import codec

# Longest side of each half of a preview.
_PREVIEW = 1024
# Most states of a strip, and the longest side of each.
_SHOWN, _FRAME = 8, 320
# Standard deviation that is drawn brightest.
_WIDEST = 0.1


def spread(samples: Float[np.ndarray, 'N H W 3']) -> Float[np.ndarray, 'H W']:
  """Standard deviation over samples, the root mean square of the channels.

  Args:
    samples: at least two, in [0, 1].
  """
  variance = np.var(np.asarray(samples, np.float64), axis=0, ddof=1)
  return np.sqrt(variance.mean(axis=-1)).astype(np.float32)


def spread_map(
  samples: Float[np.ndarray, 'N H W 3'],
) -> UInt8[np.ndarray, 'H W 3']:
  """The samples' standard deviation as colours, dark is 0.

  The same colours on every photograph, so that maps can be compared.

  Args:
    samples: at least two, in [0, 1].
  """
  levels = codec.to_uint8(np.clip(spread(samples) / _WIDEST, 0, 1))
  colors = cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)
  return np.ascontiguousarray(colors[:, :, ::-1])


def strip(
  states: Float[np.ndarray, 'T H W 3'],
) -> UInt8[np.ndarray, 'h w 3']:
  """The sampler's states from left to right, evenly spread, eight at most.

  Args:
    states: from x_T to x_0; clamped to [0, 1].
  """
  count = min(_SHOWN, len(states))
  chosen = np.linspace(0, len(states) - 1, count).round().astype(int)
  frames = [reduced(codec.to_uint8(states[n]), _FRAME) for n in chosen]
  return np.concatenate(frames, axis=1)


def reduced(image: Rgb8, side: int) -> UInt8[np.ndarray, 'h w 3']:
  """The image, its longer side at most `side` pixels.

  Args:
    image: the photograph.
    side: pixels; a smaller image stays as it is.
  """
  scale = min(1.0, side / max(image.shape[:2]))
  size = [max(1, round(length * scale)) for length in image.shape[1::-1]]
  return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def preview(
  low: UInt8[np.ndarray, 'H W 3'] | UInt16[np.ndarray, 'H W 3'],
  result: Float[np.ndarray, 'H W 3'],
) -> UInt8[np.ndarray, 'h w 3']:
  """A photograph as its file holds it and its result, side by side."""
  halves = codec.to_uint8(codec.to_float(low)), codec.to_uint8(result)
  return np.concatenate([reduced(half, _PREVIEW) for half in halves], axis=1)
