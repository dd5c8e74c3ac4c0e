"""What cameras and telephones write: HEIC, AVIF, raw files."""

import pathlib

from helpers import camera_files
import numpy as np
from PIL import features
from PIL import Image
from PIL import ImageCms
import pytest

from sel_jax import limits
from sel_jax.errors import InputError
from sel_jax.images import codec
from sel_jax.images import heif
from sel_jax.images import metadata
from sel_jax.images import raw

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()
CAMERA, GPS, EXPOSURE = 0x8769, 0x8825, 0x829A
pillow_heif = pytest.importorskip('pillow_heif', reason='the extra heif')
pytest.importorskip('rawpy', reason='the extra raw')
LOSSY = ('.heic', '.avif')


def _smooth(height=40, width=60, channels=3):
  """[H, W, C] in [0, 1], which lossy formats keep."""
  y, x = np.mgrid[0:height, 0:width]
  ramps = x / width, y / height, 1 - x / width, y / height
  return np.dstack(ramps[:channels]) * 0.8 + 0.1


def _exif():
  exif = Image.Exif()
  exif[271] = 'Maker'
  exif.get_ifd(CAMERA)[EXPOSURE] = 0.25
  exif.get_ifd(GPS)[1] = 'N'
  return exif


@pytest.fixture
def source(tmp_path, request):
  """A lossy file that says much."""
  heif.require(tmp_path)
  path = tmp_path / f'a{request.param}'
  pixels = codec.to_uint8(_smooth())
  Image.fromarray(pixels).save(path, exif=_exif(), icc_profile=PROFILE)
  return path


def test_this_pillow_reads_avif():
  assert features.check('avif')


@pytest.mark.parametrize('source', LOSSY, indirect=True)
def test_format_tags_and_profile_are_kept(source):
  picture = metadata.read_picture(source)
  assert picture.pixels.dtype == np.uint8
  assert codec.read_size(source) == (40, 60)
  np.testing.assert_allclose(picture.pixels / 255, _smooth(), atol=0.06)
  path = source.with_name(f'b{source.suffix}')
  metadata.write_picture(path, codec.to_float(picture.pixels), picture)
  with Image.open(path) as found:
    assert found.format == source.suffix[1:].upper().replace('HEIC', 'HEIF')
    assert found.info['icc_profile'] == PROFILE
    assert found.getexif()[271] == 'Maker'
    assert float(found.getexif().get_ifd(CAMERA)[EXPOSURE]) == 0.25
  again = metadata.read_picture(path)
  np.testing.assert_allclose(again.pixels / 255, _smooth(), atol=0.06)


@pytest.mark.parametrize('orientation', [3, 6, 8])
def test_avif_is_upright(tmp_path, orientation):
  exif = Image.Exif()
  exif[274] = orientation
  pixels = codec.to_uint8(_smooth())
  Image.fromarray(pixels).save(tmp_path / 'a.png', exif=exif)
  Image.fromarray(pixels).save(tmp_path / 'a.avif', exif=exif)
  found = codec.read_image(tmp_path / 'a.avif')
  upright = codec.read_image(tmp_path / 'a.png')
  assert codec.read_size(tmp_path / 'a.avif') == upright.shape[:2]
  np.testing.assert_allclose(found / 255, upright / 255, atol=0.06)


@pytest.mark.parametrize('ending', LOSSY)
def test_alpha_is_kept(tmp_path, ending):
  heif.require(tmp_path)
  path, pixels = tmp_path / f'a{ending}', codec.to_uint8(_smooth(channels=4))
  Image.fromarray(pixels).save(path)
  picture = metadata.read_picture(path)
  metadata.write_picture(path, codec.to_float(picture.pixels), picture)
  found = metadata.read_picture(path).alpha
  np.testing.assert_allclose(found / 255, pixels[:, :, 3:] / 255, atol=0.06)


def test_heic_of_10_bits_stays_so(tmp_path):
  path = tmp_path / 'a.heic'
  deep = codec.to_uint16(_smooth())
  heif.write_16_bit(path, deep, exif=_exif().tobytes(), icc=PROFILE)
  picture = metadata.read_picture(path)
  assert picture.pixels.dtype == np.uint16 and picture.icc == PROFILE
  assert len(np.unique(picture.pixels[0])) > len(np.unique(deep[0] >> 8))
  metadata.write_picture(path, codec.to_float(picture.pixels), picture)
  again = metadata.read_picture(path)
  assert again.pixels.dtype == np.uint16 and again.icc == PROFILE
  assert float(again.exif.get_ifd(CAMERA)[EXPOSURE]) == 0.25
  np.testing.assert_allclose(again.pixels / 65535, _smooth(), atol=0.06)


@pytest.mark.parametrize('ending', [*LOSSY, '.dng'])
@pytest.mark.parametrize('share', [0.1, 0.5, 0.9])
def test_a_cut_file_is_one_sentence(tmp_path, ending, share):
  heif.require(tmp_path)
  path = tmp_path / f'cut{ending}'
  if ending == '.dng':
    camera_files.write_dng(path, _smooth())
  else:
    Image.fromarray(codec.to_uint8(_smooth())).save(path)
  content = path.read_bytes()
  path.write_bytes(content[: int(len(content) * share)])
  with pytest.raises(InputError, match=rf'{path.name}: (broken|not an image)'):
    codec.read_image(path)


@pytest.mark.parametrize('orientation', [1, 3, 6, 8])
def test_raw_is_developed_upright_as_the_camera_balanced_it(
  tmp_path, orientation
):
  path, light = tmp_path / 'a.dng', _smooth() * 0.1
  camera_files.write_dng(path, light, orientation=orientation)
  found = codec.read_image(path)
  turns = {1: 0, 3: 2, 6: 3, 8: 1}[orientation]
  assert found.dtype == np.uint16
  assert codec.read_size(path) == found.shape[:2]
  encoded = 1.055 * np.rot90(light, turns) ** (1 / 2.4) - 0.055
  inner = found[4:-4, 4:-4] / 65535
  np.testing.assert_allclose(inner, encoded[4:-4, 4:-4], atol=0.03)


def test_gray_light_is_gray_and_dark_stays_dark(tmp_path):
  path = tmp_path / 'a.dng'
  camera_files.write_dng(path, np.full((40, 60, 3), 0.02))
  found = codec.read_image(path)[4:-4, 4:-4] / 65535
  expected = 1.055 * 0.02 ** (1 / 2.4) - 0.055
  np.testing.assert_allclose(found, expected, atol=0.005)


def test_a_raw_files_result_is_a_tiff_that_says_as_much(tmp_path):
  source = tmp_path / 'a.dng'
  parts = [(tag - 1, 'I', 1, 0, True) for tag in (CAMERA, GPS)]
  camera_files.write_dng(source, _smooth() * 0.1, extratags=parts)
  metadata._append_part(source, CAMERA, {EXPOSURE: 0.25, 37500: b'secret'})
  metadata._append_part(source, GPS, {1: 'N'})
  picture = metadata.read_picture(source)
  assert picture.remarks == ()
  destination = codec.result_path(source)
  assert destination.name == 'a.tif'
  metadata.write_picture(destination, codec.to_float(picture.pixels), picture)
  np.testing.assert_array_equal(codec.read_image(destination), picture.pixels)
  with Image.open(destination) as found:
    exif = found.getexif()
    assert exif[271] == 'Maker' and exif[306].startswith('2020')
    assert 37500 not in exif.get_ifd(CAMERA)
    assert float(exif.get_ifd(CAMERA)[EXPOSURE]) == 0.25
    assert exif.get_ifd(GPS)[1] == 'N'
    found.load()
  with pytest.raises(InputError, match=r'a\.dng: unknown image format'):
    metadata.write_picture(source, codec.to_float(picture.pixels), picture)


def test_a_raw_file_without_tags_is_read(tmp_path, monkeypatch):
  path = tmp_path / 'a.dng'
  camera_files.write_dng(path, _smooth())

  def broken(found):
    raise ValueError(found)

  monkeypatch.setattr(raw, '_kept', broken)
  picture = metadata.read_picture(path)
  assert picture.remarks == ('its EXIF data are broken and were left out',)
  assert len(picture.exif) == 0


def test_the_limit_holds_before_anything_is_decoded(tmp_path):
  path = tmp_path / 'a.dng'
  camera_files.write_dng(path, _smooth())
  limits.allow(0.002)
  try:
    for read in (codec.read_size, codec.read_image):
      with pytest.raises(InputError, match='megapixels'):
        read(path)
  finally:
    limits.allow(limits.MEGAPIXELS)


@pytest.mark.parametrize(
  'name, words',
  [('a.heic', r'HEIC needs pillow-heif.*sel-jax\[heif\]'),
   ('a.dng', r'raw files need rawpy.*sel-jax\[raw\]')],
)  # fmt: skip
def test_a_missing_extra_is_named(tmp_path, monkeypatch, name, words):
  heif.require(tmp_path)
  path = tmp_path / name
  if path.suffix == '.dng':
    camera_files.write_dng(path, _smooth())
  else:
    Image.fromarray(codec.to_uint8(_smooth())).save(path)
  monkeypatch.setitem(__import__('sys').modules, 'rawpy', None)
  monkeypatch.setattr(heif, '_library', lambda: None)
  with pytest.raises(InputError, match=words):
    codec.read_image(path)
  picture = metadata.Picture(
    np.zeros((4, 4, 3), np.uint8), None, Image.Exif(), b''
  )
  if path.suffix == '.heic':
    with pytest.raises(InputError, match=words):
      metadata.write_picture(path, picture.pixels / 255, picture)


def test_what_a_file_holds_decides_not_its_name(tmp_path):
  heif.require(tmp_path)
  path = tmp_path / 'a.heic'
  pixels = codec.to_uint8(_smooth())
  Image.fromarray(pixels).save(path)
  renamed = pathlib.Path(path.rename(tmp_path / 'a.jpg'))
  np.testing.assert_allclose(
    codec.read_image(renamed) / 255, _smooth(), atol=0.06
  )
