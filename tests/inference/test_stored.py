"""Weights of strangers: a network, or one sentence."""

import json
import time

from helpers import odd_weights
import jax
import numpy as np
import pytest
import safetensors.numpy

from sel_jax.checkpoints import Checkpoints
from sel_jax.configs import lol
from sel_jax.errors import InputError
from sel_jax.inference import Enhancer
from sel_jax.inference import stored
from sel_jax.interop import portable
from sel_jax.models import init_params
from sel_jax.settings import Settings


@pytest.fixture(scope='module')
def sound(tmp_path_factory):
  """A file of weights of a tiny network that knows what is plausible."""
  settings = Settings.parse(lol.get_config('tiny'))
  settings = settings.changed({'model.exposure': True})
  params = init_params(jax.random.key(0), settings.model.network)
  count = 17
  exposure = {
    **dict.fromkeys(('center', 'weights'), [0.0] * count),
    'scale': [1.0] * count,
    'covariance': np.eye(count).tolist(),
    'bias': 0.1,
    'noise': 0.2,
  }
  facts = {'config': settings.to_dict(), 'step': 4, 'exposure': exposure}
  path = tmp_path_factory.mktemp('weights') / 'sound.safetensors'
  portable.save(path, params, facts)
  return path.read_bytes()


def _each_is_weights_or_one_sentence(tmp_path, sound, count, seed):
  path = tmp_path / 'w.safetensors'
  outcomes = {}
  for kind, content in odd_weights.odd_weights(sound, count, seed=seed):
    path.write_bytes(content)
    begin = time.monotonic()
    try:
      found = stored.load(path)
    except InputError as error:
      assert str(error).startswith(str(path)), error
      assert len(str(error)) < 600 + len(str(path)), error
      outcomes.setdefault(kind, []).append(False)
    else:
      leaves = jax.tree.leaves(found.params)
      assert all(np.isfinite(leaf).all() for leaf in leaves)
      outcomes.setdefault(kind, []).append(True)
    assert time.monotonic() - begin < 30
  return outcomes


def test_each_is_weights_or_one_sentence(tmp_path, sound):
  found = _each_is_weights_or_one_sentence(tmp_path, sound, 40, 0)
  assert not any(found['cut'])


@pytest.mark.slow
def test_two_hundred_are_weights_or_one_sentence(tmp_path, sound):
  found = _each_is_weights_or_one_sentence(tmp_path, sound, 200, 1)
  for kind in ('cut', 'infinite', 'missing', 'shaped', 'unknown'):
    assert not any(found[kind]), kind
  for kind in ('setting', 'typed'):
    assert any(found[kind]), kind


def _changed(sound, path, change):
  """Writes the sound file with its tensors and facts changed."""
  size = int.from_bytes(sound[:8], 'little')
  facts = json.loads(json.loads(sound[8 : 8 + size])['__metadata__']['sel_jax'])
  tensors = safetensors.numpy.load(sound)
  change(tensors, facts)
  metadata = {'sel_jax': json.dumps(facts)}
  path.write_bytes(safetensors.numpy.save(tensors, metadata))


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused_by_name(
  tmp_path, sound, value
):
  """They painted black photographs."""

  def change(tensors, facts):
    del facts
    kernel = tensors['intro/conv/kernel'].copy()
    kernel.flat[3] = value
    tensors['intro/conv/kernel'] = kernel

  path = tmp_path / 'w.safetensors'
  _changed(sound, path, change)
  with pytest.raises(InputError, match=r'w\.saf.*intro/conv/kernel are not f'):
    Enhancer.from_checkpoint(path)


def test_a_checkpoint_that_is_not_finite_is_passed_over(
  tmp_path, sound, caplog
):
  path = tmp_path / 'w.safetensors'
  path.write_bytes(sound)
  found = stored.load(path)
  broken = jax.tree.map(lambda x: np.full_like(x, np.nan), found.params)
  checkpoints = Checkpoints(tmp_path / 'run')
  for step, params in ((1, found.params), (2, broken)):
    checkpoints.save(step, None, params, found.settings.to_dict())
  checkpoints.close()
  assert stored.load(tmp_path / 'run').step == 1
  assert 'checkpoints/2: weights of' in caplog.text


@pytest.mark.parametrize(
  'key, value, message',
  [
    ('model.width', 10**9, 'width.*must be at most 4096'),
    ('model.enc', [1] * 2000, 'at most 1000'),
    ('model.enc', [1] * 40, 'as many stages'),
    ('sde.steps', 10**9, 'steps.*must be at most'),
    ('eval.tile', 10**9, 'tile.*must be at most'),
    ('eval.steps', -1, 'steps.*must be at least 1'),
  ],
)
def test_what_a_header_asks_for_has_bounds(
  tmp_path, sound, key, value, message
):
  section, name = key.split('.')

  def change(tensors, facts):
    del tensors
    facts['config'][section][name] = value

  path = tmp_path / 'w.safetensors'
  _changed(sound, path, change)
  with pytest.raises(InputError, match=rf'w\.safetensors: .*({message})'):
    stored.load(path)
