"""The physical model, against what it says of itself."""

import dataclasses
import types

import numpy as np
import pytest

from sel_jax.data import cameras
from sel_jax.data import darkened
from sel_jax.data import degrade
from sel_jax.data.augment import augment_pair
from sel_jax.data.augment import AugmentSpec
from sel_jax.data.pairs import open_pairs
from sel_jax.data.pairs import Pair
from sel_jax.data.pairs import PairsSpec
from sel_jax.errors import InputError
from sel_jax.images import codec

QUIET = cameras.Sensor((1e7, 1e7 + 1), 0.0, 0.0, 14, 0.0, 0.0)


def _model(sensor=QUIET, **changes):
  plain = {
    'sensors': types.MappingProxyType({'one': sensor}),
    'exposure': (0.1, 0.1),
    'temperature': (0.0, 0.0),
    'tint': (0.0, 0.0),
    'tone': (1.0, 1.0),
    'quality': (99, 100),
  }
  return dataclasses.replace(cameras.TRAINING, **{**plain, **changes})


def _grey(value=0.6, side=64):
  return np.full((side, side, 3), value, np.float32)


def _light(image):
  return degrade.srgb_to_linear(image)


def test_without_noise_the_light_is_the_share_that_is_left():
  for seed in range(4):
    low = cameras.take(np.random.default_rng(seed), _grey(), model=_model())
    assert low.dtype == np.float32 and low.shape == (64, 64, 3)
    expected = 0.1 * _light(0.6)
    assert _light(low).mean() == pytest.approx(expected, rel=0.03)
    np.testing.assert_array_equal(codec.to_float(codec.to_uint8(low)), low)


def test_colours_come_through_the_mosaic():
  image = _grey() * np.array([1.0, 0.7, 0.4], np.float32)
  low = cameras.take(np.random.default_rng(1), image, model=_model())
  found = _light(low).mean((0, 1)) / _light(image).mean((0, 1))
  np.testing.assert_allclose(found, 0.1, rtol=0.08)


@pytest.mark.parametrize('light', [0.02, 0.3])
def test_raw_noise_is_that_of_electrons_and_of_reading(light):
  sensor = cameras.Sensor((1, 1), 4.0, 0.0, 14, 0.0, 0.0)
  even = np.full((400, 400), light)
  raw = cameras._read(np.random.default_rng(0), sensor, even, 2000.0)
  assert raw.mean() == pytest.approx(light, rel=0.01)
  expected = np.sqrt(light * 2000 + 4.0**2) / 2000
  assert raw.std() == pytest.approx(expected, rel=0.01)


def test_rows_have_noise_in_common():
  sensor = dataclasses.replace(QUIET, full_well=(1e3, 1001), row_noise=20.0)
  low = cameras.take(
    np.random.default_rng(0), _grey(0.9, 256), model=_model(sensor)
  )
  rows = low.mean((1, 2)).std()
  assert rows > 5 * low.mean((0, 2)).std()


def test_corners_of_the_photograph_are_darker_wherever_the_crop_lies():
  model = _model(dataclasses.replace(QUIET, vignetting=0.5))
  rng = lambda: np.random.default_rng(3)
  whole = cameras.take(rng(), _grey(side=256), model=model)
  assert whole[:16, :16].mean() < 0.95 * whole[120:136, 120:136].mean()
  corner = cameras.take(rng(), _grey(), model=model, place=(192, 192, 256, 256))
  np.testing.assert_allclose(corner.mean(), whole[192:, 192:].mean(), rtol=0.03)


def test_a_cast_is_of_the_size_that_is_said_and_unseen_ones_are_larger():
  for model in (cameras.TRAINING, cameras.UNSEEN):
    least, most = model.temperature
    logs = [
      np.log(cameras._cast(np.random.default_rng(n), model)) for n in range(99)
    ]
    sizes = np.abs([row[0] for row in logs])
    assert least <= sizes.min() and sizes.max() <= most
    np.testing.assert_allclose([r[0] + r[2] for r in logs], 0, atol=1e-9)
  assert cameras.UNSEEN.temperature[0] >= cameras.TRAINING.temperature[1]
  assert cameras.UNSEEN.tint[0] >= cameras.TRAINING.tint[1]
  assert not cameras.UNSEEN.sensors.keys() & cameras.TRAINING.sensors.keys()


def test_the_same_seed_is_the_same_photograph():
  image = _grey()
  first, again = (
    cameras.take(np.random.default_rng(5), image) for _ in range(2)
  )
  np.testing.assert_array_equal(first, again)
  other = cameras.take(np.random.default_rng(6), image)
  assert np.abs(first - other).max() > 0


def test_training_takes_so_many_with_other_cameras_and_no_number_else_moves():
  rng = np.random.default_rng(0)
  low, clean = rng.integers(0, 256, (2, 40, 40, 3), dtype=np.uint8)
  plain, mixed = (AugmentSpec(16, cameras=share) for share in (0.0, 0.4))
  taken = 0
  for seed in range(200):
    one, two = (
      augment_pair(np.random.default_rng(seed), spec, low=low, clean=clean)
      for spec in (plain, mixed)
    )
    np.testing.assert_array_equal(one[1], two[1])  # the same crop
    taken += not np.array_equal(one[0], two[0])
  assert taken == pytest.approx(80, abs=25)


def _two_pairs():
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (2, 12, 16, 3), dtype=np.uint8)
  return [Pair(str(n), image // 9, image) for n, image in enumerate(images)]


def test_a_set_to_validate_on_is_the_same_for_the_same_seed(tmp_path):
  pairs, written, seen = _two_pairs(), [], []
  for name, seed in (('a', 0), ('b', 0), ('c', 1)):
    count = darkened.write(
      pairs, tmp_path / name, 'val', seed=seed, on_done=lambda: seen.append(1)
    )
    assert count == 2
    spec = PairsSpec.create(source='folder', root=str(tmp_path / name))
    written.append(open_pairs(spec, 'val'))
  assert len(seen) == 6
  for n, pair in enumerate(pairs):
    first, again, other = (one[n] for one in written)
    np.testing.assert_array_equal(first.clean, pair.clean)
    np.testing.assert_array_equal(first.low, again.low)
    assert (first.low != other.low).any() and (first.low != pair.low).any()
  with pytest.raises(InputError, match='val: is there already; remove it'):
    darkened.write(pairs, tmp_path / 'a', 'val')


def test_a_set_that_was_interrupted_is_not_there(tmp_path):
  pairs = _two_pairs()

  def interrupt():
    raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    darkened.write(pairs, tmp_path, 'val', on_done=interrupt)
  assert not list(tmp_path.iterdir())
  assert darkened.write(pairs, tmp_path, 'val') == len(pairs)
  assert [path.name for path in tmp_path.iterdir()] == ['val']
