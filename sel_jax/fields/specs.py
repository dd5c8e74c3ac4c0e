"""Specs: frozen dataclasses of keys, made from values written flat and back.

Contract: whoever makes a spec, from a configuration or by a call, its keys are
checked; a spec is hashable and holds no arrays.
"""

from collections.abc import Mapping
import dataclasses
import typing
from typing import Any

from sel_jax.errors import SettingError
from sel_jax.fields import describe
from sel_jax.fields.check import checked
from sel_jax.fields.check import close
from sel_jax.fields.describe import Described
from sel_jax.fields.describe import described
from sel_jax.fields.describe import entries
from sel_jax.fields.describe import Key
from sel_jax.fields.describe import key
from sel_jax.fields.describe import Part
from sel_jax.fields.describe import part
from sel_jax.fields.describe import row
from sel_jax.fields.describe import spec_of
from sel_jax.fields.describe import Weights
from sel_jax.fields.describe import weights

_Class = typing.TypeVar('_Class')
# Attribute with the values of what could not be read.
_UNREAD = '_unread_values'


@typing.dataclass_transform(
  frozen_default=True, field_specifiers=(key, part, row, weights)
)
def spec(cls: type[_Class]) -> type[_Class]:
  """A frozen dataclass whose keys are checked whenever one is made.

  Its own `__post_init__` and those of its bases run after that; they may
  `refuse` what does not fit together.
  """
  made: Any = cls
  own = cls.__dict__.get('__post_init__')
  inherited = getattr(cls, '_rules', ())
  made._rules = (*inherited, own) if own else inherited

  def __post_init__(self: Any) -> None:
    for one in describe.own(type(self)):
      try:
        value = checked(one, getattr(self, one.name))
      except SettingError as error:
        raise error.of(type(self).__name__) from None
      object.__setattr__(self, one.name, value)
    for field, entry in entries(type(self)):
      if isinstance(entry, Part) and entry.by:
        _goes_with(self, field.name, entry)
    for rule in self._rules:
      rule(self)

  made.__post_init__ = __post_init__
  return dataclasses.dataclass(frozen=True)(made)


def _goes_with(owner: Any, name: str, entry: Part) -> None:
  """Raises unless a part is of the row that its key names."""
  wanted = spec_of(entry.rows[getattr(owner, entry.by)])
  if not isinstance(getattr(owner, name), wanted):
    raise refuse(
      owner, entry.by, f'goes with {name}={wanted.__name__}(...), give it too'
    )


def refuse(owner: Any, name: str, reason: str) -> SettingError:
  """The error for a key of a spec whose value does not fit the others."""
  return SettingError(name, getattr(owner, name), reason, type(owner).__name__)


def build(cls: type, values: Mapping[str, Any]) -> Any:
  """A spec from values written flat; keys that are missing take defaults.

  Keys of rows that were not chosen are passed over, see `unused`.

  Raises:
    SettingError: for an unknown key, or a value that does not fit.
  """
  # The names of rows first: an unknown row may have keys of its own.
  made: dict[str, Any] = {
    one.name: checked(one, values[one.name])
    for one in describe.own(cls)
    if one.name in values
  }
  known = described(cls)
  for name in values:
    if name not in known:
      raise SettingError(name, None, f'unknown key; {close(name, known)}')
  for field, entry in entries(cls):
    if isinstance(entry, Weights):
      every = [
        (one.name, checked(one, values[one.name]))
        for one in describe.of_weights(entry)
        if one.name in values
      ]
      made[field.name] = tuple((name, w) for name, w in every if w)
    elif isinstance(entry, Part):
      name = _chosen(cls, entry, made)
      inner = spec_of(entry.rows[name])
      theirs = described(inner)
      mine = {k: v for k, v in values.items() if k in theirs}
      made[field.name] = build(inner, mine)
  return cls(**made)


def _chosen(cls: type, entry: Part, made: Mapping[str, Any]) -> str:
  if not entry.by:
    return ''
  field = next(f for f in dataclasses.fields(cls) if f.name == entry.by)
  return made.get(entry.by, field.default)


def unread(cls: type, values: Mapping[str, Any], error: Exception) -> Any:
  """A spec whose values cannot be read here, kept as they are.

  `flat` gives them back; to ask for one of its fields raises the error.

  Args:
    cls: the spec that it stands for.
    values: as they were written, flat.
    error: why they cannot be read.
  """
  names = {field.name for field in dataclasses.fields(cls)}
  bases: tuple[type, ...] = (cls,)

  def ask(self: Any, name: str) -> Any:
    if name in names:
      raise error
    return object.__getattribute__(self, name)

  made = type(
    f'Unread{cls.__name__}',
    bases,
    {
      '__getattribute__': ask,
      '__eq__': lambda self, other: self is other,
      '__hash__': object.__hash__,
      '__repr__': lambda self: f'{cls.__name__}({error})',
      _UNREAD: dict(values),
    },
  )
  return object.__new__(made)


def is_unread(instance: Any) -> bool:
  """Whether it is of `unread`."""
  return hasattr(type(instance), _UNREAD)


def require_read(instance: Any) -> None:
  """Raises why a spec could not be read, if it is of `unread`.

  Args:
    instance: the spec, or what stands for it.
  """
  getattr(instance, dataclasses.fields(instance)[0].name)


def flat(instance: Any) -> dict[str, Any]:
  """The values of a spec and its parts, written flat: `build`'s inverse."""
  if is_unread(instance):
    return dict(getattr(type(instance), _UNREAD))
  found: dict[str, Any] = {}
  for field, entry in entries(type(instance)):
    value = getattr(instance, field.name)
    if isinstance(entry, Key):
      found[field.name] = value
    elif isinstance(entry, Weights):
      found |= {name: 0.0 for name in entry.rows} | dict(value)
    else:
      found |= flat(value)
  return found


def unused(
  instance: Any, values: Mapping[str, Any]
) -> dict[str, tuple[str, ...]]:
  """Keys that were given another value than their default, for nothing.

  Returns:
    Key -> the rows that have it, none of which was chosen.
  """
  used = flat(instance)

  def differs(one: Described) -> bool:
    value = values[one.name]
    value = tuple(value) if isinstance(value, list) else value
    return value != one.default

  return {
    name: one.rows
    for name, one in described(type(instance)).items()
    if name in values and name not in used and differs(one)
  }
