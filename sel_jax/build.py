"""The only file that turns a configuration into specs, models and losses.

Contract: sections are checked key by key and type by type; every error names
the key as it is written on the command line. Nothing else reads a ConfigDict.
"""

from collections.abc import Callable
import dataclasses
import difflib
import functools
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp
import ml_collections

from sel_jax import entropy
from sel_jax import models
from sel_jax.data.augment import Augmentation
from sel_jax.data.cache import CACHES
from sel_jax.data.pairs import DataSpec
from sel_jax.data.pairs import SOURCES
from sel_jax.data.pipeline import LoaderSpec
from sel_jax.diffusion import GRIDS
from sel_jax.diffusion import IRSDE
from sel_jax.diffusion import OBJECTIVES
from sel_jax.diffusion import PREDICTIONS
from sel_jax.diffusion import SAMPLERS
from sel_jax.diffusion import SDES
from sel_jax.diffusion import SDESpec
from sel_jax.entropy import EntropySpec
from sel_jax.errors import InputError
from sel_jax.losses import LOSSES
from sel_jax.settings import BACKENDS
from sel_jax.settings import CropSpec
from sel_jax.settings import DEPTHWISE
from sel_jax.settings import DTYPES
from sel_jax.settings import EvalSpec
from sel_jax.settings import LossSpec
from sel_jax.settings import LR_SCHEDULES
from sel_jax.settings import ModelSpec
from sel_jax.settings import OPTIMIZERS
from sel_jax.settings import OptimSpec
from sel_jax.settings import ParallelSpec
from sel_jax.settings import SDEKind
from sel_jax.settings import TrainSpec

Array = jax.Array
Config = ml_collections.ConfigDict


_SECTIONS: dict[str, tuple[type, ...]] = {
  'data': (DataSpec, CropSpec, LoaderSpec),
  'model': (ModelSpec,),
  'sde': (SDESpec, SDEKind),
  'loss': (LossSpec,),
  'entropy': (EntropySpec,),
  'optim': (OptimSpec,),
  'train': (TrainSpec,),
  'eval': (EvalSpec,),
  'parallel': (ParallelSpec,),
}


def _hint(key: str, known) -> str:
  close = difflib.get_close_matches(key, known, 1)
  return f'did you mean {close[0]!r}?' if close else f'known: {sorted(known)}'


def _matches(value: Any, example: Any, annotation: Any) -> bool:
  if annotation == float | str:  # a bandwidth is a number or a rule's name
    return isinstance(value, int | float | str) and not isinstance(value, bool)
  if isinstance(example, bool):
    return isinstance(value, bool)
  if isinstance(example, float):
    return isinstance(value, int | float) and not isinstance(value, bool)
  if isinstance(example, tuple):
    return isinstance(value, tuple | list)
  return isinstance(value, type(example)) and not isinstance(value, bool)


def _check_section(name: str, section: Config) -> None:
  fields = {
    f.name: f for spec in _SECTIONS[name] for f in dataclasses.fields(spec)
  }
  for key, value in section.items():
    if key not in fields:
      raise InputError(
        f'config.{name}.{key}: unknown key; {_hint(key, fields)}'
      )
    field = fields[key]
    if not _matches(value, field.default, field.type):
      raise InputError(
        f'config.{name}.{key}={value!r} is of type {type(value).__name__}; '
        f'give one like {field.default!r}'
      )


def _read(config: Config, name: str, spec: type):
  """The part of a section that `spec` describes, as a `spec`."""
  section = config[name]
  known = {f.name for f in dataclasses.fields(spec)}
  values = {
    k: tuple(v) if isinstance(v, list) else v
    for k, v in section.items()
    if k in known
  }
  try:
    return spec(**values)
  except ValueError as error:
    raise InputError(f'config.{name}: {error}') from error


def check_config(config: Config) -> None:
  """Checks every section, key, type and choice before anything is built.

  Raises:
    InputError: naming the first key that is wrong.
  """
  top = {'seed', *_SECTIONS}
  for key in config:
    if key not in top:
      raise InputError(f'config.{key}: unknown key; {_hint(key, top)}')
  for key in sorted(top):
    if key not in config:
      raise InputError(f'config.{key}: missing; start from configs/default.py')
  for name, specs in _SECTIONS.items():
    _check_section(name, config[name])
    for spec in specs:
      _read(config, name, spec)
  choices = {
    'data.source': SOURCES,
    'data.cache': CACHES,
    'model.name': models.MODELS,
    'model.predicts': PREDICTIONS,
    'model.dtype': DTYPES,
    'model.depthwise': DEPTHWISE,
    'sde.kind': SDES,
    'loss.objective': OBJECTIVES,
    'optim.name': OPTIMIZERS,
    'optim.schedule': LR_SCHEDULES,
    'eval.sampler': SAMPLERS,
    'eval.grid': GRIDS,
    'parallel.backend': BACKENDS,
  }
  for path, allowed in choices.items():
    section, key = path.split('.')
    value = config[section].get(key)
    if value is not None and value not in allowed:
      raise InputError(
        f'config.{path}={value!r}: choose one of {sorted(allowed)}'
      )
  _check_numbers(config)
  _check_eval(config)


def _check_numbers(config: Config) -> None:
  positive = (
    ('data', 'batch_size'),
    ('data', 'crop'),
    ('train', 'steps'),
    ('train', 'log_every'),
    ('train', 'eval_every'),
    ('train', 'save_every'),
    ('train', 'keep'),
    ('optim', 'lr'),
    ('parallel', 'accumulate'),
    ('parallel', 'timeout'),
    ('parallel', 'heartbeat'),
  )
  for section, key in positive:
    value = config[section].get(key, 1)
    if value <= 0:
      raise InputError(f'config.{section}.{key}={value}: must be positive')


def _check_eval(config: Config) -> None:
  """What the sampler's settings ask of one another and of other sections."""
  spec, total = eval_spec(config), _read(config, 'sde', SDESpec).steps

  def refuse(key, remedy):
    value = getattr(spec, key)
    raise InputError(f'config.eval.{key}={value}: {remedy}')

  if not 1 <= spec.steps <= total:
    refuse(
      'steps',
      f'the diffusion has {total} times (config.sde.steps); give 1 to {total}',
    )
  if not 0 <= spec.dynamic <= 1:
    refuse('dynamic', 'a quantile lies in 0 to 1')
  if spec.tile < 0 or spec.tile % 32:
    refuse('tile', 'give a multiple of 32, or 0')
  if spec.tile and not 0 <= spec.overlap <= spec.tile // 2:
    refuse('overlap', f'give 0 to half of config.eval.tile={spec.tile}')
  if spec.pool < 0:
    refuse('pool', 'give a side in pixels, or 0')
  if spec.pool and config.model.name != 'nafnet':
    refuse('pool', f'{config.model.name} has no channel attention; give 0')
  if spec.unbias and config.loss.objective != 'optimum':
    refuse('unbias', "only config.loss.objective='optimum' has this bias")


def data_spec(config: Config) -> DataSpec:
  """Where pairs come from."""
  return _read(config, 'data', DataSpec)


def batch_size(config: Config) -> int:
  """Examples in a global batch."""
  return _read(config, 'data', CropSpec).batch_size


def augmentation(config: Config) -> Augmentation:
  """What is drawn for each training pair."""
  spec = _read(config, 'data', CropSpec)
  return Augmentation(
    spec.crop, spec.flip, spec.rotate, spec.shrink, spec.relight
  )


def loader_spec(config: Config) -> LoaderSpec:
  """How photographs get to the device."""
  return _read(config, 'data', LoaderSpec)


def parallel_spec(config: Config) -> ParallelSpec:
  """The section `parallel`."""
  return _read(config, 'parallel', ParallelSpec)


def optim_spec(config: Config) -> OptimSpec:
  """The section `optim`."""
  return _read(config, 'optim', OptimSpec)


def train_spec(config: Config) -> TrainSpec:
  """The section `train`."""
  return _read(config, 'train', TrainSpec)


def eval_spec(config: Config) -> EvalSpec:
  """The section `eval`."""
  return _read(config, 'eval', EvalSpec)


def build_model(config: Config) -> nn.Module:
  """The network that the section `model` describes.

  Raises:
    InputError: if its sizes do not fit together.
  """
  spec = _read(config, 'model', ModelSpec)
  options = {'width': spec.width, 'dtype': jnp.dtype(spec.dtype)}
  if spec.name == 'nafnet':
    for key in ('enc', 'middle', 'dec', 'depthwise', 'remat', 'patch', 'gamma'):
      options[key] = getattr(spec, key)
  else:
    options['depth'] = spec.depth
  try:
    return models.MODELS[spec.name](**options)
  except ValueError as error:
    raise InputError(f'config.model: {error}') from error


def build_sde(config: Config) -> IRSDE:
  """The diffusion that the section `sde` describes."""
  kind = SDES[_read(config, 'sde', SDEKind).kind]
  return kind.create(_read(config, 'sde', SDESpec))


@dataclasses.dataclass(frozen=True)
class Method:
  """Everything that defines what is learned, from one configuration.

  Attributes:
    model: the network.
    sde: the diffusion.
    predicts: what the network's output stands for.
    objective: a row of `diffusion.OBJECTIVES`.
    loss: weights of the distances.
    entropy: the spatial entropy's spec.
  """

  model: nn.Module
  sde: IRSDE
  predicts: str
  objective: str
  loss: LossSpec
  entropy: EntropySpec

  def estimate_noise(self, params, x: Array, mu: Array, t: Array) -> Array:
    """e_hat from the network: images [B, H, W, 3], t [B] or a scalar."""
    output = self.model.apply({'params': params}, x, mu, t)
    return PREDICTIONS[self.predicts](self.sde, output, x, mu, t)

  def losses(self, key: Array) -> dict[str, tuple[float, Callable]]:
    """Name -> (weight, loss) of those that are on.

    Args:
      key: draws the neighbour weights of the spatial entropy.
    """
    found = {}
    if self.loss.entropy:
      spatial = functools.partial(
        entropy.spatial_entropy_loss, spec=self.entropy, key=key
      )
      found['entropy'] = (self.loss.entropy, spatial)
    for name, distance in LOSSES.items():
      if weight := getattr(self.loss, name):
        found[name] = (weight, distance)
    return found


def build_method(config: Config) -> Method:
  """Network, diffusion, objective and distances.

  Raises:
    InputError: if no distance has a weight, or a section does not fit.
  """
  loss = _read(config, 'loss', LossSpec)
  if not 0 <= loss.at_prior <= 1:
    raise InputError(
      f'config.loss.at_prior={loss.at_prior}: a probability lies in 0 to 1'
    )
  if not any(getattr(loss, name) for name in ('entropy', *LOSSES)):
    raise InputError(
      'config.loss: every weight is 0; set config.loss.entropy or '
      'config.loss.l1 above 0'
    )
  return Method(
    model=build_model(config),
    sde=build_sde(config),
    predicts=_read(config, 'model', ModelSpec).predicts,
    objective=loss.objective,
    loss=loss,
    entropy=_read(config, 'entropy', EntropySpec),
  )
