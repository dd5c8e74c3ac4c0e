import dataclasses
import json

import jax
import ml_collections
import pytest

from sel_jax import build
from sel_jax.configs import default
from sel_jax.configs import lol
from sel_jax.configs import sample
from sel_jax.entropy import EntropySpec
from sel_jax.errors import InputError
from sel_jax.models import ConditionalUNet
from sel_jax.settings import LossSpec
from sel_jax.settings import OptimSpec

CONFIGS = {
  'default': default.get_config,
  'lol': lol.get_config,
  'lol:small': lambda: lol.get_config('small'),
  'lol:tiny': lambda: lol.get_config('tiny'),
  'sample': sample.get_config,
}


@pytest.mark.parametrize('name', CONFIGS)
def test_every_config_builds_and_survives_storing(name):
  config = CONFIGS[name]()
  build.check_config(config)
  method = build.build_method(config)
  assert method.losses(jax.random.key(0))
  stored = json.loads(config.to_json_best_effort())
  again = ml_collections.ConfigDict(stored)
  build.check_config(again)
  other = build.build_method(again)
  assert other.model == method.model
  assert other.entropy == method.entropy
  assert build.train_spec(again) == build.train_spec(config)


def test_default_holds_every_key_at_its_documented_value():
  config = default.get_config()
  for name, specs in build._SECTIONS.items():
    fields = {f.name: f for s in specs for f in dataclasses.fields(s)}
    assert set(config[name]) == set(fields)
  assert build._read(config, 'entropy', EntropySpec) == EntropySpec()
  assert build._read(config, 'loss', LossSpec) == LossSpec()
  assert build._read(config, 'optim', OptimSpec) == OptimSpec()


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


@pytest.mark.parametrize(
  ('path', 'value', 'message'),
  [
    ('optim.lrr', 1.0, r"config.optim.lrr: unknown key; did you mean 'lr'"),
    ('modle', 1, r"config.modle: unknown key; did you mean 'model'"),
    ('optim.lr', 'fast', r"config.optim.lr='fast' is of type str"),
    ('train.steps', 1.5, r'config.train.steps=1.5 is of type float'),
    ('data.flip', 1, r'config.data.flip=1 is of type int'),
    ('model.enc', 3, r'config.model.enc=3 is of type int'),
    ('model.name', 'resnet', r"config.model.name='resnet': choose one of"),
    ('model.dtype', 'float16', r'config.model.dtype'),
    ('loss.objective', 'x', r"config.loss.objective='x': choose one of"),
    ('optim.name', 'sgd', r"config.optim.name='sgd': choose one of"),
    ('eval.sampler', 'x', r"config.eval.sampler='x': choose one of"),
    ('eval.steps', 11, r'config.eval.steps=11: the diffusion has 10'),
    ('train.steps', 0, r'config.train.steps=0: must be positive'),
    ('sde.eps', 2.0, r'config.sde: SDESpec.eps=2.0'),
    ('entropy.kernel', 'box', r"config.entropy: EntropySpec.kernel='box'"),
    ('entropy.bandwidth', 'wide', r"config.entropy: .*bandwidth='wide'"),
  ],
)
def test_wrong_settings_are_named(path, value, message):
  with pytest.raises(InputError, match=message):
    build.check_config(_broken(path, value))


def test_missing_sections_are_named():
  config = default.get_config()
  del config.sde
  with pytest.raises(InputError, match='config.sde: missing'):
    build.check_config(config)


def test_networks_that_do_not_fit_are_refused():
  with pytest.raises(InputError, match='config.model: .*as many levels'):
    build.build_model(_broken('model.enc', (1, 1)))


def test_a_loss_needs_a_weight():
  with pytest.raises(InputError, match='config.loss: every weight is 0'):
    build.build_method(_broken('loss.entropy', 0.0))


def test_the_unet_and_the_denoising_diffusion_can_be_chosen():
  config = _broken('model.name', 'unet')
  config.model.depth = 2
  config.sde.kind = 'denoising'
  build.check_config(config)
  method = build.build_method(config)
  assert isinstance(method.model, ConditionalUNet)
  assert type(method.sde).__name__ == 'DenoisingSDE'
