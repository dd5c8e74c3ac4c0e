import cv2
import numpy as np
from PIL import Image
from PIL import ImageCms
import pytest

from sel_jax.errors import InputError
from sel_jax.images import codec
from sel_jax.images import metadata

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()
MAKER, DATE, CAMERA, EXPOSURE = 271, 306, 0x8769, 0x829A


def _exif(orientation=1):
  exif = Image.Exif()
  exif[MAKER] = 'Maker'
  exif[DATE] = '2020:01:01 00:00:00'
  exif[274] = orientation
  exif.get_ifd(CAMERA)[EXPOSURE] = 0.25
  return exif


def _pixels(height=6, width=9, dtype=np.uint8, channels=3):
  rng = np.random.default_rng(0)
  top = np.iinfo(dtype).max + 1
  return rng.integers(0, top, (height, width, channels), dtype=dtype)


def _unchanged(source, destination):
  """Reads a file and writes what was read."""
  picture = metadata.read_picture(source)
  metadata.write_picture(destination, codec.to_float(picture.pixels), picture)
  return picture


@pytest.mark.parametrize('ending', ['.jpg', '.png', '.webp', '.tif'])
def test_tags_and_profile_are_kept_and_orientation_is_applied(tmp_path, ending):
  source, destination = tmp_path / f'a{ending}', tmp_path / f'b{ending}'
  photo = Image.fromarray(_pixels())
  photo.save(source, exif=_exif(orientation=6), icc_profile=PROFILE)
  _unchanged(source, destination)
  with Image.open(destination) as found:
    assert found.size == (6, 9)  # a quarter turn
    assert found.info['icc_profile'] == PROFILE
    exif = found.getexif()
    assert exif[MAKER] == 'Maker' and exif[DATE].startswith('2020')
    assert 274 not in exif or exif[274] == 1
    if ending != '.tif':
      assert float(exif.get_ifd(CAMERA)[EXPOSURE]) == 0.25
  before, after = codec.read_image(source), codec.read_image(destination)
  assert before.shape == after.shape
  if ending in ('.png', '.tif'):
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize('ending', ['.png', '.tif'])
@pytest.mark.parametrize('channels', [1, 3, 4])
def test_16_bit_samples_come_back_exactly(tmp_path, ending, channels):
  source, destination = tmp_path / f'a{ending}', tmp_path / f'b{ending}'
  raw = _pixels(dtype=np.uint16, channels=channels)
  assert cv2.imwrite(str(source), raw)
  _unchanged(source, destination)
  again = cv2.imread(str(destination), cv2.IMREAD_UNCHANGED)
  assert again.dtype == np.uint16
  expected = np.repeat(raw, 3, axis=2) if channels == 1 else raw
  np.testing.assert_array_equal(again, expected)
  with Image.open(destination) as opened:  # others can read it
    opened.load()


@pytest.mark.parametrize('ending', ['.png', '.tif'])
def test_16_bit_files_keep_profile_and_tags(tmp_path, ending):
  source, destination = tmp_path / 'a.png', tmp_path / f'b{ending}'
  raw = _pixels(dtype=np.uint16)
  done, encoded = cv2.imencodeWithMetadata(
    '.png',
    raw,
    [cv2.IMAGE_METADATA_EXIF, cv2.IMAGE_METADATA_ICCP],
    [
      np.frombuffer(_exif(8).tobytes().removeprefix(b'Exif\0\0'), np.uint8),
      np.frombuffer(PROFILE, np.uint8),
    ],
  )
  assert done
  source.write_bytes(encoded.tobytes())
  _unchanged(source, destination)
  found = metadata.read_picture(destination)
  assert found.icc == PROFILE
  assert found.exif[MAKER] == 'Maker' and found.exif[DATE].startswith('2020')
  assert found.pixels.dtype == np.uint16 and found.pixels.shape == (9, 6, 3)
  expected = np.rot90(raw[:, :, ::-1])
  np.testing.assert_array_equal(found.pixels, expected)


@pytest.mark.parametrize('ending', ['.png', '.webp', '.tif', '.jpg', '.bmp'])
def test_alpha_is_kept_where_the_format_can(tmp_path, ending):
  source, destination = tmp_path / 'a.png', tmp_path / f'b{ending}'
  raw = _pixels(channels=4)
  Image.fromarray(raw).save(source)
  _unchanged(source, destination)
  found = metadata.read_picture(destination)
  if ending in metadata.ALPHA:
    np.testing.assert_array_equal(found.alpha, raw[:, :, 3:])
  else:
    assert found.alpha is None


def test_deep_alpha_in_a_format_of_8_bits(tmp_path):
  source, destination = tmp_path / 'a.png', tmp_path / 'b.webp'
  assert cv2.imwrite(str(source), _pixels(dtype=np.uint16, channels=4))
  _unchanged(source, destination)
  found = metadata.read_picture(destination)
  assert found.alpha.dtype == np.uint8
  wide = cv2.imread(str(source), cv2.IMREAD_UNCHANGED)[:, :, 3:]
  np.testing.assert_array_equal(found.alpha, np.rint(wide / 257))


def test_a_profile_of_other_inks_is_not_put_on_rgb(tmp_path):
  source = tmp_path / 'a.jpg'
  cmyk = PROFILE[:16] + b'CMYK' + PROFILE[20:]
  Image.fromarray(_pixels()).convert('CMYK').save(source, icc_profile=cmyk)
  assert metadata.read_picture(source).icc == b''


@pytest.mark.parametrize('ending', ['.png', '.webp', '.tif'])
def test_frames_are_counted(tmp_path, ending):
  frames = [Image.fromarray(np.roll(_pixels(), n, 0)) for n in range(3)]
  path = tmp_path / f'a{ending}'
  frames[0].save(path, save_all=True, append_images=frames[1:])
  picture = metadata.read_picture(path)
  assert picture.remarks == ('only the first of 3 frames was taken',)
  assert picture.pixels.shape == (6, 9, 3)


def test_what_cannot_be_encoded_is_one_sentence_and_no_file(tmp_path):
  picture = metadata.Picture(
    np.zeros((2, 70_000, 3), np.uint8), None, Image.Exif(), b''
  )
  for name in ('a.webp', 'a.jpg'):  # both have a longest side
    with pytest.raises(InputError, match=name):
      metadata.write_picture(tmp_path / name, picture.pixels / 255, picture)
  with pytest.raises(InputError, match='unknown image format'):
    metadata.write_picture(tmp_path / 'a.xyz', picture.pixels / 255, picture)
  assert list(tmp_path.iterdir()) == []
