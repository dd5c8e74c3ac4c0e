"""The page's work without a browser; see tests/browser for the rest."""

import numpy as np
import pytest

from sel_jax import limits
from sel_jax.commands import page
from sel_jax.errors import InputError
from sel_jax.images import codec
from sel_jax.inference import Enhancer


@pytest.fixture
def studio(trained, tmp_path):
  return page.Studio(Enhancer.from_checkpoint(trained, steps=2), tmp_path)


def test_a_result_is_what_the_command_gives(studio, tmp_path):
  photo = np.random.default_rng(0).integers(0, 60, (30, 40, 3), dtype=np.uint8)
  path = tmp_path / 'a.png'
  codec.write_image(path, photo)
  shares = []
  before, after, file = studio.restore(
    str(path), 0.0, 'ddim', 3, 0.5, 0, shares.append
  )
  enhancer = studio.enhancer.with_settings(sampler='ddim', steps=3)
  expected = codec.to_uint8(enhancer(photo, strength=0.5))
  np.testing.assert_array_equal(codec.read_image(file), expected)
  np.testing.assert_array_equal(before, photo)
  np.testing.assert_array_equal(after, expected)
  assert sum(shares) == pytest.approx(1)
  assert studio.with_settings('ddim', 3) is studio.with_settings('ddim', 3)


def test_stops_are_asked_for_and_offered_where_the_model_takes_them(
  studio, told, tmp_path
):
  photo = np.random.default_rng(0).integers(0, 60, (30, 40, 3), dtype=np.uint8)
  path = tmp_path / 'a.png'
  codec.write_image(path, photo)
  other = page.Studio(Enhancer.from_checkpoint(told), tmp_path)
  assert other.takes_exposure and not studio.takes_exposure
  results = []
  for ev in (0.0, 1.5):
    asked = str(path), ev, 'ddim', 2, 1.0, 0, lambda share: None
    results.append(codec.read_image(other.restore(*asked)[2]))
    enhancer = other.with_settings('ddim', 2)
    expected = codec.to_uint8(enhancer(photo, ev=ev))
    np.testing.assert_array_equal(results[-1], expected)
  assert (results[0] != results[1]).any()


def test_what_cannot_be_taken_is_named_without_its_folder(studio, tmp_path):
  limits.allow(0.01)
  path = tmp_path / 'secret' / 'a.png'
  path.parent.mkdir()
  cases = {
    'holds 0.0101 megapixels by its header, and no more than 0.01': np.zeros(
      (101, 100, 3), np.uint8
    ),
    'not an image': None,
  }
  try:
    for sentence, photo in cases.items():
      path.write_bytes(b'no image')
      if photo is not None:
        codec.write_image(path, photo)
      with pytest.raises(InputError, match=sentence) as info:
        studio.restore(str(path), 0.0, 'ddim', 2, 1.0, 0, lambda share: None)
      assert str(info.value).startswith('a.png: ')
      assert 'secret' not in str(info.value)
  finally:
    limits.allow(limits.MEGAPIXELS)


def test_what_nobody_expected_is_said_of_the_photograph(
  studio, tmp_path, monkeypatch, caplog
):
  path = tmp_path / 'secret' / 'a.png'
  path.parent.mkdir()
  codec.write_image(path, np.zeros((20, 20, 3), np.uint8))

  def stumble(*_, **__):
    raise RuntimeError('a library stumbled')

  monkeypatch.setattr(page.metadata, 'write_picture', stumble)
  with pytest.raises(InputError, match=r'^a\.png: could not be .*RuntimeError'):
    studio.restore(str(path), 0.0, 'ddim', 2, 1.0, 0, lambda share: None)
  assert 'a library stumbled' in caplog.text  # the traceback


def test_large_photographs_are_shown_smaller():
  assert page._shown(np.zeros((400, 3200, 3))).shape == (200, 1600, 3)
  assert page._shown(np.zeros((1, 3200, 3))).shape == (1, 1600, 3)
