"""Files as cameras write them, of the smallest kind that is read."""

import io
from pathlib import Path

import numpy as np
import tifffile

# White balance of `write_dng`: what gray is to the sensor.
NEUTRAL = 0.5, 1.0, 0.7
BLACK, WHITE = 512, 16383
# XYZ to sRGB's primaries (IEC 61966-2-1): those of this sensor.
PRIMARIES = (
  3.2406, -1.5372, -0.4986, -0.9689, 1.8758, 0.0415, 0.0557, -0.2040, 1.0570,
)  # fmt: skip


def mosaic(image: np.ndarray) -> np.ndarray:
  """What a sensor with red, green, green, blue sees of [H, W, 3] of light."""
  light = image * np.array(NEUTRAL)
  seen = light[:, :, 1].copy()
  seen[::2, ::2] = light[::2, ::2, 0]
  seen[1::2, 1::2] = light[1::2, 1::2, 2]
  return np.rint(BLACK + seen * (WHITE - BLACK)).astype(np.uint16)


def _fractions(values) -> tuple[int, ...]:
  return tuple(n for value in values for n in (round(value * 10000), 10000))


def write_dng(
  path: Path | io.BytesIO, image: np.ndarray, *, orientation: int = 1, **options
) -> None:
  """Writes [H, W, 3] of linear light in [0, 1] as an uncompressed DNG."""
  tags = [
    (50706, 'B', 4, (1, 4, 0, 0), True),
    (33421, 'H', 2, (2, 2), True),
    (33422, 'B', 4, (0, 1, 1, 2), True),
    (50721, '2i', 9, _fractions(PRIMARIES), True),
    (50728, '2I', 3, _fractions(NEUTRAL), True),
    (50714, 'H', 1, BLACK, True),
    (50717, 'H', 1, WHITE, True),
    (50778, 'H', 1, 21, True),
    (50708, 's', 0, 'Maker Model', True),
    (271, 's', 0, 'Maker', True),
    (272, 's', 0, 'Model', True),
    (274, 'H', 1, orientation, True),
    (306, 's', 0, '2020:01:01 00:00:00', True),
  ]
  tifffile.imwrite(
    path,
    mosaic(image),
    photometric=32803,
    extratags=tags + options.pop('extratags', []),
    metadata=None,
    **options,
  )
