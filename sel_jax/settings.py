"""A whole configuration as checked values: the sections, and what reads them.

Contract: `Settings.parse` is the only reader of a ConfigDict. A key is written
once, as a field of a section, see `sections`. `configs/default.py`, the checks,
the flags of the commands and the table of keys in the docs are made from these
fields.
"""

from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import logging
import typing
from typing import Any

import ml_collections

from sel_jax import fields
from sel_jax import imports
from sel_jax.entropy import EntropySpec
from sel_jax.errors import InputError
from sel_jax.errors import SettingError
from sel_jax.errors import short
from sel_jax.eval_section import EvalSpec
from sel_jax.fields import key
from sel_jax.optimizers import OptimSpec
from sel_jax.rules import RULES
from sel_jax.sections import DataSpec
from sel_jax.sections import DiffusionSpec
from sel_jax.sections import LossSpec
from sel_jax.sections import ModelSpec
from sel_jax.sections import ParallelSpec
from sel_jax.sections import TrainSpec

_log = logging.getLogger(__name__)

# Key of before -> key of today: stored configurations and people's files.
RENAMED = {'sde.kind': 'sde.name'}


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


def _stored_section(name: str, values: Any, names: Sequence[str]) -> Any:
  """One section's spec; as it is, if it has parts that are not here."""
  try:
    return _section(name, values)
  except InputError as error:
    reason = InputError(f'{error}; {imports.hint(names)}')
    return fields.unread(SECTIONS[name], values, reason)


def _section(name: str, values: Any) -> Any:
  """One section's spec; says which of its keys do nothing."""
  cls = SECTIONS[name]
  if not isinstance(values, Mapping):
    raise InputError(
      f'config.{name}={short(repr(values))}: is a section, not a value; set a '
      f'key of it, such as config.{name}.{next(iter(fields.described(cls)))}'
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
  imports: tuple[str, ...] = key(
    'modules, or files that end in .py, that add parts of your own',
    default=(),
  )
  init: str = key(
    "weights that a run starts from: 'shipped', the folder of a run, or a file "
    '(.safetensors, or .pth of the release); drawn if empty; a checkpoint in '
    "the run's own folder goes first",
    default='',
  )
  init_skip: tuple[str, ...] = key(
    'parts of the network that are drawn all the same, by name or pattern, '
    "such as 'ending'",
    default=(),
  )
  init_grow: bool = key(
    'stages with more blocks than there begin with the blocks from there; the '
    'others are drawn, which leaves what the network computes as it is',
    default=False,
  )
  init_optimizer: bool = key(
    "also take over the optimizer's moments, where init is the folder of a run",
    default=False,
  )
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
      changes: 'section.key' -> value, or 'seed' -> value and so on, instead
        of what the configuration says.

    Raises:
      InputError: naming the first key that is wrong, as on the command line,
        with the remedy.
    """
    return cls._read(config, changes or {}, SECTIONS)

  @classmethod
  def parse_stored(cls, config: Mapping[str, Any]) -> 'Settings':
    """Reads what a checkpoint stores, wherever that was trained.

    A section that names a part which is not here, one of the user's own, is
    kept as it is, and to ask for one of its keys is an InputError with the
    remedy: whoever restores photographs needs no data source of training.

    Raises:
      InputError: for a key that no section has.
    """
    return cls._read(config, {}, ())

  @classmethod
  def _read(
    cls,
    config: ml_collections.ConfigDict | Mapping[str, Any],
    changes: Mapping[str, Any],
    needed: Collection[str],
  ) -> 'Settings':
    """Reads a configuration, of which some sections must be whole."""
    if isinstance(config, ml_collections.ConfigDict):
      config = config.to_dict()
    values = _renamed(_changed(config, changes))
    own = fields.described(cls)
    known = {*own, *SECTIONS}
    for name in values:
      if name not in known:
        raise InputError(
          f'config.{name}: unknown key; {fields.close(name, known)}'
        )
    try:
      made = {
        name: fields.checked(one, values.pop(name, one.default))
        for name, one in own.items()
      }
    except SettingError as error:
      raise error.of('config') from None
    for name, part in values.items():
      made[name] = (
        _section(name, part)
        if name in needed
        else _stored_section(name, part, made['imports'])
      )
    found = cls(**made)
    _check(found)
    return found

  def whole(self) -> 'Settings':
    """These settings, if every section could be read.

    Raises:
      InputError: naming the part that is not here, with the remedy.
    """
    for name, cls in SECTIONS.items():
      part = getattr(self, name)
      if fields.is_unread(part):
        getattr(part, dataclasses.fields(cls)[0].name)  # which raises
    return self

  def to_dict(self) -> dict[str, Any]:
    """Nested sections, JSON-like but for tuples; `parse` reads them again."""
    return fields.flat(self) | {
      name: fields.flat(getattr(self, name)) for name in SECTIONS
    }

  def changed(self, changes: Mapping[str, Any]) -> 'Settings':
    """The settings with some keys changed, checked again.

    Args:
      changes: 'section.key' -> value, or 'seed' -> value.

    Raises:
      InputError: for an unknown key, or a value that does not fit.
    """
    touched = {name.partition('.')[0] for name in changes}
    whole = {n for n in SECTIONS if not fields.is_unread(getattr(self, n))}
    return self._read(self.to_dict(), changes, whole | touched)


# Name of a section -> its spec.
SECTIONS: dict[str, type] = {
  field.name: typing.cast(type, field.default_factory)
  for field in dataclasses.fields(Settings)
  if field.default_factory is not dataclasses.MISSING
}


def every_key() -> dict[str, fields.Described]:
  """Every key by its whole name: 'seed', 'optim.lr'."""
  return fields.described(Settings) | {
    f'{section}.{name}': one
    for section, cls in SECTIONS.items()
    for name, one in fields.described(cls).items()
  }


def _check(settings: Settings) -> None:
  """What keys of different sections ask of one another."""
  in_part = settings.init_skip or settings.init_grow
  if settings.init_optimizer and (in_part or not settings.init):
    raise InputError(
      'config.init_optimizer=True: takes moments of the whole network over; '
      'set config.init to the folder of a run, config.init_skip=() and '
      'config.init_grow=False'
    )
  for sections, rule in RULES:
    parts = [getattr(settings, name) for name in sections]
    if not any(map(fields.is_unread, parts)):
      rule(*parts)


def table() -> str:
  """Every key as Markdown: the page of the docs, see `fields.table`."""
  sections = {f'config.{name}': cls for name, cls in SECTIONS.items()}
  tables = fields.table({'config': Settings, **sections})
  return '\n'.join(['# Configuration keys', '', *_ABOUT, '', tables])


_ABOUT = (
  'Every key of a configuration, made from the code by `make settings`. A file',
  'of `configs/` sets keys, and so does the command line:',
  '`--config.optim.lr=3e-4`. Keys of the section `eval` are flags of',
  '`enhance`, `evaluate`, `export` and `demo` too: `--steps=4`. A number whose',
  'range has no end is within 10^9, or 10^12 if it need not be whole; a key of',
  'many values has at most 1000.',
)

if __name__ == '__main__':
  print(table(), end='')
