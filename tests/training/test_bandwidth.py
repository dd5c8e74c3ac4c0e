"""A bandwidth that changes as training goes, in one compiled program."""

import dataclasses
import functools
import json

from flax import linen as nn
import jax
import numpy as np
import optax
import pytest

from sel_jax import build
from sel_jax.configs import lol
from sel_jax.errors import InputError
from sel_jax.models import init_params
from sel_jax.sections import ParallelSpec
from sel_jax.settings import Settings
from sel_jax.training import loop
from sel_jax.training import rehearsal
from sel_jax.training import train
from sel_jax.training.parallel import Parallel
from sel_jax.training.state import TrainState
from sel_jax.training.step import train_step
from sel_jax.training.step import Update
from sel_jax.training.store import Store

# What compiles quickly.
_LIGHT = {'entropy.windows': (1,), 'entropy.levels': 8, 'model.middle': 0}


def _settings(pairs, **changes):
  return Settings.parse(
    lol.get_config('tiny'),
    changes={'data.root': str(pairs), **_LIGHT, **changes},
  )


def test_the_bandwidth_moves_evenly_in_its_logarithm():
  changes = {
    'entropy.bandwidth': 0.5,
    'loss.bandwidth_from': 8.0,
    'loss.bandwidth_updates': 4,
  }
  settings = Settings.parse(lol.get_config('tiny'), changes=changes)
  found = [build.build_bandwidth(settings)(n) for n in range(6)]
  np.testing.assert_allclose(found, [8, 4, 2, 1, 0.5, 0.5])
  whole = settings.changed({'loss.bandwidth_updates': 0, 'train.steps': 8})
  assert build.build_bandwidth(whole)(4) == pytest.approx(2)
  fixed = settings.changed({'loss.bandwidth_from': 0.0})
  assert {build.build_bandwidth(fixed)(n) for n in range(9)} == {0.5}


@pytest.mark.parametrize(
  'changes', [{'entropy.bandwidth': 'scott'}, {'loss.entropy': 0.0}]
)
def test_a_rule_and_no_entropy_have_no_number(changes):
  settings = Settings.parse(
    lol.get_config('tiny'), changes={'loss.l1': 1.0, **changes}
  )
  assert build.build_bandwidth(settings)(0) is None


def _losses(folder):
  lines = (folder / 'log.jsonl').read_text().splitlines()
  return [row['loss'] for row in map(json.loads, lines) if 'loss' in row]


@pytest.mark.fence
def test_bandwidths_seeds_and_a_wide_start_share_one_program(
  pairs, tmp_path, monkeypatch
):
  traced = []
  real = loop.train_step

  def counting(*args, **kwargs):
    traced.append(1)
    return real(*args, **kwargs)

  monkeypatch.setattr(loop, 'train_step', counting)
  loop._program.cache_clear()
  runs = {
    'narrow': {},
    'again': {'seed': 1},
    'wide': {'entropy.bandwidth': 4.0},
    'annealed': {'loss.bandwidth_from': 4.0},
  }
  losses = {}
  for name, changes in runs.items():
    train(_settings(pairs, **changes), tmp_path / name)
    losses[name] = _losses(tmp_path / name)
  assert len(traced) == 1
  narrow, again, wide, annealed = losses.values()
  assert narrow[0] != pytest.approx(wide[0])
  assert narrow[0] != pytest.approx(again[0])
  assert annealed[0] == pytest.approx(wide[0])
  assert annealed[-1] != pytest.approx(wide[-1])


class _Mix(nn.Module):
  """A network that compiles at once."""

  @nn.compact
  def __call__(self, x, mu, t):
    del x, t
    return nn.Dense(3)(mu)


def _learning(rate):
  """A step at each bandwidth, of the same network and images."""
  settings = Settings.parse(
    lol.get_config('tiny'), changes={**_LIGHT, 'loss.bandwidth_rate': rate}
  )
  method = dataclasses.replace(build.build_method(settings), model=_Mix())
  update = Update(optax.sgd(0.1), bandwidth_rate=rate)
  clean = np.random.default_rng(0).uniform(size=(2, 8, 8, 3))
  clean = clean.astype(np.float32)
  batch = {'low': clean * 0.2, 'clean': clean, 'index': np.arange(2)}
  params = method.model.init(jax.random.key(0), clean, clean, 0)['params']
  step = jax.jit(functools.partial(train_step, method=method, update=update))

  def at(bandwidth):
    state = TrainState.create(params, update.tx, bandwidth=bandwidth)
    return step(state, batch, jax.random.key(1))

  return at


def test_a_learned_bandwidth_moves_by_its_slope():
  at, rate, gap = _learning(0.5), 0.5, 0.05
  after, scalars = at(2.0)
  assert float(scalars['bandwidth']) == pytest.approx(2)
  ends = [float(at(2 * np.exp(x))[1]['loss']) for x in (-gap, gap)]
  slope = (ends[1] - ends[0]) / (2 * gap)
  moved = float(after.log_bandwidth) - np.log(2)
  assert abs(slope) > 0.01
  assert moved == pytest.approx(-rate * slope, rel=0.02)


def test_a_learned_bandwidth_starts_at_its_spec_and_is_kept(tmp_path):
  changes = {'entropy.bandwidth': 2.0, 'loss.bandwidth_rate': 0.1}
  settings = Settings.parse(lol.get_config('tiny'), changes=changes)
  assert build.learned_bandwidth(settings) == 2
  assert build.build_bandwidth(settings)(0) is None  # none in the batch
  assert build.learned_bandwidth(settings.changed({'loss.l1': 1.0})) == 2
  fixed = settings.changed({'loss.bandwidth_rate': 0.0})
  assert build.learned_bandwidth(fixed) is None

  params, tx = {'w': np.ones((2, 3), np.float32)}, optax.sgd(0.1)
  state = jax.device_get(TrainState.create(params, tx, bandwidth=3.0))
  with Store(settings, tmp_path) as store:
    store.save(state)
  with Store(settings, tmp_path) as store:
    found = store.restore(TrainState.create(params, tx, bandwidth=2.0))
  assert float(np.exp(found.log_bandwidth)) == pytest.approx(3)


def test_a_dry_run_finds_a_run_that_learns_its_bandwidth(tmp_path):
  changes = {'loss.bandwidth_rate': 0.1}
  settings = Settings.parse(lol.get_config('tiny'), changes=changes)
  assert rehearsal.check_state(settings, tmp_path / 'none').first == 0
  params = init_params(jax.random.key(0), settings.model.network)
  tx = build.build_optimizer(settings)
  state = TrainState.create(params, tx, bandwidth=0.5)
  with Store(settings, tmp_path) as store:
    store.save(jax.device_get(state.replace(step=np.int32(3))))
  assert rehearsal.check_state(settings, tmp_path).first == 3


@pytest.mark.parametrize('sharded', [False, True])
@pytest.mark.parametrize('backend', ['shard_map', 'pmap'])
def test_every_layout_carries_a_learned_bandwidth(backend, sharded):
  spec = ParallelSpec(backend=backend, shard_state=sharded)
  params, tx = {'w': np.ones((2, 3), np.float32)}, optax.sgd(0.1)
  state = jax.device_get(TrainState.create(params, tx, bandwidth=3.0))
  layout = Parallel(spec, batch_size=8).layout(state)
  back = layout.fetch(layout.place(state))
  jax.tree.map(np.testing.assert_array_equal, back, state)


@pytest.mark.parametrize(
  ('changes', 'words'),
  [
    (
      {'loss.bandwidth_from': 4.0, 'entropy.bandwidth': 'silverman'},
      "bandwidth_from=4.0: moves .*'silverman', which is a rule; give",
    ),
    (
      {'loss.bandwidth_rate': 0.1, 'entropy.bandwidth': 'scott'},
      "bandwidth_rate=0.1: moves .*'scott', which is a rule; give",
    ),
    (
      {'loss.bandwidth_rate': 0.1, 'loss.bandwidth_from': 4.0},
      'bandwidth_rate=0.1: learns what .*bandwidth_from=4.0 anneals; give 0',
    ),
  ],
)
def test_what_can_not_move_is_refused(changes, words):
  with pytest.raises(InputError, match=words):
    Settings.parse(lol.get_config('tiny'), changes=changes)
