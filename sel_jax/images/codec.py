"""Image files in and out.

Contract: inside, an image is RGB [H, W, 3], uint8 or uint16 as the file holds
it, upright by its EXIF orientation; `to_float` maps it to float32 in [0, 1].
Every failure is an `InputError` that names the file.
"""

from collections.abc import Generator
import contextlib
import errno
import os
from pathlib import Path
import stat
import warnings
import zlib

import cv2
import numpy as np
from PIL import Image
from PIL import ImageFile
from PIL import UnidentifiedImageError
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
import tifffile

from sel_jax import files
from sel_jax import limits
from sel_jax.errors import InputError
from sel_jax.images import exif
from sel_jax.images import heif
from sel_jax.images import raw

WRITTEN = (
  '.png', '.jpg', '.jpeg', '.webp', '.avif', '.bmp', '.tif', '.tiff',
  *heif.ENDINGS,
)  # fmt: skip
EXTENSIONS = (*WRITTEN, *raw.ENDINGS)
# In words.
KINDS = 'PNG, JPEG, WebP, AVIF, HEIC, BMP, TIFF or a raw file'
# No others: Pillow would hand PostScript to whatever interprets it here.
_FORMATS = ('PNG', 'JPEG', 'WEBP', 'AVIF', 'BMP', 'TIFF')

# Runs alone: of photographs 1 % smaller than zlib's default, 5 times as fast.
PNG = {'compress_level': 1, 'compress_type': zlib.Z_RLE}

# Rows and columns that a mean is taken of.
_ENOUGH = 1024
_EXIF_ORIENTATION = 0x0112
_TIFF_BITS, _TIFF_PLANES = 258, 284
_TIFF_SIZE = (256, 257)  # width, height
# EXIF orientation -> (quarter turns counter-clockwise, then mirror columns).
_ORIENT = {
  1: (0, False),
  2: (0, True),
  3: (2, False),
  4: (2, True),
  5: (3, True),
  6: (3, False),
  7: (1, True),
  8: (1, False),
}


def is_image(path: Path) -> bool:
  """Whether the file's name ends like an image's."""
  return path.suffix.lower() in EXTENSIONS


def is_written(path: Path) -> bool:
  """Whether the file's name ends like an image's that can be written."""
  return path.suffix.lower() in WRITTEN


def require_written(path: Path) -> None:
  """Raises InputError unless an image of that name can be written."""
  if not is_written(path):
    raise InputError(
      f'{path}: unknown image format; use one of {", ".join(WRITTEN)}'
    )
  if path.suffix.lower() in heif.ENDINGS:
    heif.require(path)


def result_path(path: Path) -> Path:
  """A photograph's path, or where it can be written if it is a raw file's."""
  return path.with_suffix(raw.RESULT) if raw.is_raw(path) else path


def _orient(image: np.ndarray, orientation: int) -> np.ndarray:
  turns, mirror = _ORIENT.get(orientation, (0, False))
  image = np.rot90(image, turns)
  return np.ascontiguousarray(image[:, ::-1] if mirror else image)


def _is_16_bit(opened: Image.Image, path: Path) -> bool:
  if opened.mode.startswith('I') or opened.mode == 'F':
    return True
  if opened.format == 'PNG':  # Pillow reads 16-bit RGB as 8-bit without a word
    with open(path, 'rb') as file:
      return file.read(25)[24] == 16
  if isinstance(opened, TiffImageFile):
    return max(opened.tag_v2.get(_TIFF_BITS, (8,))) > 8
  return False


def _read_16_bit(path: Path) -> np.ndarray:
  """16-bit samples, [H, W, 3 or 4]; no copy of them besides."""
  image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
  if image is None or image.dtype != np.uint16:
    kind = 'nothing' if image is None else str(image.dtype)
    raise InputError(
      f'{path}: holds {kind}, not 8-bit or 16-bit samples; save it as 16-bit '
      'PNG or TIFF'
    )
  if image.ndim == 2:
    return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
  swap = cv2.COLOR_BGR2RGB if image.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
  return cv2.cvtColor(image, swap, dst=image)


def _in_planes(opened: Image.Image) -> bool:
  tagged = isinstance(opened, TiffImageFile)
  return tagged and opened.tag_v2.get(_TIFF_PLANES, 1) == 2


def _read_planes(path: Path) -> np.ndarray:
  """16-bit samples of a TIFF, channel by channel; OpenCV mixes them up."""
  with tifffile.TiffFile(path) as file:
    image = np.asarray(file.pages[0].asarray())
  if image.dtype != np.uint16 or image.ndim != 3 or image.shape[0] < 3:
    raise InputError(
      f'{path}: holds {image.dtype} samples in {image.shape[0]} planes; save '
      'it as 16-bit PNG or TIFF, its channels together'
    )
  return np.ascontiguousarray(np.moveaxis(image[:4], 0, 2))


def _decode(opened: Image.Image, path: Path) -> np.ndarray:
  """All samples of an open file, upright: RGB, or RGBA if it has alpha."""
  if heif.is_deep(opened):
    return heif.read_16_bit(path)
  if _is_16_bit(opened, path):
    if _in_planes(opened):
      return _orient(_read_planes(path), _orientation(opened))
    image = _read_16_bit(path)
    if opened.format == 'TIFF':  # OpenCV has turned it already
      return np.ascontiguousarray(image)
    return _orient(image, _orientation(opened))
  mode = 'RGBA' if opened.has_transparency_data else 'RGB'
  image = np.array(opened if opened.mode == mode else opened.convert(mode))
  # Asked now: Pillow turns a TIFF as it decodes it, and marks it so.
  return _orient(image, _orientation(opened))


def _orientation(opened: Image.Image) -> int:
  """By its EXIF data; upright where they are broken."""
  found = tags(opened)
  return 1 if found is None else found.get(_EXIF_ORIENTATION, 1)


def tags(opened: Image.Image) -> Image.Exif | None:
  """An open file's EXIF data, or None if they are broken."""
  try:
    found = exif.loaded(opened.getexif())
    found.tobytes()
  except Exception:  # whatever a library stumbles over costs no picture
    return None
  return found


def _require_file(path: Path) -> None:
  """Refuses what would be waited for, or never end, without opening it."""
  mode = os.stat(path).st_mode
  if stat.S_ISDIR(mode):
    raise InputError(f'{path}: a folder, not an image; rename it')
  if not stat.S_ISREG(mode):
    raise InputError(
      f'{path}: a pipe, socket or device, not an image; give a file'
    )


def _check_size(opened: Image.Image, path: Path) -> None:
  sizes = [opened.size]
  if isinstance(opened, TiffImageFile):  # a tag may say more than the size
    sizes.append(tuple(opened.tag_v2.get(tag, 1) for tag in _TIFF_SIZE))
  for width, height in sizes:
    limits.check(path, height=height, width=width)


@contextlib.contextmanager
def opening(path: Path) -> Generator[Image.Image, None, None]:
  """An image file opened by Pillow; whatever is wrong with it in one sentence.

  Raises:
    InputError: if the file is missing, unreadable, truncated or no image.
  """
  with _in_a_sentence(path):
    if limits.pixels() > (Image.MAX_IMAGE_PIXELS or limits.pixels()):
      Image.MAX_IMAGE_PIXELS = limits.pixels()  # a person allowed it
    # TFDS switches it on for the process: a cut file would be half black.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    with warnings.catch_warnings():
      # Remarks of Pillow's: what matters of them is an error, or none.
      warnings.filterwarnings('ignore', module=r'PIL\.')
      formats = (*_FORMATS, *heif.formats(path))
      with Image.open(path, formats=formats) as opened:
        _check_size(opened, path)
        yield opened


@contextlib.contextmanager
def _in_a_sentence(path: Path) -> Generator[None, None, None]:
  """Whatever is wrong with a file that is read."""
  try:
    _require_file(path)
    yield
  except InputError:
    raise
  except FileNotFoundError as error:
    raise InputError(f'{path}: no such file; check the path') from error
  except UnidentifiedImageError as error:
    raise InputError(
      f'{path}: not an image that can be read; give {KINDS}'
    ) from error
  except PermissionError as error:
    raise InputError(f'{path}: may not be read; change its rights') from error
  except Image.DecompressionBombError as error:
    raise limits.too_large(path, 0) from error
  except MemoryError as error:
    raise InputError(
      f'{path}: takes more memory than there is; reduce it first'
    ) from error
  except Exception as e:  # of whatever kind: it is this file's
    if isinstance(e, OSError) and e.errno == errno.ELOOP:
      e = 'a link that leads to itself'
    raise InputError(
      f'{path}: broken or truncated ({e}); replace or remove the file'
    ) from None


def read_image(path: str | os.PathLike) -> np.ndarray:
  """Reads a photograph's colours.

  Gray, palette and CMYK images become RGB; an alpha channel is dropped.

  Args:
    path: PNG, JPEG, WebP, AVIF, HEIC, BMP or TIFF, 8 or 16 bits a sample, or
      a camera's raw file.

  Returns:
    [H, W, 3] uint8 or uint16, upright.

  Raises:
    InputError: if the file is missing, unreadable, truncated or no image.
  """
  return np.ascontiguousarray(read_samples(path)[:, :, :3])


def read_samples(path: str | os.PathLike) -> np.ndarray:
  """As `read_image`, with the alpha channel if there is one: [H, W, 3 or 4]."""
  path = Path(path)
  if raw.is_raw(path):
    with _in_a_sentence(path):
      return raw.develop(path)
  with opening(path) as opened:
    return _decode(opened, path)


def _has_exif(opened: Image.Image, path: Path) -> bool:
  """Whether a PNG has EXIF data; Pillow would decode it to find out."""
  if 'exif' in opened.info or 'Raw profile type exif' in opened.info:
    return True
  with open(path, 'rb') as file:
    file.seek(8)
    while len(head := file.read(8)) == 8:
      if head[4:] == b'eXIf':
        return True
      file.seek(int.from_bytes(head[:4], 'big') + 4, os.SEEK_CUR)
  return False


def read_size(path: str | os.PathLike) -> tuple[int, int]:
  """Height and width of an image by its header, upright.

  Raises:
    InputError: if the file is missing, unreadable or no image.
  """
  path = Path(path)
  if raw.is_raw(path):
    with _in_a_sentence(path):
      return raw.size(path)
  with opening(path) as opened:
    marked = not isinstance(opened, PngImageFile) or _has_exif(opened, path)
    turns, _ = _ORIENT.get(_orientation(opened) if marked else 1, (0, False))
    width, height = opened.size
    if isinstance(opened, TiffImageFile):  # some Pillows have turned its size
      width, height = (opened.tag_v2[tag] for tag in _TIFF_SIZE)
  return (width, height) if turns % 2 else (height, width)


def to_float(image: np.ndarray) -> np.ndarray:
  """uint8 or uint16 samples to float32 in [0, 1]."""
  return image.astype(np.float32) / np.iinfo(image.dtype).max


def mean_intensity(image: np.ndarray) -> float:
  """Mean of the samples of a photograph, in [0, 1].

  Args:
    image: [H, W, 3], uint8 or uint16, or float in [0, 1]; of a large one, a
      part of the rows and columns, evenly spread, is enough.
  """
  steps = [max(1, side // _ENOUGH) for side in image.shape[:2]]
  part = np.ascontiguousarray(image[:: steps[0], :: steps[1]])
  scale = 1.0 if image.dtype.kind == 'f' else np.iinfo(image.dtype).max
  return sum(cv2.mean(part)[:3]) / 3 / scale  # 10 times as fast as NumPy's


def to_uint16(image: np.ndarray) -> np.ndarray:
  """Float intensities to uint16, rounded, clamped to [0, 1] first."""
  wide = np.clip(np.asarray(image), 0, 1).astype(np.float64) * 65535
  return np.rint(wide).astype(np.uint16)


def to_uint8(image: np.ndarray) -> np.ndarray:
  """Float intensities to uint8, rounded, clamped to [0, 1] first."""
  return np.rint(np.clip(np.asarray(image), 0, 1) * 255).astype(np.uint8)


def write_image(path: str | os.PathLike, image: np.ndarray) -> None:
  """Writes [H, W, 3] as 8 bits a sample, whole or not at all.

  Args:
    path: the ending chooses the format; JPEG and WebP at quality 95.
    image: float in [0, 1], or uint8.

  Raises:
    InputError: for an unknown ending, or if the file cannot be written.
  """
  path = Path(path)
  require_written(path)
  pixels = image if image.dtype == np.uint8 else to_uint8(image)
  with files.replacing(path) as part:
    Image.fromarray(pixels).save(part, quality=95, **PNG)
