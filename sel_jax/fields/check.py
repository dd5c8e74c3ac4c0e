"""Whether a value fits its key, and what to say if it does not.

Contract: types are strict, '3' is no 3 and True no 1; NaN and infinity are
refused. pydantic finds what is wrong, the words are ours. It is imported when
the first value is checked.
"""

from collections.abc import Collection
from collections.abc import Mapping
import difflib
import functools
import sys
import types
import typing
from typing import Any

from sel_jax.errors import InputError
from sel_jax.errors import SettingError
from sel_jax.fields.describe import Described

# Likeness from which on another name is suggested.
_NEAR = 0.7


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
    many = Ellipsis in typing.get_args(hint)
    count = 'each' if many else f'{len(arguments)}, each'
    return f'a tuple, {count} {_kind(arguments[0])}'
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
  """
  import pydantic

  if isinstance(value, list):
    value = tuple(value)
  if _is_traced(value):
    raise SettingError(
      one.name,
      value,
      'is traced, but a spec is static: make it outside of jax.jit, or '
      f'give {one.name} to the function beside the spec, if it takes that',
    )
  limits = tuple(sorted(one.key.limits.items()))
  try:
    value = _adapter(one.hint, limits).validate_python(value)
  except pydantic.ValidationError as error:
    # Of a union that no member took, the one that came nearest: a bound.
    errors = sorted(error.errors(), key=lambda e: e['type'] not in _BOUNDS)
    raise SettingError(one.name, value, _reason(errors[0], one)) from None
  choices = one.key.names()
  if choices is not None and isinstance(value, str) and value not in choices:
    number = ' or a number' if float in typing.get_args(one.hint) else ''
    near = _near(value, choices)
    hint = f' ({near})' if near else ''
    raise SettingError(
      one.name, value, f'choose one of {sorted(choices)}{number}{hint}'
    )
  return value
