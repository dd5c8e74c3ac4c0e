"""A whole configuration as checked values: the sections, and what reads them.

Contract: `Settings.parse` is the only reader of a ConfigDict. A key is written
once, as a field of the room that it steers, see `fields`; keys that steer no
lower room stand here. `configs/default.py`, the checks, the flags of the
commands and the table of keys in the docs are made from these fields.
"""

from collections.abc import Mapping
import dataclasses
import logging
import typing
from typing import Any

import ml_collections

from sel_jax import fields
from sel_jax.data import AugmentSpec
from sel_jax.data import CacheSpec
from sel_jax.data import LoaderSpec
from sel_jax.data import PairsSpec
from sel_jax.diffusion import GRIDS
from sel_jax.diffusion import OBJECTIVES
from sel_jax.diffusion import PREDICTIONS
from sel_jax.diffusion import SAMPLERS
from sel_jax.diffusion import SDES
from sel_jax.entropy import EntropySpec
from sel_jax.errors import InputError
from sel_jax.errors import SettingError
from sel_jax.fields import key
from sel_jax.losses import LOSSES
from sel_jax.models import MODELS
from sel_jax.optimizers import OptimSpec

_log = logging.getLogger(__name__)

DTYPES = ('float32', 'bfloat16')
BACKENDS = ('shard_map', 'pmap')
# Sides of what the device sees are multiples of it, so that photographs of
# neighbouring sizes share a program; a network may ask for more.
MULTIPLE = 32

# Key of before -> key of today: stored configurations and people's files.
RENAMED = {'sde.kind': 'sde.name'}


@fields.spec
class DataSpec:
  """Section `data`: which pairs, and how they become batches."""

  pairs: PairsSpec = fields.part(factory=PairsSpec)
  augment: AugmentSpec = fields.part(factory=AugmentSpec)
  cache: CacheSpec = fields.part(factory=CacheSpec)
  loader: LoaderSpec = fields.part(factory=LoaderSpec)


@fields.spec
class ModelSpec:
  """Section `model`: which network, and what its output stands for."""

  name: str = key('the network', default='nafnet', choices=MODELS)
  predicts: str = key(
    "what the network's output stands for", default='noise', choices=PREDICTIONS
  )
  dtype: str = key(
    'type that the network computes in; parameters are float32',
    default='float32',
    choices=DTYPES,
  )
  network: Any = fields.row('name', MODELS, default='nafnet')


@fields.spec
class DiffusionSpec:
  """Section `sde`: which diffusion, and its numbers."""

  name: str = key('the diffusion', default='ir', choices=SDES)
  spec: Any = fields.row('name', SDES, default='ir')


@fields.spec
class LossSpec:
  """Section `loss`: the objective, and a weight for each loss of it."""

  objective: str = key(
    'the pair of images that is compared', default='optimum', choices=OBJECTIVES
  )
  at_prior: float = key(
    'probability that an example is drawn at t = T, the start of sampling, '
    'instead of uniformly on 1..T',
    default=0.0,
    ge=0,
    le=1,
  )
  entropy: float = key(
    'weight of the spatial entropy of the section entropy; 0 is off',
    default=1.0,
    ge=0,
  )
  weights: tuple[tuple[str, float], ...] = fields.weights(LOSSES, default=())


@fields.spec
class TrainSpec:
  """Section `train`: how long, and how often to look and to save."""

  steps: int = key('updates', default=500_000, ge=1)
  log_every: int = key('updates between lines of the log', default=100, ge=1)
  eval_every: int = key('updates between validations', default=5_000, ge=1)
  save_every: int = key('updates between checkpoints', default=1_000, ge=1)
  keep: int = key(
    'newest checkpoints to keep, besides the best', default=2, ge=1
  )
  skip_nonfinite: int = key(
    'updates in a row whose loss or gradient is not finite that are passed '
    'over, changing nothing; the next one stops the run',
    default=0,
    ge=0,
  )


@fields.spec
class ParallelSpec:
  """Section `parallel`: how a step is spread over devices.

  None of it changes the numbers, up to rounding.
  """

  backend: str = key(
    'how JAX maps the step', default='shard_map', choices=BACKENDS
  )
  accumulate: int = key(
    'parts that a device walks through its share of the batch in; memory of '
    'activations falls by as much',
    default=1,
    ge=1,
  )
  shard_state: bool = key(
    "each device keeps one part of the optimizer's state and of the averaged "
    'parameters (ZeRO, arXiv 1910.02054, stage 1), not all of it',
    default=False,
  )
  timeout: int = key(
    'seconds that processes wait for one another before they stop',
    default=600,
    ge=1,
  )
  heartbeat: int = key(
    'seconds after which a silent process counts as dead', default=100, ge=1
  )


@fields.spec
class EvalSpec:
  """Section `eval`: the sampler, the same wherever an image is restored."""

  sampler: str = key('the sampler', default='posterior', choices=SAMPLERS)
  steps: int = key(
    'calls of the network per image, 1 to sde.steps', default=100, ge=1
  )
  grid: str = key(
    'times of the steps; log_snr suits samplers of second order',
    default='time',
    choices=GRIDS,
  )
  clip: bool = key('keep the clean estimate in [0, 1]', default=True)
  dynamic: float = key(
    'quantile of dynamic thresholding, such as 0.995, which scales what '
    'overshoots instead of clipping it; 0 clips',
    default=0.0,
    ge=0,
    le=1,
  )
  unbias: bool = key(
    'undo the bias of a network that was trained by the Euler mean, for '
    "loss.objective='optimum' alone",
    default=False,
  )
  seed: int = key("seed of the sampler's noise", default=0, ge=0)
  images: int = key(
    'validation images used during training; 0 is all',
    default=0,
    ge=0,
    flag=False,
  )
  tile: int = key(
    'photographs with a longer side are restored in tiles of this side, a '
    f'multiple of {MULTIPLE}; 0 is never',
    default=640,
    ge=0,
  )
  overlap: int = key(
    'least overlap of tiles, pixels, at most half a tile', default=128, ge=0
  )
  pool: int = key(
    'side of the window that the channel attention averages over, pixels; 0 '
    'is the whole image or tile',
    default=0,
    ge=0,
  )
  anchor: bool = key(
    'give a photograph in tiles the coarse tones of its restored thumbnail, '
    'so that tiles of different content agree',
    default=True,
  )

  def __post_init__(self):
    if self.tile % MULTIPLE:
      raise fields.refuse(self, 'tile', f'give a multiple of {MULTIPLE}, or 0')
    if self.tile and self.overlap > self.tile // 2:
      raise fields.refuse(
        self, 'overlap', f'give 0 to half of tile={self.tile}'
      )


def _renamed(values: Mapping[str, Any]) -> dict[str, Any]:
  """The values with keys of before under their names of today."""
  found = {
    name: dict(part) if isinstance(part, Mapping) else part
    for name, part in values.items()
  }
  for old, new in RENAMED.items():
    section, old_key = old.split('.')
    part = found.get(section)
    if isinstance(part, dict) and old_key in part:
      value = part.pop(old_key)
      other, new_key = new.split('.')
      found.setdefault(other, {}).setdefault(new_key, value)
  return found


def _changed(
  values: Mapping[str, Any], changes: Mapping[str, Any]
) -> dict[str, Any]:
  """Nested sections with some keys changed."""
  found = dict(values)
  for path, value in changes.items():
    section, dot, name = path.partition('.')
    if dot and section not in SECTIONS:
      raise InputError(
        f'config.{path}: unknown section; {fields.close(section, SECTIONS)}'
      )
    part = {**found.get(section, {}), name: value} if dot else value
    found[section] = part
  return found


def _section(name: str, values: Any) -> Any:
  """One section's spec; says which of its keys do nothing."""
  cls = SECTIONS[name]
  if not isinstance(values, Mapping):
    raise InputError(
      f'config.{name}={values!r}: is a section, not a value; set a key of it, '
      f'such as config.{name}.{next(iter(fields.described(cls)))}'
    )
  try:
    found = fields.build(cls, values)
  except SettingError as error:
    raise error.of(f'config.{name}') from None
  except ValueError as error:  # of a network whose sizes do not fit together
    raise InputError(f'config.{name}: {error}') from error
  for key_, rows in fields.unused(found, values).items():
    _log.warning(
      'config.%s.%s=%r does nothing: it is a key of %s alone',
      name,
      key_,
      values[key_],
      ', '.join(rows),
    )
  return found


@dataclasses.dataclass(frozen=True)
class Settings:
  """All settings of a run, checked: one attribute a section.

  What a section holds, and what its keys mean, stands at its class.
  """

  seed: int = key('seed of everything that is drawn', default=0, ge=0)
  data: DataSpec = dataclasses.field(default_factory=DataSpec)
  model: ModelSpec = dataclasses.field(default_factory=ModelSpec)
  sde: DiffusionSpec = dataclasses.field(default_factory=DiffusionSpec)
  loss: LossSpec = dataclasses.field(default_factory=LossSpec)
  entropy: EntropySpec = dataclasses.field(default_factory=EntropySpec)
  optim: OptimSpec = dataclasses.field(default_factory=OptimSpec)
  train: TrainSpec = dataclasses.field(default_factory=TrainSpec)
  eval: EvalSpec = dataclasses.field(default_factory=EvalSpec)
  parallel: ParallelSpec = dataclasses.field(default_factory=ParallelSpec)

  @classmethod
  def parse(
    cls,
    config: ml_collections.ConfigDict | Mapping[str, Any],
    *,
    changes: Mapping[str, Any] | None = None,
  ) -> 'Settings':
    """Reads and checks a configuration.

    Args:
      config: nested sections, of `configs/` or as a checkpoint stores them,
        those of earlier versions too; keys that are missing take their
        defaults.
      changes: 'section.key' -> value, or 'seed' -> value, instead of what the
        configuration says.

    Raises:
      InputError: naming the first key that is wrong, as on the command line,
        with the remedy.
    """
    if isinstance(config, ml_collections.ConfigDict):
      config = config.to_dict()
    values = _renamed(_changed(config, changes or {}))
    known = {'seed', *SECTIONS}
    for name in values:
      if name not in known:
        raise InputError(
          f'config.{name}: unknown key; {fields.close(name, known)}'
        )
    seed = fields.described(cls)['seed']
    try:
      made = {'seed': fields.checked(seed, values.pop('seed', seed.default))}
    except SettingError as error:
      raise error.of('config') from None
    made |= {name: _section(name, part) for name, part in values.items()}
    found = cls(**made)
    _check(found)
    return found

  def to_dict(self) -> dict[str, Any]:
    """Nested sections, JSON-like but for tuples; `parse` reads them again."""
    return {'seed': self.seed} | {
      name: fields.flat(getattr(self, name)) for name in SECTIONS
    }

  def changed(self, changes: Mapping[str, Any]) -> 'Settings':
    """The settings with some keys changed, checked again.

    Args:
      changes: 'section.key' -> value, or 'seed' -> value.

    Raises:
      InputError: for an unknown key, or a value that does not fit.
    """
    return Settings.parse(self.to_dict(), changes=changes)


# Name of a section -> its spec.
SECTIONS: dict[str, type] = {
  field.name: typing.cast(type, field.default_factory)
  for field in dataclasses.fields(Settings)
  if field.default_factory is not dataclasses.MISSING
}


def default_config() -> ml_collections.ConfigDict:
  """Every key at its default: what configurations start from."""
  sections = {name: fields.defaults(cls) for name, cls in SECTIONS.items()}
  return ml_collections.ConfigDict(fields.defaults(Settings) | sections)


def _check(settings: Settings) -> None:
  """What keys of different sections ask of one another."""
  spec, total = settings.eval, settings.sde.spec.steps

  def refuse(name: str, remedy: str):
    raise fields.refuse(spec, name, remedy).of('config.eval')

  if spec.steps > total:
    refuse(
      'steps',
      f'the diffusion has {total} times (config.sde.steps); give 1 to {total}',
    )
  if spec.pool and not hasattr(settings.model.network, 'pool'):
    refuse('pool', f'{settings.model.name} has no channel attention; give 0')
  if spec.unbias and settings.loss.objective != 'optimum':
    refuse('unbias', "only config.loss.objective='optimum' has this bias")
  if not settings.loss.entropy and not settings.loss.weights:
    raise InputError(
      'config.loss: every weight is 0; set config.loss.entropy or '
      'config.loss.l1 above 0'
    )


def table() -> str:
  """Every key as Markdown: the page of the docs, see `fields.table`."""
  sections = {f'config.{name}': cls for name, cls in SECTIONS.items()}
  tables = fields.table({'config': Settings, **sections})
  return '\n'.join(['# Configuration keys', '', *_ABOUT, '', tables])


_ABOUT = (
  'Every key of a configuration, made from the code by `make settings`. A file',
  'of `configs/` sets keys, and so does the command line:',
  '`--config.optim.lr=3e-4`. Keys of the section `eval` are flags of',
  '`enhance`, `evaluate`, `export` and `demo` too: `--steps=4`.',
)

if __name__ == '__main__':
  print(table(), end='')
