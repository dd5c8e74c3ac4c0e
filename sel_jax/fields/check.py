"""Whether a value fits its key, and what to say if it does not.

Contract: types are strict, '3' is no 3 and True no 1; NaN and infinity are
refused. A key is what JSON can hold: numbers, text, switches, tuples of these,
and unions. Nothing is imported for it.
"""

from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping
import difflib
import math
import operator
import sys
import types
import typing
from typing import Any

from sel_jax.errors import InputError
from sel_jax.errors import SettingError
from sel_jax.fields.describe import Described

# Likeness from which on another name is suggested.
_NEAR = 0.7


# Limit -> whether a number keeps it, and what is said if it does not.
_BOUNDS: dict[str, tuple[Callable[[Any, Any], bool], str]] = {
  'gt': (operator.gt, 'must be above'),
  'ge': (operator.ge, 'must be at least'),
  'lt': (operator.lt, 'must be below'),
  'le': (operator.le, 'must be at most'),
}
# What a number is within if its key has no bound of its own, and the most
# values of a key that has many.
LARGEST = {int: 10**9, float: 1e12}
MOST = 1000
_KINDS = {
  int: 'a whole number',
  float: 'a number',
  bool: 'True or False',
  str: 'text',
  types.NoneType: 'None',
}
_UNIONS = (types.UnionType, typing.Union)


class _MisfitError(Exception):
  """A value of another type, or, with a text, a number out of its range."""


def _number(hint: type, value: Any, limits: Mapping[str, float]) -> float:
  kinds = int if hint is int else (int, float)
  if isinstance(value, bool) or not isinstance(value, kinds):
    raise _MisfitError
  try:
    value = hint(value)
  except OverflowError:  # a whole number that no float can hold
    value = math.inf
  if isinstance(value, float) and not math.isfinite(value):
    raise _MisfitError('must be finite')
  largest = LARGEST[hint]
  for name, bound in {'ge': -largest, 'le': largest, **limits}.items():
    keeps, words = _BOUNDS[name]
    if not keeps(value, bound):
      raise _MisfitError(f'{words} {bound:g}')
  return value


def _one_of(hints: tuple, value: Any, limits: Mapping[str, float]) -> Any:
  """As the first type that takes it; else why the nearest one does not."""
  reason = _MisfitError()
  for hint in hints:
    try:
      return _as(hint, value, limits)
    except _MisfitError as error:
      reason = error if error.args else reason
  raise reason


def _as(hint: Any, value: Any, limits: Mapping[str, float]) -> Any:
  """A value as a type, each number of it within limits."""
  if hint in (int, float):
    return _number(hint, value, limits)
  origin, inner = typing.get_origin(hint), typing.get_args(hint)
  if origin in _UNIONS:
    return _one_of(inner, value, limits)
  if origin is tuple and isinstance(value, tuple):
    if len(value) > MOST:
      raise _MisfitError(f'has {len(value)} values, must have at most {MOST}')
    if Ellipsis in inner:
      inner = inner[:1] * len(value)
    if len(inner) == len(value):
      return tuple(_as(h, v, limits) for h, v in zip(inner, value, strict=True))
  elif (origin is typing.Literal and value in inner) or (
    hint in _KINDS and isinstance(value, hint)
  ):
    return value
  elif origin not in (tuple, typing.Literal) and hint not in _KINDS:
    raise TypeError(
      f'{hint} is no type of a key; take int, float, bool, str, a Literal, or '
      'tuples and unions of them'
    )
  raise _MisfitError


def _kind(hint: Any) -> str:
  """A type in words."""
  if hint in _KINDS:
    return _KINDS[hint]
  arguments = [a for a in typing.get_args(hint) if a is not Ellipsis]
  if typing.get_origin(hint) in _UNIONS:
    return ' or '.join(map(_kind, arguments))
  if typing.get_origin(hint) is tuple and arguments:
    many = Ellipsis in typing.get_args(hint)
    count = 'each' if many else f'{len(arguments)}, each'
    return f'a tuple, {count} {_kind(arguments[0])}'
  return str(hint)


def _near(name: str, known: Collection[str]) -> str:
  """'did you mean ...?', or nothing."""
  near = difflib.get_close_matches(name, list(known), 1, _NEAR)
  return f'did you mean {near[0]!r}?' if near else ''


def close(name: str, known: Collection[str]) -> str:
  """'did you mean ...?', or what there is."""
  return _near(name, known) or f'known: {sorted(known)}'


def named(place: str, rows: Mapping[str, Any], name: str) -> Any:
  """The row of a name; the row '' is what is taken without a name.

  Args:
    place: what has the rows, as people write it.
    rows: name -> row.
    name: what was asked for.

  Raises:
    InputError: if there is none, with the one that comes nearest.
  """
  if name in rows:
    return rows[name]
  known = [one for one in rows if one]
  raise InputError(f'{place}:{name}: no such preset; {close(name, known)}')


def _is_traced(value: Any) -> bool:
  """Whether it is a value that JAX is tracing; without importing JAX."""
  jax = sys.modules.get('jax')
  return jax is not None and isinstance(value, jax.core.Tracer)


def checked(one: Described, value: Any) -> Any:
  """A value as its key's type; lists of stored JSON become tuples.

  Raises:
    SettingError: for a wrong type, a number out of range, an unknown name.
    TypeError: if the key itself is of a type that no key can have.
  """
  if isinstance(value, list):
    value = tuple(value)
  if _is_traced(value):
    raise SettingError(
      one.name,
      value,
      'is traced, but a spec is static: make it outside of jax.jit, or '
      f'give {one.name} to the function beside the spec, if it takes that',
    )
  try:
    value = _as(one.hint, value, one.key.limits)
  except _MisfitError as error:
    kind = f'give {_kind(one.hint)}, such as {one.default!r}'
    raise SettingError(one.name, value, str(error) or kind) from None
  except TypeError as error:
    raise TypeError(f'{one.name}: {error}') from None
  choices = one.key.names()
  if choices is not None and isinstance(value, str) and value not in choices:
    number = ' or a number' if float in typing.get_args(one.hint) else ''
    near = _near(value, choices)
    hint = f' ({near})' if near else ''
    raise SettingError(
      one.name, value, f'choose one of {sorted(choices)}{number}{hint}'
    )
  return value
