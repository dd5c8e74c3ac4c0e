"""Enhancer: many together, other settings, other parameters."""

import cv2
import jax
import numpy as np
import pytest

from sel_jax import models
from sel_jax import programs
from sel_jax.configs import sample
from sel_jax.errors import InputError
from sel_jax.inference import Enhancer
from sel_jax.inference import reducing
from sel_jax.inference import spread
from sel_jax.settings import Settings

SETTINGS = Settings.parse(sample.get_config()).changed(
  {
    'model.width': 4, 'model.enc': (1,), 'model.middle': 0, 'model.dec': (1,),
    'eval.steps': 1,
  }
)  # fmt: skip


def _params(seed):
  return models.init_params(jax.random.key(seed), SETTINGS.model.network)


@pytest.fixture(scope='module')
def enhancer():
  return Enhancer.create(SETTINGS, params=_params(0), step=7)


def test_many_are_restored_as_if_one_by_one(enhancer):
  rng = np.random.default_rng(0)
  sides = [(20, 30), (31, 17), (40, 20), (8, 9), (32, 32), (33, 1)]
  images = [rng.uniform(0, 0.3, (*s, 3)).astype(np.float32) for s in sides]
  images[1] = np.uint8(255 * images[1])
  together = enhancer.many(images)
  for image, found in zip(images, together, strict=True):
    assert found.shape == image.shape and found.dtype == np.float32
    np.testing.assert_array_equal(found, enhancer(image))
  assert enhancer.many([]) == []
  assert enhancer.at_once == jax.local_device_count()
  with pytest.raises(InputError, match=r'\[H, W, 3\]'):
    enhancer.many([images[0][..., :2]])


def test_other_parameters_share_the_compiled_programs(enhancer):
  image = np.full((32, 32, 3), 0.1, np.float32)
  other = enhancer.with_params(_params(1))
  assert other.step == 7 and other.settings is enhancer.settings
  assert not np.array_equal(other(image), enhancer(image))
  assert other.restorer is enhancer.restorer


def test_other_settings_are_checked_and_leave_the_rest(enhancer):
  other = enhancer.with_settings(sampler='ddim', steps=3, grid=None)
  assert (other.spec.sampler, other.spec.steps) == ('ddim', 3)
  assert other.spec.grid == enhancer.spec.grid and other.step == 7
  assert enhancer.spec.steps == 1 and other.settings.eval == other.spec
  with pytest.raises(InputError, match=r'config\.eval\.steps=0'):
    enhancer.with_settings(steps=0)
  with pytest.raises(InputError, match=r'config\.eval\.step: unknown key.*ste'):
    enhancer.with_settings(step=2)


def test_a_seed_is_an_argument_and_compiles_nothing_anew():
  settings = SETTINGS.changed({'eval.sampler': 'posterior', 'eval.steps': 3})
  enhancer = Enhancer.create(settings, params=_params(0))
  image = np.full((20, 24, 3), 0.1, np.float32)
  first = enhancer(image)
  np.testing.assert_array_equal(enhancer(image, seed=0), first)
  compiled = []
  with programs.announced(compiled.append):
    found = enhancer.samples(image, 3, seed=5)
  assert found.shape == (3, 20, 24, 3)
  other = enhancer.with_settings(seed=6)
  assert other.restorer is enhancer.restorer
  np.testing.assert_array_equal(other(image), found[1])
  np.testing.assert_array_equal(other.many([image])[0], found[1])
  assert np.any(found[0] != found[1])
  assert not compiled
  with pytest.raises(InputError, match='samples=0: give 1 or more'):
    enhancer.samples(image, 0)


def test_the_spread_is_the_deviation_of_the_samples():
  rng = np.random.default_rng(0)
  sides = np.array([0.01, 0.02, 0.03])
  samples = 0.5 + sides * rng.normal(size=(4000, 2, 3, 3))
  expected = np.sqrt(np.mean(sides**2))
  np.testing.assert_allclose(spread(samples), expected, rtol=0.05)
  assert np.all(spread(samples[:1].repeat(3, 0)) < 1e-12)


def test_a_trajectory_ends_at_the_result():
  settings = SETTINGS.changed(
    {'eval.steps': 3, 'eval.tile': 32, 'eval.overlap': 8}
  )
  enhancer = Enhancer.create(settings, params=_params(0))
  image = np.full((20, 24, 3), 0.1, np.float32)
  states = enhancer.trajectory(image, seed=2)
  assert states.shape == (4, 20, 24, 3)
  found = np.clip(states[-1], 0, 1)
  np.testing.assert_allclose(found, enhancer(image, seed=2), atol=1e-6)
  large = np.full((40, 80, 3), 0.1, np.float32)
  assert enhancer.trajectory(large).shape == (4, 16, 32, 3)


def test_a_large_photograph_can_be_restored_at_a_share_of_its_size(enhancer):
  """By the side of 4,000 pixels; others, and the result's size, stay."""
  reduced = enhancer.with_settings(reduce=0.5, tile=0)
  whole = enhancer.with_settings(tile=0)
  rng = np.random.default_rng(0)
  small = rng.uniform(0, 0.3, (20, 30, 3)).astype(np.float32)
  np.testing.assert_array_equal(reduced(small), whole(small))
  large = np.full((6, reducing.LARGE, 3), 0.1, np.float32)
  large[:, ::2] = 0.3
  need = reduced.plan([(6, reducing.LARGE), (6, reducing.LARGE - 1)])
  assert [canvas[1] for _, canvas in need] == [2016, 4000]
  found = reduced(large)
  assert found.shape == large.shape and found.dtype == np.float32
  assert 0 <= found.min() <= found.max() <= 1
  # Columns that alternate are one shade at half the size.
  half = whole(np.full((3, reducing.LARGE // 2, 3), 0.2, np.float32))
  wide = np.clip(cv2.resize(half, (reducing.LARGE, 6), None, 0, 0, 2), 0, 1)
  np.testing.assert_allclose(found, wide, atol=1e-4)
  assert np.abs(found - whole(large)).max() > 0.1
  np.testing.assert_array_equal(reduced.many([large, small])[0], found)


def test_a_large_photograph_in_tiles_can_be_reduced_too(enhancer, monkeypatch):
  monkeypatch.setattr(reducing, 'LARGE', 100)
  reduced = enhancer.with_settings(reduce=0.8, tile=64, overlap=16)
  flat = np.full((90, 120, 3), 0.2, np.float32)
  found = reduced(flat)
  assert found.shape == flat.shape
  expected = enhancer.with_settings(tile=64, overlap=16)(flat[:72, :96])
  assert np.abs(found[20:70, 20:90].mean() - expected.mean()) < 0.01
  assert reduced.plan([(90, 120)]) == reduced.plan([(72, 96)])
