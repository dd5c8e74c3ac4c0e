"""A person's image file: its samples, and what else it says.

Contract: what is read is what is written again: depth, alpha, EXIF, colour
profile. Orientation is applied and its mark removed. Every failure is an
`InputError` that names the file.
"""

from collections.abc import Mapping
import dataclasses
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2
import tifffile

from sel_jax import files
from sel_jax.errors import InputError
from sel_jax.images import codec
from sel_jax.images import exif as directories
from sel_jax.images import heif
from sel_jax.images import raw

# Endings whose files can hold more than 8 bits, and an alpha channel.
DEEP = ('.png', '.tif', '.tiff', *heif.ENDINGS)
ALPHA = (*DEEP, '.webp', '.avif')

_JPEG = {'quality': 95, 'subsampling': 0}
_TIFF = {'compression': 'tiff_adobe_deflate'}
_OPTIONS: dict[str, dict[str, Any]] = {
  '.png': codec.PNG,
  '.jpg': _JPEG,
  '.jpeg': _JPEG,
  '.webp': {'quality': 95},
  '.avif': {'quality': 90, 'subsampling': '4:4:4'},
  **dict.fromkeys(heif.ENDINGS, heif.OPTIONS),
  '.tif': _TIFF,
  '.tiff': _TIFF,
}

_BROKEN_EXIF = 'its EXIF data are broken and were left out'
_ORIENTATION = 0x0112
# Tags that describe how the old samples were stored, or a thumbnail of them.
_OF_THE_SAMPLES = (
  254, 255, 256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 317, 320,
  322, 323, 324, 325, 338, 339, 513, 514, 530, 34675,
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Picture:
  """An image file's content.

  Attributes:
    pixels: [H, W, 3] uint8 or uint16, upright.
    alpha: [H, W, 1] of the same type, or None.
    exif: tags as Pillow holds them, without the orientation; none if broken.
    icc: colour profile of RGB samples, or nothing.
    remarks: what the file has that is not here.
  """

  pixels: np.ndarray
  alpha: np.ndarray | None
  exif: Image.Exif
  icc: bytes
  remarks: tuple[str, ...] = ()


def _rgb_profile(opened: Image.Image) -> bytes:
  """The colour profile, unless it is one of gray or CMYK samples."""
  profile = opened.info.get('icc_profile') or b''
  return profile if profile[16:20] == b'RGB ' else b''


def _kept(exif: Image.Exif) -> Image.Exif:
  """Without what describes the old samples."""
  for tag in [_ORIENTATION, *_OF_THE_SAMPLES]:
    exif.pop(tag, None)
  return exif


def read_picture(path: str | os.PathLike) -> Picture:
  """Reads an image file with all that is to be kept of it.

  Raises:
    InputError: if the file is missing, unreadable, truncated or no image.
  """
  path = Path(path)
  samples = codec.read_samples(path)
  if raw.is_raw(path):
    exif = raw.exif(path)
    return Picture(
      pixels=samples,
      alpha=None,
      exif=exif or Image.Exif(),
      icc=b'',
      remarks=() if exif else (_BROKEN_EXIF,),
    )
  with codec.opening(path) as opened:
    exif, frames, remarks = codec.tags(opened), _frames(opened), []
    if frames > 1:
      remarks.append(f'only the first of {frames} frames was taken')
    if exif is None:
      remarks.append(_BROKEN_EXIF)
    return Picture(
      pixels=np.ascontiguousarray(samples[:, :, :3]),
      alpha=samples[:, :, 3:] if samples.shape[2] == 4 else None,
      exif=Image.Exif() if exif is None else _kept(exif),
      icc=_rgb_profile(opened),
      remarks=tuple(remarks),
    )


def _frames(opened: Image.Image) -> int:
  """Images in an open file; where what follows the first is broken, one."""
  try:
    return getattr(opened, 'n_frames', 1)
  except Exception:  # whatever a library stumbles over costs no picture
    return 1


def write_picture(
  path: str | os.PathLike, image: np.ndarray, like: Picture
) -> None:
  """Writes a result with all that its source said, whole or not at all.

  16-bit samples stay 16 bits in PNG and TIFF, and become 10 in HEIC and 8
  elsewhere; alpha stays in PNG, TIFF, WebP, AVIF and HEIC. JPEG and WebP are
  written at quality 95, AVIF and HEIC at 90.

  Args:
    path: the ending chooses the format.
    image: [H, W, 3] float in [0, 1].
    like: where depth, alpha, EXIF and profile come from.

  Raises:
    InputError: for an unknown ending, or if the file cannot be written.
  """
  path = Path(path)
  ending = path.suffix.lower()
  codec.require_written(path)
  deep = like.pixels.dtype == np.uint16 and ending in DEEP
  samples = codec.to_uint16(image) if deep else codec.to_uint8(image)
  if like.alpha is not None and ending in ALPHA:
    alpha = like.alpha
    if not deep and alpha.dtype == np.uint16:
      alpha = codec.to_uint8(codec.to_float(alpha))
    samples = np.concatenate([samples, alpha], axis=2)
  with files.replacing(path) as part:
    try:
      if not deep:
        _write_8_bit(part, samples, like)
      elif ending == '.png':
        part.write_bytes(_deep_png(samples, like))
      elif ending in heif.ENDINGS:
        exif = like.exif.tobytes() if len(like.exif) else b''
        heif.write_16_bit(part, samples, exif=exif, icc=like.icc)
      else:
        _write_deep_tiff(part, samples, like)
    except (ValueError, cv2.error) as error:
      raise InputError(
        f'{path}: cannot be encoded so ({error}); choose another format'
      ) from error


def _write_8_bit(path: Path, samples: np.ndarray, like: Picture) -> None:
  options: dict[str, Any] = {'exif': like.exif} | _OPTIONS.get(
    path.suffix.lower(), {}
  )
  if like.icc:
    options['icc_profile'] = like.icc
  Image.fromarray(samples).save(path, **options)


def _deep_png(samples: np.ndarray, like: Picture) -> bytes:
  order = [2, 1, 0, 3][: samples.shape[2]]
  kinds, values = [], []
  if len(like.exif):
    kinds.append(cv2.IMAGE_METADATA_EXIF)
    values.append(like.exif.tobytes().removeprefix(b'Exif\x00\x00'))
  if like.icc:
    kinds.append(cv2.IMAGE_METADATA_ICCP)
    values.append(like.icc)
  blobs = [np.frombuffer(value, np.uint8) for value in values]
  image = np.ascontiguousarray(samples[:, :, order])
  done, encoded = cv2.imencodeWithMetadata('.png', image, kinds, blobs)
  if not done:
    raise OSError(None, 'PNG encoder failed')
  return encoded.tobytes()


def _write_deep_tiff(path: Path, samples: np.ndarray, like: Picture) -> None:
  """With the tags of text in the first directory, and the camera's and GPS."""
  parts = {tag: dict(like.exif.get_ifd(tag)) for tag in directories.PARTS}
  tags: list[Any] = [
    (int(tag), 's', 0, value, True)
    for tag, value in like.exif.items()
    if isinstance(value, str) and tag not in (270, 305)
  ]
  # Under the number before, as tifffile writes no such tags.
  tags += [(n - 1, 'I', 1, 0, True) for n, values in parts.items() if values]
  tifffile.imwrite(
    path,
    samples,
    photometric='rgb',
    extrasamples=['unassalpha'] if samples.shape[2] == 4 else None,
    compression='adobe_deflate',
    iccprofile=like.icc or None,
    description=like.exif.get(270),
    software=like.exif.get(305, 'sel_jax'),
    extratags=tags,
    metadata=None,
  )
  for tag, values in parts.items():
    if values:
      _append_part(path, tag, values)


def _append_part(path: Path, tag: int, values: Mapping[int, Any]) -> None:
  """Writes a directory of tags behind a TIFF; the tag before becomes `tag`."""
  with tifffile.TiffFile(path, mode='r+') as file:
    handle = file.filehandle
    order = b'II*\0' if file.byteorder == '<' else b'MM\0*'
    part = ImageFileDirectory_v2(order + bytes(4))
    for name, value in values.items():
      part[name] = value
    offset = handle.size + handle.size % 2
    handle.seek(offset)
    handle.write(part.tobytes(offset))
    placed = file.pages.first.tags[tag - 1]
    placed.overwrite(offset)
    handle.seek(placed.offset)
    handle.write(tag.to_bytes(2, 'little' if order[:1] == b'I' else 'big'))
