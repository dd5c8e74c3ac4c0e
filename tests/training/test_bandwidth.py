"""A bandwidth that changes as training goes, in one compiled program."""

import json

import jax
import numpy as np
import pytest

from sel_jax import build
from sel_jax.ablation import trials
from sel_jax.configs import lol
from sel_jax.errors import InputError
from sel_jax.settings import Settings
from sel_jax.training import loop
from sel_jax.training import train


def _settings(pairs, **changes):
  changes = {'data.root': str(pairs), **changes}
  return Settings.parse(lol.get_config('tiny'), changes=changes)


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


def test_a_schedule_that_leads_to_a_rule_is_refused():
  changes = {'loss.bandwidth_from': 4.0, 'entropy.bandwidth': 'silverman'}
  with pytest.raises(InputError, match='bandwidth_from=4.*is a rule; give'):
    Settings.parse(lol.get_config('tiny'), changes=changes)


def test_a_wide_start_trains_as_that_bandwidth_does(pairs, tmp_path):
  losses = {}
  for name, changes in {
    'narrow': {},
    'wide': {'entropy.bandwidth': 4.0},
    'annealed': {'loss.bandwidth_from': 4.0},
  }.items():
    train(_settings(pairs, **changes), tmp_path / name)
    lines = (tmp_path / name / 'log.jsonl').read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    losses[name] = [row['loss'] for row in rows if 'loss' in row]
  first, *_, last = zip(*(losses[n] for n in ('narrow', 'wide', 'annealed')))
  assert first[2] == pytest.approx(first[1]) != pytest.approx(first[0])
  assert last[2] != pytest.approx(last[1])


def test_an_ablation_over_the_bandwidth_compiles_once(
  pairs, tmp_path, monkeypatch
):
  traced = []
  real = loop.train_step

  def counting(*args, **kwargs):
    traced.append(1)
    return real(*args, **kwargs)

  monkeypatch.setattr(loop, 'train_step', counting)
  loop._program.cache_clear()
  every = trials.every_trial(
    _settings(pairs).to_dict(),
    {str(h): {'entropy.bandwidth': h} for h in (0.25, 0.5, 1.0)},
    seeds=(0, 1),
  )
  found = [train(t.settings, tmp_path / t.folder) for t in every]
  assert len(traced) == 1
  weights = {
    float(np.sum([np.sum(np.abs(x)) for x in jax.tree.leaves(state.params)]))
    for state in found
  }
  assert len(weights) == len(every)
