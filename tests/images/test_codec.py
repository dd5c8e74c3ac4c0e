import os
import re
import struct
import subprocess
import sys
import zlib

import cv2
from helpers import camera_files
from helpers.commands import ROOT
import numpy as np
from PIL import Image
import pytest
import tifffile

from sel_jax import files
from sel_jax.errors import InputError
from sel_jax.images import codec
from sel_jax.images import heif


def _photo(height=7, width=5, seed=0):
  rng = np.random.default_rng(seed)
  return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize('ending', ['png', 'bmp', 'tif', 'tiff', 'webp', 'jpg'])
def test_written_images_read_back(tmp_path, ending):
  path = tmp_path / f'a.{ending}'
  photo = np.full((20, 30, 3), (200, 100, 50), np.uint8)
  codec.write_image(path, photo)
  found = codec.read_image(path)
  assert found.shape == photo.shape and found.dtype == np.uint8
  lossy = ending in ('webp', 'jpg')
  np.testing.assert_allclose(found, photo, atol=6 if lossy else 0)
  assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_float_images_are_rounded_and_clamped(tmp_path):
  image = np.array([[[-1.0, 0.5, 2.0]]])
  codec.write_image(tmp_path / 'a.png', image)
  assert codec.read_image(tmp_path / 'a.png').tolist() == [[[0, 128, 255]]]


@pytest.mark.parametrize('ending', ['png', 'tif'])
@pytest.mark.parametrize('channels', [1, 3, 4])
def test_16_bit_samples_are_exact(tmp_path, ending, channels):
  rng = np.random.default_rng(1)
  shape = (6, 4) if channels == 1 else (6, 4, channels)
  raw = rng.integers(0, 65536, shape, dtype=np.uint16)
  path = tmp_path / f'deep.{ending}'
  assert cv2.imwrite(str(path), raw)
  found = codec.read_image(path)
  assert found.dtype == np.uint16
  expected = (
    np.repeat(raw[:, :, None], 3, 2) if channels == 1 else raw[:, :, 2::-1]
  )
  np.testing.assert_array_equal(found, expected)
  assert codec.to_float(np.array([[[65535]]], np.uint16)) == 1.0


@pytest.mark.parametrize('mode', ['L', 'LA', 'P', 'RGBA', 'CMYK', '1'])
def test_other_colour_modes_become_rgb(tmp_path, mode):
  path = tmp_path / ('a.tif' if mode == 'CMYK' else 'a.png')
  Image.fromarray(np.full((4, 3, 3), 255, np.uint8)).convert(mode).save(path)
  found = codec.read_image(path)
  assert found.shape == (4, 3, 3) and found.dtype == np.uint8
  assert found.min() == 255


def _stored(upright, orientation):
  """How a camera would have stored an upright picture."""
  turn = {
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x, 1),
    7: lambda x: x[::-1, ::-1].swapaxes(0, 1),
    8: lambda x: np.rot90(x, 3),
  }
  return np.ascontiguousarray(turn.get(orientation, lambda x: x)(upright))


def _add_exif_to_png(path, orientation):
  """Inserts an eXIf chunk after the header: no writer here does so."""
  exif = Image.Exif()
  exif[0x0112] = orientation
  body = b'eXIf' + exif.tobytes().removeprefix(b'Exif\0\0')
  chunk = struct.pack('>I', len(body) - 4) + body
  chunk += struct.pack('>I', zlib.crc32(body))
  data = path.read_bytes()
  path.write_bytes(data[:33] + chunk + data[33:])


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize(
  'kind', ['8.tif', '8.png', '8.jpg', '16.tif', '16.png']
)
def test_exif_orientation_is_applied(tmp_path, orientation, kind):
  upright = np.repeat(np.repeat(_photo(2, 3), 16, 0), 16, 1)
  stored, path = _stored(upright, orientation), tmp_path / kind
  if kind.startswith('8'):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(path, exif=exif, quality=100, subsampling=0)
  elif kind == '16.tif':
    tag = (0x0112, 'H', 1, orientation, True)
    deep = stored.astype(np.uint16) * 257
    tifffile.imwrite(path, deep, photometric='rgb', extratags=[tag])
  else:
    assert cv2.imwrite(str(path), stored[:, :, ::-1].astype(np.uint16) * 257)
    _add_exif_to_png(path, orientation)
  found = codec.read_image(path)
  assert found.dtype == (np.uint16 if kind.startswith('16') else np.uint8)
  found = np.rint(codec.to_float(found) * 255)
  assert found.shape == upright.shape
  assert codec.read_size(path) == upright.shape[:2]
  error = np.abs(found - upright)
  assert np.median(error) <= (4 if kind == '8.jpg' else 0)


def test_broken_files_are_named(tmp_path):
  good = tmp_path / 'good.png'
  codec.write_image(good, _photo(50, 50))
  truncated = tmp_path / 'truncated.png'
  truncated.write_bytes(good.read_bytes()[:400])
  (tmp_path / 'empty.jpg').write_bytes(b'')
  (tmp_path / 'text.png').write_text('not an image')
  for name in ('truncated.png', 'empty.jpg', 'text.png', 'missing.png'):
    with pytest.raises(InputError, match=name):
      codec.read_image(tmp_path / name)
  for name in ('empty.jpg', 'text.png', 'missing.png'):
    with pytest.raises(InputError, match=name):
      codec.read_size(tmp_path / name)


def test_floating_point_files_are_refused(tmp_path):
  path = tmp_path / 'deep.tif'
  assert cv2.imwrite(str(path), np.zeros((3, 3), np.float32))
  with pytest.raises(InputError, match=r'deep\.tif.*float32.*16-bit'):
    codec.read_image(path)


def test_failed_writes_leave_nothing(tmp_path):
  with pytest.raises(InputError, match='unknown image format'):
    codec.write_image(tmp_path / 'a.gif', _photo())
  with pytest.raises(InputError, match='nowhere'):
    codec.write_image(tmp_path / 'nowhere' / 'a.png', _photo())
  assert not list(tmp_path.iterdir())
  (tmp_path / 'file').write_text('')
  with pytest.raises(InputError, match='cannot write there'):
    files.ensure_directory(tmp_path / 'file' / 'folder')


_MEASURE = """
import pathlib, sys
import numpy as np
from sel_jax.images import metadata

def resident(name):
  lines = pathlib.Path('/proc/self/status').read_text().splitlines()
  return next(1024 * int(x.split()[1]) for x in lines if x.startswith(name))

for path in sys.argv[1:]:
  pathlib.Path('/proc/self/clear_refs').write_text('5')  # the highest, anew
  before = resident('VmRSS')
  height, width, _ = metadata.read_picture(pathlib.Path(path)).pixels.shape
  print((resident('VmHWM') - before) / (height * width))
"""


@pytest.mark.skipif(
  not os.access('/proc/self/clear_refs', os.W_OK), reason='needs Linux'
)
def test_decoding_takes_no_more_than_is_said(tmp_path):
  """Bytes per pixel as docs/security.md has them, of what takes the most."""
  deep = np.zeros((1500, 2000, 4), np.uint16)
  deep[::2] = 1000
  shallow = (deep[:, :, :3] // 100).astype(np.uint8)
  names = ('a.png', 'a.tif', 'a.webp', 'a.jpg', 'a.avif', 'a.heic', 'a.dng')
  paths = [tmp_path / name for name in names]
  cv2.imwrite(str(paths[0]), deep)
  tifffile.imwrite(paths[1], deep[:, :, :3].copy())
  Image.fromarray(shallow).save(paths[2], lossless=True)
  Image.fromarray(shallow).convert('CMYK').save(paths[3])
  Image.fromarray(shallow).save(paths[4], speed=10)
  heif.require(paths[5])
  Image.fromarray(shallow).save(paths[5])
  camera_files.write_dng(paths[6], shallow / 255)
  done = subprocess.run(
    [sys.executable, '-c', _MEASURE, *map(str, [*paths, *paths])],
    cwd=ROOT,
    # What is freed is given back, so that the next one takes it anew.
    env={**os.environ, 'MALLOC_MMAP_THRESHOLD_': '65536'},
    capture_output=True,
    text=True,
    check=True,
  )
  # The second round: libraries are loaded.
  taken = [float(line) for line in done.stdout.split()][len(paths) :]
  page = (ROOT / 'docs' / 'security.md').read_text()
  said = int(re.search(r'at most (\d+) bytes per pixel', page)[1])
  assert 10 < max(taken) < said, taken
