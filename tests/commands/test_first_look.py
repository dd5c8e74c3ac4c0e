"""What is refused by the stored keys, and what is left to the checks."""

import os
import re

import pytest

from sel_jax import stored_keys
from sel_jax.ablation import plan
from sel_jax.commands import config_files
from sel_jax.commands import first_look
from sel_jax.commands import stored_help
from sel_jax.errors import InputError
from sel_jax.settings import every_key
from sel_jax.settings import Settings

WRONG = {
  'optim.lrr': '1',
  'optm.lr': '1',
  'nothing.like.it': '1',
  'optim.lr.x': '1',
  'optim': '1',
  'sead': '1',
  'seed': '-1',
  'init_optimizer': 'yes',
  'optim.lr': 'fast',
  'optim.ema_decay': '2',
  'train.batch_size': '1.5',
  'train.steps': 'nan',
  'data.source': 'foldr',
  'data.crop': '0',
  'eval.sampler': 'ancestral2',
  'entropy.bandwidth': "'silvermann'",
  'entropy.windows': '(1, "a")',
  'model.enc': '(1, -2)',
}


# Those that not every variant sets anew.
OF_ALL_VARIANTS = [n for n in WRONG if n not in ('seed', 'entropy.windows')]


def _check(command, given, changes):
  first_look.check(command, given, config_files.load(given), changes)


def _refusal(check):
  try:
    check()
  except InputError as error:
    return str(error)
  return None


def test_the_keys_are_those_of_the_fields():
  stored = stored_keys.path().read_text()
  assert stored == stored_help.keys(), 'run `make settings`'
  for command, made in {
    'train': every_key(),
    'ablate': plan.every_key(),
  }.items():
    read = stored_keys.read(command)
    assert read.keys() == made.keys()
    for name, one in made.items():
      assert (read[name].hint, read[name].default) == (one.hint, one.default)
      assert read[name].key.limits == one.key.limits
      assert read[name].key.names() == one.key.names()


@pytest.mark.parametrize('name', WRONG)
def test_a_key_is_refused_in_the_words_of_the_checks(name):
  changes = {name: WRONG[name]}

  def check():
    config = config_files.load('configs/lol.py')
    config_files.override(config, changes, every_key())
    Settings.parse(config)

  told = _refusal(check)
  assert told
  assert _refusal(lambda: first_look.check_keys('train', changes)) == told


@pytest.mark.parametrize('name', [*OF_ALL_VARIANTS, 'seeds', 'splt'])
def test_a_key_of_an_ablation_is_refused_likewise(name):
  changes = {f'base.{name}' if name in WRONG else name: WRONG.get(name, 'a')}

  def check():
    config = config_files.load('configs/ablations.py')
    config_files.override(config, changes, plan.every_key())
    plan.Plan.parse(config)

  told = _refusal(check)
  assert told
  first = _refusal(lambda: first_look.check_keys('ablate', changes))
  # The checks name the first variant that has the key, and not its base.
  told = re.sub(r"^variant '.*': config", 'config.base', told)
  assert first == told


def test_what_fits_passes_and_so_does_what_parts_of_ones_own_may_add():
  fits = {'optim.lr': '3e-4', 'data.root': '123', 'model.enc': '(1, 2)'}
  first_look.check_keys('train', fits)
  first_look.check_keys('train', {})
  words = {'imports': 'mine', 'model.name': 'mine'}
  _check('train', 'configs/sample.py', words)


def test_what_is_older_than_the_package_refuses_nothing(monkeypatch, tmp_path):
  package = tmp_path / 'sel_jax'
  package.mkdir()
  keys, module = package / 'stored_keys.json', package / 'optimizers.py'
  keys.write_text(stored_keys.path().read_text())
  module.write_text('')
  monkeypatch.setattr(stored_keys, 'path', lambda: keys)
  with pytest.raises(InputError, match='unknown key'):
    _check('train', 'configs/sample.py', {'optim.mine': '1'})
  os.utime(module, (0, keys.stat().st_mtime + 100))
  _check('train', 'configs/sample.py', {'optim.mine': '1'})
  first_look.check_keys('train', {'optim.mine': '1'})


OWN = """
import ml_collections
from sel_jax.configs import ablations

def get_config():
  config = ablations.get_config('tiny')
  config.base.data.root = '/nowhere'
  del config.variants
  config.variants = {variants}
  return config
"""


PAIRS = "(('a', (('loss.l1', 1.0),)),)"
MAPPING = """ml_collections.ConfigDict(
    {'a': {'loss.l1': 1.0}}, allow_dotted_keys=True)"""


@pytest.mark.parametrize('variants', [PAIRS, MAPPING])
def test_the_base_of_an_ablation_needs_its_data(variants, tmp_path):
  path = tmp_path / 'own.py'
  path.write_text(OWN.replace('{variants}', variants))
  with pytest.raises(InputError, match='/nowhere: no such folder'):
    _check('ablate', str(path), {})
  _check('ablate', str(path), {'base.data.source': 'sample'})
  path.write_text(OWN.replace('{variants}', variants.replace('loss', 'data')))
  _check('ablate', str(path), {})


def test_a_configuration_of_another_form_is_left_to_its_reader(tmp_path):
  path = tmp_path / 'own.py'
  path.write_text(
    'import ml_collections\n'
    'def get_config():\n'
    "  return ml_collections.ConfigDict({'base': {}, 'variants': 3})\n"
  )
  _check('ablate', str(path), {})


FILES = {
  'import ml_collections': True,
  'from sel_jax.configs import lol': True,
  'from sel_jax.configs.lol import get_config': True,
  'from sel_jax.configs import none': False,
  'import mine': False,
  'from sel_jax.losses import LOSSES': False,
  'from . import mine': False,
  'config.imports = ("mine",)': False,
  'config["imports"] = ("mine",)': False,
  'dict(imports=("mine",))': False,
  'def (': False,
}


@pytest.mark.parametrize('text', FILES)
def test_only_a_file_that_adds_no_part_has_the_stored_keys_alone(
  text, tmp_path
):
  (tmp_path / 'own.py').write_text(text)
  assert first_look._is_plain(tmp_path / 'own.py') is FILES[text]


def test_the_configurations_that_come_along_have_them_alone():
  for name in ('ablations', 'default', 'lol', 'sample'):
    assert first_look._is_plain(config_files.find(f'configs/{name}.py'))
