"""How a key of a configuration is described, and how values are checked by it.

Contract: a key is written once, as a field of the frozen dataclass of the room
that it steers, with its default, its meaning, its range and its choices; what
checks, lists, parses or stores keys reads the field. pydantic checks types,
strictly; it is imported when the first value is checked.
"""

from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import difflib
import functools
import types
import typing
from typing import Any

from sel_jax.errors import SettingError

_ENTRY = 'sel_jax'


@dataclasses.dataclass(frozen=True)
class Key:
  """A key of a configuration.

  Attributes:
    text: what it means, a sentence without its end.
    limits: 'ge', 'gt', 'le', 'lt' -> bound of the number, or of each number.
    choices: the names to choose from, asked at each check so that rows may be
      added; of a key that may be a number too, for text alone.
    flag: whether commands offer it as a flag of their own.
  """

  text: str
  limits: Mapping[str, float] = dataclasses.field(default_factory=dict)
  choices: Collection[str] | None = None
  flag: bool = True


@dataclasses.dataclass(frozen=True)
class Part:
  """A field that holds keys of its own, written flat beside the others.

  Attributes:
    rows: name -> row, whose dataclass (the row itself, or its `Spec`) has the
      keys; none for a part that is always there.
    by: the key that chooses the row.
  """

  rows: Mapping[str, Any] | None = None
  by: str = ''


@dataclasses.dataclass(frozen=True)
class Weights:
  """A field with a number for each row of a table, written flat.

  Attributes:
    rows: name -> row; the first line of its docstring says what it is.
  """

  rows: Mapping[str, Any]


def key(
  default: Any,
  text: str,
  *,
  ge: float | None = None,
  gt: float | None = None,
  le: float | None = None,
  lt: float | None = None,
  choices: Collection[str] | None = None,
  flag: bool = True,
) -> Any:
  """A field that is a key of the configuration; see `Key`."""
  bounds = {'ge': ge, 'gt': gt, 'le': le, 'lt': lt}
  limits = {name: b for name, b in bounds.items() if b is not None}
  entry = Key(text, limits, choices, flag)
  return dataclasses.field(default=default, metadata={_ENTRY: entry})


def part(cls: type) -> Any:
  """A field whose keys are those of a spec, written flat."""
  return dataclasses.field(
    default_factory=cls, metadata={_ENTRY: Part({'': cls})}
  )


def row(by: str, rows: Mapping[str, Any], default: str) -> Any:
  """A field whose keys are those of the row that the key `by` names."""
  return dataclasses.field(
    default_factory=lambda: spec_of(rows[default])(),
    metadata={_ENTRY: Part(rows, by)},
  )


def weights(rows: Mapping[str, Any]) -> Any:
  """A field of ((name, number), ...), a key each, 0 by default."""
  return dataclasses.field(default=(), metadata={_ENTRY: Weights(rows)})


def spec_of(found: Any) -> type:
  """The dataclass with the keys of a row: its `Spec`, or the row itself."""
  return getattr(found, 'Spec', found)


def _entries(cls: type) -> Iterator[tuple[dataclasses.Field, Any]]:
  """Fields that are keys, parts or weights, in order."""
  if not dataclasses.is_dataclass(cls):
    return
  for field in dataclasses.fields(cls):
    if entry := field.metadata.get(_ENTRY):
      yield field, entry


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
  return typing.get_type_hints(cls)


@dataclasses.dataclass(frozen=True)
class Described:
  """A key as the table of keys, the flags and the defaults show it.

  Attributes:
    name: of the key.
    hint: its type.
    default: its value if nothing is said.
    key: its meaning, range and choices.
    rows: names of the rows that have it; none if it is always there.
  """

  name: str
  hint: Any
  default: Any
  key: Key
  rows: tuple[str, ...] = ()


def _of_weights(entry: Weights) -> Iterator[Described]:
  for name, found in entry.rows.items():
    first = (found.__doc__ or name).strip().splitlines()[0].rstrip('.')
    text = f'weight of: {first[0].lower()}{first[1:]}; 0 is off'
    yield Described(name, float, 0.0, Key(text, {'ge': 0.0}))


def described(cls: type) -> dict[str, Described]:
  """Every key of a spec, its parts and all of their rows, by name."""
  found: dict[str, Described] = {}
  for field, entry in _entries(cls):
    if isinstance(entry, Key):
      hint = _hints(cls)[field.name]
      found[field.name] = Described(field.name, hint, field.default, entry)
    elif isinstance(entry, Weights):
      found |= {one.name: one for one in _of_weights(entry)}
    else:
      for name, one in (entry.rows or {}).items():
        for inner in described(spec_of(one)).values():
          before = found.get(inner.name, inner)
          rows = (*before.rows, name) if name else ()
          found[inner.name] = dataclasses.replace(before, rows=rows)
  return found


def defaults(cls: type) -> dict[str, Any]:
  """Key -> default of every key of a spec."""
  return {name: one.default for name, one in described(cls).items()}


# --- Checking -----------------------------------------------------------------


def _limited(hint: Any, limits: Mapping[str, float]) -> Any:
  """A type whose numbers have bounds."""
  import pydantic

  if hint in (int, float):
    return typing.Annotated[hint, pydantic.Field(**limits)]
  arguments = typing.get_args(hint)
  if not arguments:
    return hint
  inner = tuple(
    _limited(a, limits) if a is not Ellipsis else a for a in arguments
  )
  if isinstance(hint, types.UnionType):
    return functools.reduce(lambda a, b: a | b, inner)
  return typing.get_origin(hint)[inner]


@functools.cache
def _adapter(hint: Any, limits: tuple[tuple[str, float], ...]):
  import pydantic

  strict = pydantic.ConfigDict(strict=True, allow_inf_nan=False)
  return pydantic.TypeAdapter(_limited(hint, dict(limits)), config=strict)


_BOUNDS = {
  'greater_than': ('gt', 'must be above'),
  'greater_than_equal': ('ge', 'must be at least'),
  'less_than': ('lt', 'must be below'),
  'less_than_equal': ('le', 'must be at most'),
}
_KINDS = {
  int: 'a whole number',
  float: 'a number',
  bool: 'True or False',
  str: 'text',
}


def _kind(hint: Any) -> str:
  """A type in words."""
  if hint in _KINDS:
    return _KINDS[hint]
  arguments = [a for a in typing.get_args(hint) if a is not Ellipsis]
  if isinstance(hint, types.UnionType):
    return ' or '.join(map(_kind, arguments))
  if typing.get_origin(hint) is tuple and arguments:
    count = 'any number' if Ellipsis in typing.get_args(hint) else len(arguments)
    return f'a tuple of {count} of: {_kind(arguments[0])}'
  return str(hint)


def _reason(error: Mapping[str, Any], one: Described) -> str:
  """What pydantic found, in our words."""
  if error['type'] in _BOUNDS:
    name, words = _BOUNDS[error['type']]
    bound = error['ctx'][name]
    return f'{words} {bound:g}'
  if error['type'] == 'finite_number':
    return 'must be finite'
  return f'give {_kind(one.hint)}, such as {one.default!r}'


def close(name: str, known: Collection[str]) -> str:
  """'did you mean ...?', or what there is."""
  near = difflib.get_close_matches(name, list(known), 1)
  return f'did you mean {near[0]!r}?' if near else f'known: {sorted(known)}'


def checked(one: Described, value: Any) -> Any:
  """A value as its key's type; lists of stored JSON become tuples.

  Raises:
    SettingError: for a wrong type, a number out of range, an unknown name.
  """
  import pydantic

  if isinstance(value, list):
    value = tuple(value)
  limits = tuple(sorted(one.key.limits.items()))
  try:
    value = _adapter(one.hint, limits).validate_python(value)
  except pydantic.ValidationError as error:
    # Of a union that no member took, the one that came nearest: a bound.
    errors = sorted(error.errors(), key=lambda e: e['type'] not in _BOUNDS)
    raise SettingError(one.name, value, _reason(errors[0], one)) from None
  choices = one.key.choices
  if choices is not None and isinstance(value, str) and value not in choices:
    number = ' or a number' if float in typing.get_args(one.hint) else ''
    near = difflib.get_close_matches(value, list(choices), 1)
    hint = f' (did you mean {near[0]!r}?)' if near else ''
    raise SettingError(
      one.name, value, f'choose one of {sorted(choices)}{number}{hint}'
    )
  return value


_Class = typing.TypeVar('_Class', bound=type)


@typing.dataclass_transform(
  frozen_default=True, field_specifiers=(key, part, row, weights)
)
def spec(cls: _Class) -> _Class:
  """A frozen dataclass whose keys are checked whenever one is made.

  Its own `__post_init__`, if it has one, runs after that and may `refuse`.
  """
  own = cls.__dict__.get('__post_init__')

  def __post_init__(self):
    for field, entry in _entries(type(self)):
      if isinstance(entry, Key):
        hint = _hints(type(self))[field.name]
        one = Described(field.name, hint, field.default, entry)
        try:
          value = checked(one, getattr(self, field.name))
        except SettingError as error:
          raise error.of(type(self).__name__) from None
        object.__setattr__(self, field.name, value)
    if own:
      own(self)

  cls.__post_init__ = __post_init__
  return dataclasses.dataclass(frozen=True)(cls)


def refuse(owner: Any, name: str, reason: str) -> SettingError:
  """The error for a key of a spec whose value does not fit the others."""
  return SettingError(name, getattr(owner, name), reason).of(
    type(owner).__name__
  )


# --- From values to specs and back --------------------------------------------


def _own_keys(cls: type, values: Mapping[str, Any]) -> dict[str, Any]:
  """Checked values of the keys that a class has itself."""
  found = {}
  for field, entry in _entries(cls):
    if isinstance(entry, Key) and field.name in values:
      hint = _hints(cls)[field.name]
      one = Described(field.name, hint, field.default, entry)
      found[field.name] = checked(one, values[field.name])
  return found


def build(cls: type, values: Mapping[str, Any]) -> Any:
  """A spec from values written flat; keys that are missing take defaults.

  Keys of rows that were not chosen are passed over, see `unused`.

  Raises:
    SettingError: for an unknown key, or a value that does not fit.
  """
  known = described(cls)
  for name in values:
    if name not in known:
      raise SettingError(name, None, f'unknown key; {close(name, known)}')
  made = _own_keys(cls, values)
  for field, entry in _entries(cls):
    if isinstance(entry, Weights):
      chosen = {one.name: one for one in _of_weights(entry)}
      made[field.name] = tuple(
        (name, checked(one, values[name]))
        for name, one in chosen.items()
        if values.get(name)
      )
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


def flat(instance: Any) -> dict[str, Any]:
  """The values of a spec and its parts, written flat: `build`'s inverse."""
  found: dict[str, Any] = {}
  for field, entry in _entries(type(instance)):
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
  return {
    name: one.rows
    for name, one in described(type(instance)).items()
    if name in values and name not in used and values[name] != one.default
  }
