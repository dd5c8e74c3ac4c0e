"""Files that earlier versions wrote go on: tests/before holds some.

Version 0.1.0 with flat configurations wrote them: a run of lol.py:tiny on the
sample set after two updates, two pairs of random pixels as TFDS records, and
the header of the weights that shipped first.
"""

import json
from pathlib import Path
import tarfile

import jax
import numpy as np
import pytest

from sel_jax import build
from sel_jax import settings
from sel_jax.checkpoints import Checkpoints
from sel_jax.data import cache
from sel_jax.data.pairs import open_pairs
from sel_jax.data.pairs import PairsSpec
from sel_jax.inference import Enhancer
from sel_jax.interop import portable
from sel_jax.models import count_params
from sel_jax.models import init_params
from sel_jax.models import param_shapes
from sel_jax.settings import Settings
from sel_jax.training import train
from sel_jax.training.state import TrainState
from sel_jax.training.store import Store

BEFORE = Path(__file__).parent / 'before'

# Key of before -> a value of it and what must come of it.
RENAMED = {'sde.kind': ('denoising', lambda s: s.sde.name == 'denoising')}


def _unpacked(name, folder):
  with tarfile.open(BEFORE / f'{name}.tar.gz') as archive:
    archive.extractall(folder, filter='data')
  return folder


@pytest.fixture
def workdir(tmp_path):
  return _unpacked('run', tmp_path / 'run')


def _stored(workdir):
  reader = Checkpoints.open(workdir)
  try:
    return reader.config(2)
  finally:
    reader.close()


def test_a_run_of_before_restores_photographs(workdir):
  stored = _stored(workdir)
  assert stored['sde']['kind'] == 'ir' and stored['model']['depth'] == 4
  enhancer = Enhancer.from_checkpoint(workdir)
  assert enhancer.step == 2
  low = np.linspace(0, 0.3, 20 * 33 * 3, dtype=np.float32)
  restored = enhancer(low.reshape(20, 33, 3))
  assert restored.shape == (20, 33, 3)
  # What these weights made of it when the file was kept.
  np.testing.assert_allclose(
    restored.mean((0, 1)), (0.15322, 0.11311, 0.18669), atol=1e-4
  )
  np.testing.assert_allclose(
    restored[19, 32], (0.43815, 0.19226, 0.33901), atol=1e-4
  )


def test_the_state_of_a_run_of_before_is_taken_over(workdir, caplog):
  found = Settings.parse(_stored(workdir))
  model = build.build_method(found).model
  fresh = TrainState.create(
    init_params(jax.random.key(1), model), build.build_optimizer(found)
  )
  with Store(found, workdir) as store:
    state = store.restore(jax.device_get(fresh))
  assert int(state.step) == 2
  ours = [r for r in caplog.records if r.name.startswith('sel_jax')]
  assert not ours  # nothing differs from what is stored
  moments = jax.tree.leaves(state.opt_state)
  assert any(np.any(np.asarray(leaf)) for leaf in moments if np.ndim(leaf))


@pytest.mark.slow
def test_a_run_of_before_goes_on(workdir):
  state = train(Settings.parse(_stored(workdir)), workdir)
  assert int(state.step) == 4
  names = {p.name for p in (workdir / 'checkpoints').iterdir()}
  assert names >= {'2', '4'}


def test_every_renamed_key_has_a_test():
  assert RENAMED.keys() == settings.RENAMED.keys()


@pytest.mark.parametrize('old', RENAMED)
def test_a_renamed_key_is_read(old, workdir):
  value, came_of_it = RENAMED[old]
  stored = _stored(workdir)
  section, key = old.split('.')
  stored[section][key] = value
  found = Settings.parse(stored)
  assert came_of_it(found)
  assert Settings.parse(found.to_dict()) == found
  new_section, new_key = settings.RENAMED[old].split('.')
  assert new_key in found.to_dict()[new_section]
  assert key not in found.to_dict()[section]


def test_the_key_of_today_wins_over_the_one_of_before():
  found = Settings.parse({'sde': {'kind': 'denoising', 'name': 'ir'}})
  assert found.sde.name == 'ir'


def test_the_weights_that_shipped_first_are_read(tmp_path):
  facts = json.loads((BEFORE / 'shipped.json').read_text())
  assert 'kind' in facts['config']['sde']
  settings = Settings.parse(facts['config'])
  assert settings.model.network.patch == 2 and settings.eval.steps == 1
  shapes = param_shapes(settings.model.network)
  assert 6.8e6 < count_params(shapes) < 7e6
  params = jax.tree.map(lambda x: np.ones(x.shape, x.dtype), shapes)
  path = tmp_path / 'first.safetensors'
  portable.save(path, params, facts, dtype='float16')
  found = Enhancer.from_checkpoint(path)
  assert found.settings == settings and found.step == 8_000


def test_records_of_before_are_read(tmp_path):
  root = _unpacked('tfds', tmp_path)
  spec = PairsSpec.create(
    source='tfds', root=str(root / 'tfds'), name='low_light_pairs'
  )
  pairs = spec.open('train')
  assert [pair.name for pair in pairs] == ['0', '1']
  for pair in pairs:
    np.testing.assert_array_equal(pair.low, pair.clean // 8)
    assert pair.clean.max() > 100


def test_a_disk_cache_of_before_is_read_and_found(tmp_path):
  folder = tmp_path / 'decoded'
  folder.mkdir()
  low = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
  padded = low.tobytes() + bytes(6)
  (folder / 'pixels.bin').write_bytes(padded + (low + 100).tobytes())
  entry = {
    'name': 'a',
    'low': [0, [2, 3, 3], '|u1'],
    'target': [24, [2, 3, 3], '|u1'],
  }
  (folder / 'index.json').write_text(json.dumps([entry]))
  (pair,) = cache.DiskPairs(folder)
  np.testing.assert_array_equal(pair.low, low)
  np.testing.assert_array_equal(pair.clean, low + 100)
  # The folder's name is made of what the files say of themselves.
  sample = open_pairs(PairsSpec.create(source='sample'), 'val')
  kept = cache.keep(sample, cache.CacheSpec('disk', str(tmp_path / 'kept')))
  assert len(kept) == 2
  (made,) = (tmp_path / 'kept').iterdir()
  assert made.name == 'decoded-1b02c2e116aa9671-0'
