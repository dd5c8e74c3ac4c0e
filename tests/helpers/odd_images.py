"""Image files that no camera meant to write, a seeded stream of them.

Contract: the same seed and number give the same bytes; no file is larger than
a megabyte, whatever its header says.
"""

from collections.abc import Callable
from collections.abc import Iterator
import dataclasses
import io
from pathlib import Path
import struct
import zlib

import numpy as np
from PIL import Image
import pillow_heif
import tifffile

from helpers import camera_files

pillow_heif.register_heif_opener()

_SIDES = 1, 2, 3, 7, 16, 33, 64, 97


@dataclasses.dataclass(frozen=True)
class Odd:
  """A file.

  Attributes:
    name: of the file; bytes that are no text are there as surrogates.
    content: its bytes.
    kind: how it was made.
  """

  name: str
  content: bytes
  kind: str

  def write(self, folder: Path) -> Path:
    """Writes it to a folder and returns its path."""
    path = folder / self.name
    path.write_bytes(self.content)
    return path


def _pixels(rng: np.random.Generator, channels: int = 3) -> np.ndarray:
  height, width = rng.choice(_SIDES, 2)
  image = rng.integers(0, 80, (height, width, channels)).astype(np.uint8)
  return image[:, :, 0] if channels == 1 else image


def _bytes_of(image: Image.Image, kind: str, **options) -> bytes:
  file = io.BytesIO()
  image.save(file, kind, **options)
  return file.getvalue()


# Format of Pillow -> modes that it writes.
_COMMON = ('L', 'P', 'RGB', 'RGBA')
_MODES = {
  'PNG': (*_COMMON, '1', 'LA', 'I;16'),
  'JPEG': ('L', 'RGB', 'CMYK', 'YCbCr'),
  'WEBP': _COMMON,
  'AVIF': ('L', 'RGB', 'RGBA'),
  'HEIF': ('L', 'RGB', 'RGBA'),
  'BMP': (*_COMMON, '1'),
  'TIFF': (*_COMMON, '1', 'LA', 'CMYK', 'YCbCr', 'LAB', 'I;16', 'I', 'F'),
}
_ENDING = {
  'PNG': '.png',
  'JPEG': '.jpg',
  'WEBP': '.webp',
  'AVIF': '.avif',
  'HEIF': '.heic',
  'BMP': '.bmp',
  'TIFF': '.tif',
}


def _of_mode(rng: np.random.Generator, mode: str) -> Image.Image:
  gray = _pixels(rng, 1)
  if mode == 'I;16':
    return Image.fromarray(gray.astype(np.uint16) * 200)
  if mode == 'LAB':
    return Image.frombytes('LAB', gray.shape[::-1], np.dstack([gray] * 3))
  return Image.fromarray(_pixels(rng)).convert(mode)


def _whole(rng: np.random.Generator) -> tuple[str, bytes]:
  """A file as Pillow writes it, of any container and mode."""
  kind = rng.choice(list(_MODES))
  mode = rng.choice(_MODES[kind])
  options: dict = {}
  if kind == 'JPEG':
    options = {
      'progressive': bool(rng.integers(2)),
      'quality': int(rng.integers(1, 101)),
    }
  if kind == 'TIFF' and mode != 'YCbCr':
    options['compression'] = rng.choice(
      ['raw', 'tiff_lzw', 'tiff_adobe_deflate', 'packbits']
    )
  if kind in ('PNG', 'WEBP', 'JPEG') and rng.integers(2):
    options |= _metadata(rng)
  return _ENDING[kind], _bytes_of(_of_mode(rng, mode), kind, **options)


def _metadata(rng: np.random.Generator) -> dict:
  exif = Image.Exif()
  exif[0x0112] = int(rng.choice([0, 1, 3, 6, 8, 9, 65535]))
  exif[0x010F] = 'maker' * int(rng.integers(1, 50))
  found = {'exif': exif.tobytes()}
  if rng.integers(2):
    found['exif'] = found['exif'][: rng.integers(1, len(found['exif']) + 1)]
  if rng.integers(2):
    found['icc_profile'] = rng.bytes(int(rng.integers(0, 400)))
  return found


def _tiff(rng: np.random.Generator) -> tuple[str, bytes]:
  """A TIFF of a scientist: floats, many channels, pages, tiles, planes."""
  kind = rng.choice(
    ['uint8', 'uint16', 'int16', 'uint32', 'float16', 'float32', 'float64']
  )
  shape = [int(side) for side in rng.choice(_SIDES, 2)]
  channels = int(rng.choice([1, 2, 3, 4, 5]))
  data = (rng.random((*shape, channels)) * 200).astype(kind)
  options: dict = {'photometric': 'rgb' if channels > 2 else 'minisblack'}
  if channels in (1, 2):
    data = data[:, :, 0]
  if rng.integers(2):
    options['compression'] = rng.choice(['zlib', 'lzw'])
  if rng.integers(4) == 0:
    options['tile'] = (16, 16)
  options['bigtiff'] = bool(rng.integers(2))
  options['byteorder'] = rng.choice(['<', '>'])
  if rng.integers(4) == 0:
    data = np.stack([data] * 3)
  if channels > 2 and rng.integers(3) == 0:
    data = np.moveaxis(data, -1, -3)
    options['planarconfig'] = 'separate'
  file = io.BytesIO()
  try:
    tifffile.imwrite(file, data, **options)
  except (ValueError, KeyError, ImportError):  # no such combination
    return '.tif', rng.bytes(30)
  return '.tif', file.getvalue()


def _raw(rng: np.random.Generator) -> tuple[str, bytes]:
  file, sides = io.BytesIO(), rng.choice(_SIDES[-3:], 2)  # LibRaw's least: 22
  orientation = int(rng.choice([0, 1, 3, 6, 8, 9]))
  image = rng.random((*sides, 3)) * 0.1
  camera_files.write_dng(file, image, orientation=orientation)
  return '.dng', file.getvalue()


def _animated(rng: np.random.Generator) -> tuple[str, bytes]:
  kind = rng.choice(['PNG', 'WEBP', 'TIFF', 'GIF'])
  frames = [Image.fromarray(_pixels(rng)).resize((20, 10)) for _ in range(3)]
  content = _bytes_of(frames[0], kind, save_all=True, append_images=frames[1:])
  return _ENDING.get(kind, '.png'), content


_STRANGERS = (
  b'',
  b'\x00' * 64,
  b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
  b'<!DOCTYPE html><html><body>404</body></html>',
  b'%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\n',
  b'\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic',
  b'\x00\x00\x00\x1cftypavif\x00\x00\x00\x00avifmif1miaf',
  b'II*\x00\x08\x00\x00\x00\x00\x00',
  b'GIF89a',
  b'\xff\xd8\xff',
  b'\x89PNG\r\n\x1a\n',
  b'BM',
  b'RIFF\x10\x00\x00\x00WEBPVP8 ',
  b'PK\x03\x04',
  b'\x7fELF\x02\x01\x01',
  b'P6\n4 4\n255\n' + b'\x01' * 48,
  b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n',
  b'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n',
)


def _stranger(rng: np.random.Generator) -> tuple[str, bytes]:
  """What is no photograph, named as one."""
  content = _STRANGERS[rng.integers(len(_STRANGERS))]
  return str(rng.choice([*_ENDING.values(), '.dng', '.nef'])), content


def _truncated(rng: np.random.Generator) -> tuple[str, bytes]:
  ending, content = _sound(rng)
  return ending, content[: rng.integers(0, len(content))]


def _flipped(rng: np.random.Generator) -> tuple[str, bytes]:
  ending, content = _sound(rng)
  changed = np.frombuffer(content, np.uint8).copy()
  near = len(changed) if rng.integers(2) else min(len(changed), 64)
  where = rng.integers(0, near, rng.integers(1, 9))
  changed[where] ^= rng.integers(1, 256, len(where)).astype(np.uint8)
  return ending, changed.tobytes()


def _spliced(rng: np.random.Generator) -> tuple[str, bytes]:
  """The beginning of one file and the end of another."""
  (ending, first), (_, second) = _sound(rng), _sound(rng)
  at = rng.integers(0, len(first))
  return ending, first[:at] + second[rng.integers(0, len(second)) :]


def _sound(rng: np.random.Generator) -> tuple[str, bytes]:
  return (_whole, _whole, _tiff, _raw)[rng.integers(4)](rng)


def png_of(
  width: int, height: int, *, depth: int = 8, color: int = 2, rows: bytes = b''
) -> bytes:
  """A PNG whose header says so, whatever it holds."""

  def chunk(name: bytes, body: bytes) -> bytes:
    end = struct.pack('>I', zlib.crc32(name + body))
    return struct.pack('>I', len(body)) + name + body + end

  header = struct.pack('>IIBBBBB', width, height, depth, color, 0, 0, 0)
  return (
    b'\x89PNG\r\n\x1a\n'
    + chunk(b'IHDR', header)
    + chunk(b'IDAT', zlib.compress(rows))
    + chunk(b'IEND', b'')
  )


_LIES = (0, 1, 65535, 2**16, 2**20, 2**31 - 1, 2**31, 2**32 - 1)


def _lying(rng: np.random.Generator) -> tuple[str, bytes]:
  """A header that says another size, depth or number of channels."""
  big = [int(rng.choice(_LIES)) for _ in range(2)]
  kind = rng.choice(['PNG', 'BMP', 'JPEG', 'TIFF', 'WEBP', 'DNG', 'HEIF'])
  if kind == 'PNG':
    depth, color = int(rng.choice([1, 8, 16, 3])), int(rng.choice([0, 2, 6, 5]))
    return '.png', png_of(*big, depth=depth, color=color, rows=bytes(100))
  if kind == 'DNG':
    ending, sound = _raw(rng)
  else:
    ending = _ENDING[kind]
    sound = _bytes_of(Image.fromarray(_pixels(rng)), kind)
  content = bytearray(sound)
  if kind == 'BMP':
    content[18:26] = struct.pack('<II', *big)
  elif kind == 'JPEG':
    at = content.find(b'\xff\xc0')
    content[at + 5 : at + 9] = struct.pack('>HH', *(b % 2**16 for b in big))
  elif kind == 'WEBP':
    content[26:30] = struct.pack('<HH', *(b % 2**16 for b in big))
  elif kind == 'HEIF':
    at = content.find(b'ispe')
    content[at + 8 : at + 16] = struct.pack('>II', *big)
  else:
    for tag, value in zip((256, 257), big, strict=True):
      at = content.find(struct.pack('<HH', tag, 4))
      if at >= 0:
        content[at + 8 : at + 12] = struct.pack('<I', value)
  return ending, bytes(content)


_MAKERS: dict[str, Callable[[np.random.Generator], tuple[str, bytes]]] = {
  'whole': _whole,
  'tiff': _tiff,
  'raw': _raw,
  'animated': _animated,
  'stranger': _stranger,
  'truncated': _truncated,
  'flipped': _flipped,
  'spliced': _spliced,
  'lying': _lying,
}
_NAMES = (
  'a b',
  '-rf',
  '--help',
  "it's",
  'a"b',
  'a[0]*?',
  'new\nline',
  'tab\t',
  ' leading',
  'trailing ',
  '.hidden',
  '..',
  'ünïcödé',
  'e\u0301',
  '写真',
  '\U0001f319',
  '\u202egpj',
  'a%20b',
  '$(reboot)',
  '`id`',
  'a;b',
  'a&b',
  '\udcff\udcfe',
  'x' * 200,
  'CON',
  '100%s',
  '{0}',
)


def odd_images(count: int, *, seed: int = 0) -> Iterator[Odd]:
  """So many files of all kinds and names, no name twice.

  Args:
    count: how many.
    seed: of the stream; file n is the same however many are asked for.
  """
  kinds = list(_MAKERS)
  for n in range(count):
    rng = np.random.default_rng((seed, n))
    kind = kinds[n % len(kinds)]
    ending, content = _MAKERS[kind](rng)
    if rng.integers(4) == 0:
      ending = str(rng.choice([*_ENDING.values(), '.PNG', '.Jpeg', '.tiff']))
    name = _NAMES[rng.integers(len(_NAMES))] if rng.integers(3) == 0 else 'x'
    yield Odd(f'{name}{n}{ending}', content, kind)
