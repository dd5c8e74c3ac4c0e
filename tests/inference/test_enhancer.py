"""Enhancer: many together, other settings, other parameters."""

import jax
import numpy as np
import pytest

from sel_jax import models
from sel_jax.configs import sample
from sel_jax.errors import InputError
from sel_jax.inference import Enhancer
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
