"""HEIC files, by pillow-heif, an extra.

Contract: what a file holds decides, not its name. Pillow opens such a file by
the formats that `formats` gives; samples of more than 8 bits go by here.
"""

import functools
import os
from pathlib import Path
from types import ModuleType

from jaxtyping import UInt16
import numpy as np
from PIL import Image

from sel_jax.errors import InputError

ENDINGS = ('.heic', '.heif', '.hif')
# What Pillow calls the format.
FORMAT = 'HEIF'

# ISO/IEC 23008-12: images coded by HEVC, and sequences of them.
_BRANDS = {b'heic', b'heix', b'heim', b'heis', b'hevc', b'hevx'}
# Bytes in which a file says what it is.
_HEAD = 64
# How Pillow and `write_16_bit` write them.
OPTIONS = {'quality': 90}


@functools.cache
def _library() -> ModuleType | None:
  try:
    import pillow_heif
  except ImportError:
    return None
  pillow_heif.register_heif_opener()
  return pillow_heif


def require(path: Path) -> ModuleType:
  """pillow-heif, by which Pillow reads and writes such files from then on.

  Args:
    path: the file that it is for.

  Raises:
    InputError: if it is not installed.
  """
  if (library := _library()) is None:
    raise InputError(
      f'{path}: HEIC needs pillow-heif: pip install pillow-heif, or '
      '"sel-jax[heif]"'
    )
  return library


def formats(path: str | os.PathLike) -> tuple[str, ...]:
  """What Pillow is to try beside its own formats: nothing, or this one.

  Args:
    path: a file.

  Raises:
    InputError: if it is such a file and pillow-heif is not installed.
  """
  with open(path, 'rb') as file:
    head = file.read(_HEAD)
  length = int.from_bytes(head[:4], 'big')
  brands = {head[at : at + 4] for at in range(8, min(length, len(head)), 4)}
  if head[4:8] != b'ftyp' or not brands & _BRANDS:
    return ()
  require(Path(path))
  return (FORMAT,)


def is_deep(opened: Image.Image) -> bool:
  """Whether an open file has more than 8 bits a sample."""
  return opened.format == FORMAT and opened.info.get('bit_depth', 8) > 8


def read_16_bit(path: Path) -> UInt16[np.ndarray, 'H W C']:
  """10-bit or 12-bit samples, of the full range of 16 bits, upright."""
  library = require(path)
  opened = library.open_heif(path, convert_hdr_to_8bit=False)
  return np.array(opened)


def write_16_bit(
  path: Path,
  samples: UInt16[np.ndarray, 'H W C'],
  *,
  exif: bytes,
  icc: bytes,
) -> None:
  """Writes samples as 10 bits each.

  Args:
    path: where to.
    samples: RGB, or RGBA.
    exif: EXIF data, or nothing.
    icc: a colour profile, or nothing.
  """
  height, width, channels = samples.shape
  image = require(path).from_bytes(
    mode='RGB;16' if channels == 3 else 'RGBA;16',
    size=(width, height),
    data=np.ascontiguousarray(samples).tobytes(),
  )
  known = {'exif': exif or None, 'icc_profile': icc or None}
  image.save(path, **OPTIONS, **known)
