"""Configurations from files, keys from the command line."""

import ml_collections
import pytest

from sel_jax.ablation import plan
from sel_jax.commands import config_files
from sel_jax.errors import InputError
from sel_jax.settings import every_key
from sel_jax.settings import Settings

FILE = """
import ml_collections
from sel_jax.configs import lol

def get_config(preset=''):
  config = lol.get_config('tiny')
  config.data.source = 'sample'
  if preset not in ('', 'wide'):
    raise ValueError(f'{preset}: no such preset')
  config.model.width = 8 if preset else 4
  return config
"""


@pytest.fixture
def file(tmp_path):
  path = tmp_path / 'mine.py'
  path.write_text(FILE)
  return path


def test_a_file_of_ones_own_is_read_with_its_preset(file):
  assert config_files.load(str(file)).model.width == 4
  assert config_files.load(f'{file}:wide').model.width == 8
  with pytest.raises(InputError, match=r'mine.py:deep: deep: no such preset'):
    config_files.load(f'{file}:deep')


def test_a_file_that_was_changed_at_once_is_read_anew(file):
  assert config_files.load(str(file)).model.width == 4
  file.write_text(FILE.replace('else 4', 'else 6'))
  assert config_files.load(str(file)).model.width == 6
  assert not (file.parent / '__pycache__').exists()


def test_files_that_come_along_are_found_from_anywhere(monkeypatch, tmp_path):
  monkeypatch.chdir(tmp_path)
  assert config_files.load('configs/lol.py:tiny').model.width == 4
  with pytest.raises(InputError, match=r'no such .* ablations.py, .* lol.py'):
    config_files.load('configs/none.py')
  with pytest.raises(InputError, match=r'configs/sample.py:x: .* no presets'):
    config_files.load('configs/sample.py:x')
  with pytest.raises(InputError, match=r'give FILE.py or FILE.py:PRESET'):
    config_files.load('lol')


BROKEN = {
  'def get_config(:': r'line 1: SyntaxError',
  'import nothing_there': r'line 1: ModuleNotFoundError: .*nothing_there',
  'x = 1': r"AttributeError: .*'get_config'",
  'def get_config():\n  return {}': r'gave a dict; return a ml_collections',
  'def get_config():\n  return 1 / 0': r'line 2: ZeroDivisionError',
}


@pytest.mark.parametrize('text', BROKEN)
def test_a_broken_file_is_named_with_its_line(text, tmp_path):
  path = tmp_path / 'bad.py'
  path.write_text(text)
  with pytest.raises(InputError, match=rf'bad.py.*{BROKEN[text]}'):
    config_files.load(str(path))


SET = {
  'optim.lr': ('3e-4', 3e-4),
  'train.steps': ('7', 7),
  'data.root': ('123', '123'),  # text stays text
  'data.flip': ('false', False),
  'data.rotate': ('True', True),
  'data.exclude': ('142, 648', ('142', '648')),
  'model.enc': ('(1, 2)', (1, 2)),
  'model.dec': ('[1,2]', (1, 2)),
  'entropy.windows': ('3', (3,)),
  'entropy.bandwidth': ('silverman', 'silverman'),
  'seed': ('5', 5),
}


def test_values_are_what_their_keys_hold(file):
  config = config_files.load(str(file))
  words = {path: text for path, (text, _) in SET.items()}
  config_files.override(config, words, every_key())
  stored = Settings.parse(config).to_dict()
  stored['data']['root'] = config.data.root  # of the folder, not the sample
  for path, (_, value) in SET.items():
    section, _, key = path.rpartition('.')
    found = stored[section][key] if section else stored[key]
    assert found == value and type(found) is type(value), path


def test_keys_that_are_not_there_are_named(file):
  config = config_files.load(str(file))
  for path, message in {
    'optim.lrr': r"config.optim.lrr: unknown key; did you mean 'lr'",
    'modle.width': r"config.modle: unknown key; did you mean 'model'",
    'optim.lr.x': r'config.optim.lr.x: unknown key',
    'model': r'config.model=1: is a section; set a key of it',
  }.items():
    with pytest.raises(InputError, match=message):
      config_files.override(config, {path: '1'}, every_key())


def test_what_is_no_value_is_refused_by_its_key(file):
  config = config_files.load(str(file))
  config_files.override(config, {'optim.lr': 'fast'}, every_key())
  with pytest.raises(InputError, match="config.optim.lr='fast': give a number"):
    Settings.parse(config)


def test_keys_of_an_ablation_are_read_as_its_spec_says():
  config = ml_collections.ConfigDict({'base': {'loss': {'l1': 0.0}}})
  keys = {'only': 'L1,bandwidth 0.5', 'seeds': '4', 'base.loss.l1': '2'}
  config_files.override(config, keys, plan.every_key())
  assert config.only == ('L1', 'bandwidth 0.5') and config.seeds == (4,)
  assert config.base.loss.l1 == 2
  with pytest.raises(InputError, match=r"config\.sead: .*'seed|known"):
    config_files.override(config, {'sead': '1'}, plan.every_key())


def test_sections_that_were_left_out_can_be_set(tmp_path):
  path = tmp_path / 'a.py'
  path.write_text(
    'import ml_collections\n'
    'def get_config():\n'
    '  return ml_collections.ConfigDict()\n'
  )
  config = config_files.load(str(path))
  config_files.override(config, {'optim.lr': '0.5'}, every_key())
  assert Settings.parse(config).optim.lr == 0.5
  with pytest.raises(InputError, match=r'config\.optim\.lr is no section'):
    config_files.override(config, {'optim.lr.x': '3'}, every_key())


def test_long_values_are_cut_and_a_file_that_exits_is_named(file):
  config = config_files.load(str(file))
  with pytest.raises(InputError) as told:
    config_files.override(config, {'optim.' + 'x' * 5000: '3'}, every_key())
  assert len(str(told.value)) < 500
  with config.ignore_type():
    config.optim = list(range(2000))
  with pytest.raises(InputError, match=r'config\.optim=\[0, 1') as told:
    Settings.parse(config)
  assert len(str(told.value)) < 500
  file.write_text('raise SystemExit(3)')
  with pytest.raises(InputError, match='line 1: SystemExit: 3'):
    config_files.load(str(file))
