"""Raw files of cameras, by rawpy (LibRaw), an extra.

Contract: developed as the camera would: its white balance, sRGB, no lightening;
never written. What LibRaw says against a file is a `ValueError`.
"""

from collections.abc import Generator
import contextlib
import io
from pathlib import Path
from typing import Any

from jaxtyping import UInt16
import numpy as np
from PIL import Image

from sel_jax import limits
from sel_jax.errors import InputError
from sel_jax.images import exif as directories

ENDINGS = (
  '.dng', '.cr2', '.cr3', '.nef', '.arw', '.raf', '.orf', '.rw2', '.pef',
)  # fmt: skip
# What a result is written as: 16 bits a sample.
RESULT = '.tif'

# sRGB's slope and exponent, as LibRaw takes them.
_CURVE = 2.4, 12.92
# LibRaw's quarter turns.
_TURNED = 5, 6
# Description, maker, model, date, author, rights.
_TEXTS = 270, 271, 272, 306, 315, 33432
_MAKER_NOTE = 37500


def is_raw(path: Path) -> bool:
  """Whether the file's name ends like a camera's raw file."""
  return path.suffix.lower() in ENDINGS


@contextlib.contextmanager
def _opening(path: Path) -> Generator[Any, None, None]:
  """LibRaw's view of a file, whose size is within the limit."""
  try:
    import rawpy
  except ImportError as error:
    raise InputError(
      f'{path}: raw files need rawpy: pip install rawpy, or "sel-jax[raw]"'
    ) from error
  try:
    with open(path, 'rb') as file, rawpy.imread(file) as opened:
      sizes = opened.sizes
      limits.check(path, height=sizes.raw_height, width=sizes.raw_width)
      limits.check(path, height=sizes.iheight, width=sizes.iwidth)
      yield opened
  except rawpy.LibRawError as error:
    said = error.args[0] if error.args else ''
    said = said.decode(errors='replace') if isinstance(said, bytes) else said
    raise ValueError(said) from error


def size(path: Path) -> tuple[int, int]:
  """Height and width by the header, upright."""
  with _opening(path) as opened:
    sizes = opened.sizes
    height, width = sizes.iheight, sizes.iwidth
    return (width, height) if sizes.flip in _TURNED else (height, width)


def develop(path: Path) -> UInt16[np.ndarray, 'H W 3']:
  """Demosaiced samples, upright, sRGB."""
  with _opening(path) as opened:
    image = opened.postprocess(
      use_camera_wb=True, no_auto_bright=True, output_bps=16, gamma=_CURVE
    )
  return image if image.shape[2] == 3 else np.repeat(image[:, :, :1], 3, axis=2)


def exif(path: Path) -> Image.Exif | None:
  """What the camera said of the photograph, or None if that is broken.

  Its own notes are left out: they point into the raw file.
  """
  try:
    return _kept(_tags(path))
  except Exception:  # whatever a library stumbles over costs no picture
    return None


def _tags(path: Path) -> Image.Exif:
  """The file's own tags, or those of the preview in it."""
  found = Image.Exif()
  with open(path, 'rb') as file:
    head = file.read(4)
    file.seek(0)
    if head[:2] in (b'II', b'MM') and 42 in head[2:]:
      found.load_from_fp(file)
      return directories.loaded(found)
  with _opening(path) as opened:
    preview = opened.extract_thumb()
  with Image.open(io.BytesIO(preview.data), formats=['JPEG']) as opened:
    return directories.loaded(opened.getexif())


def _kept(found: Image.Exif) -> Image.Exif:
  """Of the tags, those that say nothing of how the samples were stored."""
  exif = Image.Exif()
  for tag in _TEXTS:
    if isinstance(found.get(tag), str):
      exif[tag] = found[tag]
  for part in directories.PARTS:
    if values := dict(found.get_ifd(part)):
      values.pop(_MAKER_NOTE, None)
      exif.get_ifd(part).update(values)
  exif.tobytes()
  return exif
