"""What a key of a configuration is, and which keys a spec has.

Contract: descriptions alone; nothing is checked here, and nothing imported that
takes time.
"""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
import dataclasses
import functools
import typing
from typing import Any

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
  choices: Collection[str] | Callable[[], Collection[str]] | None = None
  flag: bool = True

  def names(self) -> list[str] | None:
    """The choices there are now; None if it has none."""
    if self.choices is None:
      return None
    return list(self.choices() if callable(self.choices) else self.choices)


@dataclasses.dataclass(frozen=True)
class Part:
  """A field that holds keys of its own, written flat beside the others.

  Attributes:
    rows: name -> row, whose dataclass (the row itself, or its `Spec`) has the
      keys; a part that is always there is the only one, without a name.
    by: the key that chooses the row, if there is a choice.
  """

  rows: Mapping[str, Any]
  by: str = ''


@dataclasses.dataclass(frozen=True)
class Weights:
  """A field with a number for each row of a table, written flat.

  Attributes:
    rows: name -> row; the first line of its docstring says what it is.
  """

  rows: Mapping[str, Any]


def key(
  text: str,
  *,
  default: Any,
  ge: float | None = None,
  gt: float | None = None,
  le: float | None = None,
  lt: float | None = None,
  choices: Collection[str] | Callable[[], Collection[str]] | None = None,
  flag: bool = True,
) -> Any:
  """A field that is a key of the configuration; see `Key`.

  `default` comes by keyword, as type checkers ask of what makes fields.
  """
  bounds = {'ge': ge, 'gt': gt, 'le': le, 'lt': lt}
  limits = {name: b for name, b in bounds.items() if b is not None}
  entry = Key(text, limits, choices, flag)
  return dataclasses.field(default=default, metadata={_ENTRY: entry})


def part(*, factory: type) -> Any:
  """A field whose keys are those of the spec `factory`, written flat."""
  return dataclasses.field(
    default_factory=factory, metadata={_ENTRY: Part({'': factory})}
  )


def row(by: str, rows: Mapping[str, Any], *, default: str) -> Any:
  """A field whose keys are those of the row that the key `by` names."""
  return dataclasses.field(
    default_factory=lambda: spec_of(rows[default])(),
    metadata={_ENTRY: Part(rows, by)},
  )


def weights(
  rows: Mapping[str, Any], *, default: tuple[tuple[str, float], ...]
) -> Any:
  """A field of ((name, number), ...), a key per row; rows left out are 0."""
  return dataclasses.field(default=default, metadata={_ENTRY: Weights(rows)})


def spec_of(found: Any) -> type:
  """The dataclass with the keys of a row: its `Spec`, or the row itself."""
  return getattr(found, 'Spec', found)


def entries(cls: type) -> Iterator[tuple[dataclasses.Field, Any]]:
  """Fields that are keys, parts or weights, in order."""
  if not dataclasses.is_dataclass(cls):
    return
  for field in dataclasses.fields(cls):
    if entry := field.metadata.get(_ENTRY):
      yield field, entry


@dataclasses.dataclass(frozen=True)
class Described:
  """A key as the table of keys, the flags and the defaults show it.

  Attributes:
    name: the key's name.
    hint: its type.
    default: its value if nothing is said.
    key: its meaning, range and choices.
    rows: names of the rows that have it; none if all of them do.
  """

  name: str
  hint: Any
  default: Any
  key: Key
  rows: tuple[str, ...] = ()

  def meaning(self) -> str:
    """What it means, with its choices and the rows that have it."""
    names = self.key.names()
    choices = f': {", ".join(names)}' if names else ''
    rows = f' (of {", ".join(self.rows)})' if self.rows else ''
    return self.key.text + choices + rows

  def range(self) -> str:
    """The numbers it may be, in words; nothing if any will do."""
    words = {'ge': 'from {:g}', 'gt': 'above {:g}', 'le': 'to {:g}'}
    words['lt'] = 'below {:g}'
    limits = self.key.limits
    found = [w.format(limits[n]) for n, w in words.items() if n in limits]
    return (' ' if 'le' in limits else ', ').join(found)


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
  return typing.get_type_hints(cls)


def own(cls: type) -> Iterator[Described]:
  """The keys that a class has itself, without those of its parts."""
  for field, entry in entries(cls):
    if isinstance(entry, Key):
      hint = _hints(cls)[field.name]
      yield Described(field.name, hint, field.default, entry)


def of_weights(entry: Weights) -> Iterator[Described]:
  """A key per row of a table."""
  for name, found in entry.rows.items():
    first = (found.__doc__ or name).strip().splitlines()[0].rstrip('.')
    text = f'weight of: {first[0].lower()}{first[1:]}; 0 is off'
    yield Described(name, float, 0.0, Key(text, {'ge': 0.0}))


def described(cls: type) -> dict[str, Described]:
  """Every key of a spec, its parts and all of their rows, by name."""
  found: dict[str, Described] = {}
  mine = {one.name: one for one in own(cls)}
  for field, entry in entries(cls):
    if isinstance(entry, Key):
      found[field.name] = mine[field.name]
    elif isinstance(entry, Weights):
      found |= {one.name: one for one in of_weights(entry)}
    else:
      found |= _of_rows(entry)
  return found


def _of_rows(entry: Part) -> dict[str, Described]:
  """Every key of the rows of a part, each with the rows that have it."""
  found: dict[str, Described] = {}
  having: dict[str, list[str]] = {}
  for name, one in entry.rows.items():
    for inner in described(spec_of(one)).values():
      found.setdefault(inner.name, inner)
      having.setdefault(inner.name, []).append(name)
  return {
    name: dataclasses.replace(
      one, rows=() if len(having[name]) == len(entry.rows) else (*having[name],)
    )
    for name, one in found.items()
  }
