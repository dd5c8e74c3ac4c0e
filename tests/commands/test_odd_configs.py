"""Configurations that nobody meant to write: settings, or one sentence."""

import time

from helpers import odd_configs
import pytest

from benchmarks.lib.runs import make_pairs
from sel_jax.commands import config_files
from sel_jax.errors import InputError
from sel_jax.settings import every_key
from sel_jax.settings import Settings
from sel_jax.training import rehearsal


@pytest.fixture(scope='module')
def root(tmp_path_factory):
  return str(make_pairs(tmp_path_factory.mktemp('pairs')))


def _settings(odd, path, root):
  """As `train` reads them; the pairs are there unless it says otherwise."""
  path.write_bytes(odd.source)
  config = config_files.load(f'{path}:tiny')
  config_files.override(config, {'data.root': root, **odd.keys}, every_key())
  return Settings.parse(config)


def _each_is_settings_or_one_sentence(folder, root, count, seed):
  """Kind -> whether each of it would train."""
  outcomes = {}
  for n, odd in enumerate(odd_configs.odd_configs(count, seed=seed)):
    path = folder / f'odd{n}.py'
    begin = time.monotonic()
    try:
      settings = _settings(odd, path, root)
      assert Settings.parse_stored(settings.to_dict()) == settings
      rehearsal.check_data(settings)
      rehearsal.check_state(settings, folder / f'run{n}')
    except InputError as error:
      assert 10 < len(str(error)) < 600 + len(str(path)), error
      outcomes.setdefault(odd.kind, []).append(False)
    else:
      outcomes.setdefault(odd.kind, []).append(True)
    assert time.monotonic() - begin < 20, odd
  return outcomes


def test_each_is_settings_or_one_sentence(tmp_path, root):
  found = _each_is_settings_or_one_sentence(tmp_path, root, 30, 0)
  assert not any(found['unknown'])


@pytest.mark.slow
def test_three_hundred_are_settings_or_one_sentence(tmp_path, root):
  found = _each_is_settings_or_one_sentence(tmp_path, root, 300, 1)
  assert not any(found['unknown'])
  for kind in ('key', 'several', 'text', 'source'):
    assert any(found[kind]) and not all(found[kind]), kind
