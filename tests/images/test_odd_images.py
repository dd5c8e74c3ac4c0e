"""Files that no camera meant to write: a picture, or one sentence."""

import os
import socket
import struct
import warnings
import zlib

from helpers import odd_images
import numpy as np
from PIL import Image
from PIL import ImageFile
import pytest
import tifffile

from sel_jax import limits
from sel_jax.errors import InputError
from sel_jax.images import codec
from sel_jax.images import metadata


@pytest.fixture
def allowed():
  """Lets a test move the limit."""
  yield limits.allow
  limits.allow(limits.MEGAPIXELS)


@pytest.mark.parametrize('part', range(4))
def test_each_is_a_picture_or_one_sentence(tmp_path, part):
  """A thousand; each that is read can be written again with what it says."""
  kinds = {}
  for odd in odd_images.odd_images(250, seed=part):
    path = odd.write(tmp_path)
    with warnings.catch_warnings():
      warnings.simplefilter('ignore', ResourceWarning)  # of a cut TIFF's file
      read = _read(path)
    kinds.setdefault(odd.kind, []).append(read)
    path.unlink()
  for kind in ('whole', 'animated', 'flipped'):
    assert any(kinds[kind]), kind
  for kind in ('stranger', 'truncated', 'lying'):
    assert not all(kinds[kind]), kind


def _read(path) -> bool:
  """Whether it is a picture."""
  try:
    picture = metadata.read_picture(path)
  except InputError as error:
    assert path.name in str(error), error
    assert len(str(error)) < 300 + len(str(path)), error
    return False
  height, width, channels = picture.pixels.shape
  assert channels == 3 and min(height, width) > 0
  assert picture.pixels.dtype in (np.uint8, np.uint16)
  assert codec.read_size(path) == (height, width)
  again = codec.result_path(path.with_name(f'again{path.suffix}'))
  metadata.write_picture(again, codec.to_float(picture.pixels), picture)
  assert codec.read_size(again) == (height, width)
  again.unlink()
  return True


def _photo(**options) -> Image.Image:
  pixels = np.random.default_rng(0).integers(0, 80, (20, 30, 3))
  return Image.fromarray(pixels.astype(np.uint8), **options)


def test_a_cut_second_page_costs_no_photograph(tmp_path):
  """Pillow raises TypeError where it counts the pages."""
  path = tmp_path / 'a.tif'
  _photo().save(path, save_all=True, append_images=[_photo()])
  with Image.open(path) as opened:
    opened.seek(1)
    second = opened.tag_v2[273][0]
  path.write_bytes(path.read_bytes()[: second - 100])
  np.testing.assert_array_equal(
    metadata.read_picture(path).pixels, np.asarray(_photo())
  )


@pytest.mark.parametrize('keep', [9, 13, 20, 33])
def test_cut_exif_data_cost_no_photograph(tmp_path, keep):
  """Pillow raises struct.error where it reads them."""
  exif = Image.Exif()
  exif[0x010F] = 'maker' * 9
  path = tmp_path / 'a.png'
  _photo().save(path, exif=exif.tobytes()[:keep])
  picture = metadata.read_picture(path)
  np.testing.assert_array_equal(picture.pixels, np.asarray(_photo()))
  assert codec.read_size(path) == (20, 30)
  if keep == 9:
    assert picture.remarks == ('its EXIF data are broken and were left out',)
  metadata.write_picture(path, codec.to_float(picture.pixels), picture)
  assert metadata.read_picture(path).remarks == ()


@pytest.mark.parametrize('channels', [3, 4])
@pytest.mark.parametrize('compression', [None, 'zlib'])
def test_16_bit_planes_are_read_as_they_are(tmp_path, channels, compression):
  """OpenCV reads them as if channels were together, without a word."""
  rng = np.random.default_rng(0)
  planes = rng.integers(0, 65536, (channels, 40, 50)).astype(np.uint16)
  path = tmp_path / 'a.tif'
  tifffile.imwrite(
    path,
    planes,
    photometric='rgb',
    planarconfig='separate',
    compression=compression,
    extratags=[(0x0112, 'H', 1, 6, True)],
  )
  upright = np.rot90(np.moveaxis(planes, 0, 2), 3)
  np.testing.assert_array_equal(codec.read_samples(path), upright)
  two = tmp_path / 'b.tif'
  tifffile.imwrite(two, planes[:2], planarconfig='separate')
  with pytest.raises(InputError, match=r'b\.tif'):
    codec.read_samples(two)


def test_a_cut_file_is_refused_whatever_a_library_switched_on(
  tmp_path, monkeypatch
):
  """TFDS lets Pillow read cut files, in the whole process."""
  monkeypatch.setattr(ImageFile, 'LOAD_TRUNCATED_IMAGES', True)
  path = tmp_path / 'a.png'
  _photo().resize((300, 200)).save(path)
  path.write_bytes(path.read_bytes()[:-2000])
  with pytest.raises(InputError, match=r'a\.png: broken or truncated'):
    codec.read_image(path)


def test_postscript_is_no_photograph(tmp_path):
  """Pillow would give it to Ghostscript, whatever its name."""
  path = tmp_path / 'a.png'
  path.write_bytes(b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n')
  with pytest.raises(InputError, match='not an image that can be read'):
    codec.read_image(path)


def test_what_is_no_file_is_not_opened(tmp_path):
  """Opening a pipe without a writer waits for one."""
  os.mkfifo(tmp_path / 'pipe.png')
  (tmp_path / 'folder.png').mkdir()
  (tmp_path / 'device.png').symlink_to('/dev/zero')
  (tmp_path / 'loop.png').symlink_to('loop.png')
  with socket.socket(socket.AF_UNIX) as server:
    server.bind(os.path.relpath(tmp_path / 'socket.png'))
    for name, why in {
      'pipe': 'a pipe, socket or device',
      'socket': 'a pipe, socket or device',
      'device': 'a pipe, socket or device',
      'folder': 'a folder',
      'loop': 'a link that leads to itself',
    }.items():
      for read in (codec.read_size, codec.read_image, metadata.read_picture):
        with pytest.raises(InputError, match=rf'{name}\.png.*{why}'):
          read(tmp_path / f'{name}.png')


@pytest.mark.parametrize('late', [False, True])
def test_a_header_is_read_without_decoding(tmp_path, monkeypatch, late):
  """Pillow decodes a PNG that has no EXIF data to look for them at its end."""
  path = tmp_path / 'a.png'
  _photo().save(path)
  if late:
    exif = Image.Exif()
    exif[0x0112] = 6
    body = b'eXIf' + exif.tobytes().removeprefix(b'Exif\0\0')
    chunk = struct.pack('>I', len(body) - 4) + body
    chunk += struct.pack('>I', zlib.crc32(body))
    data = path.read_bytes()
    path.write_bytes(data[:-12] + chunk + data[-12:])
    assert codec.read_size(path) == codec.read_image(path).shape[:2] == (30, 20)
    return

  def load(*_):
    raise AssertionError('decoded')

  monkeypatch.setattr(ImageFile.ImageFile, 'load', load)
  assert codec.read_size(path) == (20, 30)


@pytest.mark.parametrize('depth', [8, 16])
def test_the_limit_is_the_headers(tmp_path, allowed, depth):
  path = tmp_path / 'a.png'
  path.write_bytes(odd_images.png_of(10_001, 10_000, depth=depth))
  for read in (codec.read_size, codec.read_image):
    with pytest.raises(
      InputError, match=r'a\.png: holds 100 megapixels.* 100 are'
    ):
      read(path)
  allowed(101)
  assert codec.read_size(path) == (10_000, 10_001)
  with pytest.raises(InputError, match=r'a\.png'):  # there is nothing in it
    codec.read_image(path)
  path.write_bytes(odd_images.png_of(100_000, 100_000))
  with pytest.raises(InputError, match=r'more than 101 are read'):
    codec.read_size(path)
  allowed(20_000)  # beyond what Pillow itself refuses
  assert codec.read_size(path) == (100_000, 100_000)
  for wrong in (0.0, -1.0, float('nan'), float('inf')):
    with pytest.raises(InputError, match='--megapixels'):
      limits.allow(wrong)
