"""Configurations: what is read, what is refused, and in which words."""

import functools
import json
import math
from pathlib import Path
import typing

import jax
import ml_collections
import pytest

from sel_jax import build
from sel_jax import entropy
from sel_jax import fields
from sel_jax import settings
from sel_jax import stored_keys
from sel_jax.configs import default
from sel_jax.configs import lol
from sel_jax.configs import sample
from sel_jax.errors import InputError
from sel_jax.errors import SettingError
from sel_jax.fields import check
from sel_jax.losses import LOSSES
from sel_jax.models import ConditionalUNet
from sel_jax.models import MODELS
from sel_jax.settings import Settings

CONFIGS = {
  'default': default.get_config,
  **{
    f'lol:{preset}': functools.partial(lol.get_config, preset)
    for preset in lol._PRESETS
  },
  'sample': sample.get_config,
}


@pytest.mark.parametrize('name', CONFIGS)
def test_every_config_builds_and_survives_storing(name):
  found = Settings.parse(CONFIGS[name]())
  method = build.build_method(found)
  assert method.losses(jax.random.key(0))
  again = Settings.parse(json.loads(json.dumps(found.to_dict())))
  assert again == found and hash(again) == hash(found)
  assert build.build_method(again).model == method.model


def test_default_is_the_settings_without_a_word():
  assert Settings.parse(default.get_config()) == Settings()
  assert Settings.parse({}) == Settings()


# Keys of text that is no name of a row.
FREE_TEXT = {
  'data.root',
  'data.name',
  'data.low',
  'data.clean',
  'data.cache_dir',
  'train.best',
}


def test_every_key_is_described_and_every_number_has_a_range():
  for section, cls in settings.SECTIONS.items():
    for name, one in fields.described(cls).items():
      path = f'{section}.{name}'
      assert len(one.key.text) > 4, path
      assert not one.key.text.endswith('.'), path
      numbers = one.hint in (int, float) or (
        one.hint not in (str, bool, tuple[str, ...])
      )
      if numbers and not path.endswith('_range'):
        assert one.key.limits, path
      if one.hint is str and one.key.names() is None:
        assert path in FREE_TEXT, path


def test_the_table_of_keys_is_the_one_of_the_docs():
  path = Path(__file__).parents[1] / 'docs' / 'settings.md'
  assert path.read_text() == settings.table(), 'run `make settings`'


def test_the_preset_of_the_release_is_its_definition():
  found = Settings.parse(lol.get_config('release'))
  assert found.entropy == entropy.EntropySpec.reference()
  assert found.optim.clip_norm == 0
  assert found.model == Settings().model and found.loss == Settings().loss


def test_presets_that_do_not_exist_are_refused():
  with pytest.raises(ValueError, match=r"lol.py:huge: .*'small', .*'tiny'"):
    lol.get_config('huge')


def _broken(path, value):
  config = lol.get_config('tiny')
  *sections, key = path.split('.')
  part = config
  for section in sections:
    part = part[section]
  with part.unlocked(), part.ignore_type():
    part[key] = value
  return config


WRONG = [
  ('optim.lrr', 1.0, r"config.optim.lrr: unknown key; did you mean 'lr'"),
  ('modle', 1, r"config.modle: unknown key; did you mean 'model'"),
  ('seed', -1, r'config.seed=-1: must be at least 0'),
  ('seed', 'x', r"config.seed='x': give a whole number, such as 0"),
  ('model', 3, r'config.model=3: is a section, .* such as config.model.name'),
  (
    'optim.lr',
    'fast',
    r"config.optim.lr='fast': give a number, such as 0.0001",
  ),
  ('optim.lr', math.nan, r'config.optim.lr=nan: must be finite'),
  ('optim.lr', 0.0, r'config.optim.lr=0.0: must be above 0'),
  ('optim.ema_decay', 2.0, r'config.optim.ema_decay=2.0: must be below 1'),
  ('optim.b1', 1.0, r'config.optim.b1=1.0: must be below 1'),
  ('train.steps', 1.5, r'config.train.steps=1.5: give a whole number'),
  ('train.steps', '3', r"config.train.steps='3': give a whole number"),
  ('train.steps', 0, r'config.train.steps=0: must be at least 1'),
  ('data.flip', 1, r'config.data.flip=1: give True or False, such as True'),
  ('data.shrink', 2.0, r'config.data.shrink=2.0: must be at most 1'),
  ('data.source', 'web', r"config.data.source='web': choose one of \['folder'"),
  ('data.cache', 'ram', r"config.data.cache='ram': choose one of"),
  ('model.enc', 3, r'config.model.enc=3: give a tuple, each a whole number'),
  (
    'model.enc',
    (1, 1),
    r'config.model: .*enc \(1, 1\) and dec \(1,\) ',
  ),
  ('model.width', 7, r'config.model: width=7: must be even'),
  (
    'model.name',
    'nafnt',
    r"config.model.name='nafnt': .*mean 'nafnet'",
  ),
  ('model.dtype', 'float16', r"config.model.dtype='float16': choose one of"),
  ('loss.objective', 'x', r"config.loss.objective='x': choose one of"),
  ('loss.at_prior', 1.5, r'config.loss.at_prior=1.5: must be at most 1'),
  ('loss.l1', -1.0, r'config.loss.l1=-1.0: must be at least 0'),
  ('loss.l9', 1.0, r"config.loss.l9: unknown key; known: .*'l1', 'l2'"),
  ('optim.name', 'sgd', r"config.optim.name='sgd': choose one of"),
  ('eval.sampler', 'x', r"config.eval.sampler='x': choose one of"),
  ('eval.steps', 11, r'config.eval.steps=11: the diffusion has 10'),
  ('eval.tile', 100, r'config.eval.tile=100: give a multiple of 32, or 0'),
  ('eval.overlap', 400, r'config.eval.overlap=400: give 0 to half of tile'),
  ('eval.unbias', True, r'config.eval.unbias=True: only config.loss.objective'),
  ('data.reexpose', 0.5, r'config.data.reexpose=0.5: config.model.exposure is'),
  ('sde.eps', 2.0, r'config.sde.eps=2.0: must be below 1'),
  ('entropy.kernel', 'box', r"config.entropy.kernel='box': choose one of"),
  ('entropy.bandwidth', 'wide', r"config.entropy.bandwidth='wide': choose one"),
  ('entropy.windows', (2,), r'config.entropy.windows=\(2,\): give odd sizes'),
  ('parallel.backend', 'x', r"config.parallel.backend='x': choose one of"),
]


@pytest.mark.parametrize(('path', 'value', 'message'), WRONG)
def test_wrong_settings_are_named(path, value, message):
  config = _broken(path, value)
  if path == 'eval.unbias':
    config.loss.objective = 'clean'
  with pytest.raises(InputError, match=message):
    Settings.parse(config)


def test_a_loss_needs_a_weight():
  with pytest.raises(InputError, match='config.loss: every weight is 0'):
    Settings.parse(_broken('loss.entropy', 0.0))


def test_the_unet_and_the_denoising_diffusion_can_be_chosen(caplog):
  config = _broken('model.name', 'unet')
  config.model.depth = 2
  config.sde.name = 'denoising'
  found = Settings.parse(config)
  method = build.build_method(found)
  assert isinstance(method.model, ConditionalUNet) and method.model.depth == 2
  assert type(method.sde).__name__ == 'DenoisingSDE'
  told = [r.getMessage() for r in caplog.records]
  assert (
    'config.model.enc=(1,) does nothing: it is a key of nafnet alone' in told
  )
  assert 'enc' not in found.to_dict()['model']
  with pytest.raises(InputError, match='config.eval.pool=64: unet has no'):
    found.changed({'eval.pool': 64})


def test_changes_are_checked_like_configurations():
  found = Settings().changed({'optim.lr': 1, 'seed': 3})
  assert found.optim.lr == 1.0 and found.seed == 3
  with pytest.raises(InputError, match="config.optim.rl: unknown .*'lr'"):
    found.changed({'optim.rl': 1})
  with pytest.raises(
    InputError, match='config.optm.lr: unknown section.*optim'
  ):
    found.changed({'optm.lr': 1})
  with pytest.raises(InputError, match=r'config.train.steps=0: must be'):
    found.changed({'train.steps': 0})


def test_rows_added_from_outside_bring_keys_of_their_own(monkeypatch):
  def mine(pred, target):
    """Mean of my own errors."""
    return abs(pred - target).mean((1, 2, 3))

  class MyNet(ConditionalUNet):
    """A network with a key of its own."""

    twist: int = fields.key('how often it turns', default=1, ge=1)

  monkeypatch.setitem(LOSSES, 'mine', mine)
  monkeypatch.setitem(MODELS, 'my_net', MyNet)
  config = stored_keys.default_config()
  assert config.loss.mine == 0.0 and config.model.twist == 1
  config.loss.mine = 2.0
  config.model.update(name='my_net', twist=3, width=8)
  found = Settings.parse(config)
  assert found.model.network == MyNet(width=8, twist=3)
  losses = build.build_method(found).losses(jax.random.key(0))
  assert losses['mine'] == (2.0, mine)
  assert Settings.parse(found.to_dict()) == found
  config.model.twist = 0
  with pytest.raises(InputError, match='config.model.twist=0: must be'):
    Settings.parse(config)


def test_the_only_reader_leaves_the_configuration_as_it_was():
  config = lol.get_config('tiny')
  before = config.to_json_best_effort()
  Settings.parse(config)
  assert config.to_json_best_effort() == before
  assert isinstance(config, ml_collections.ConfigDict)


def _numbers() -> list[tuple[str, fields.Described, type]]:
  """Every key that a number can be given for, and of what type."""
  return [
    (name, one, kind)
    for name, one in settings.every_key().items()
    for kind in (int, float)
    if kind in {one.hint, *typing.get_args(one.hint)}
  ]


def test_a_number_beyond_every_bound_is_refused_by_its_key():
  assert len(_numbers()) > 60
  for name, one, kind in _numbers():
    for value in (kind(10**13), kind(-(10**13))):
      many = typing.get_origin(one.hint) is tuple
      given = (value,) * len(one.default or (1,)) if many else value
      with pytest.raises(SettingError, match='must be') as caught:
        check.checked(one, given)
      assert name.endswith(caught.value.key)


def test_a_key_of_many_values_has_an_end():
  with pytest.raises(SettingError, match='enc.*at most 1000'):
    Settings().changed({'model.enc': (1,) * 1001})
