"""Configurations that nobody meant to write, a seeded stream of them.

Contract: each is the text of a file and the keys that are set beside it; the
same seed and number give the same.
"""

from collections.abc import Callable
from collections.abc import Iterator
import dataclasses
import inspect
from typing import Any

import numpy as np

from helpers.odd_weights import VALUES
from sel_jax.configs import lol

# As a person might set a key.
_TEXTS = (
  '', ' ', '0', '-1', '1e9', '1e-9', 'nan', 'inf', 'None', 'true', 'False',
  "'", '"', '[', '(1,', '()', '(3, 3)', '3,7', ',', '{}', '{1: 2}', 'x',
  'paper', 'shipped', 'lol', '__import__("os")', 'lambda: 0', '1_000', '0x10',
  '10**9', '\u0661', 'a b', '../..', '/dev/null', '\x00', '1' * 5000,
)  # fmt: skip
# What a key may well hold, if not together with any other.
_PLAUSIBLE = {
  bool: (True, False),
  int: (0, 1, 2, 3, 8, 17, 64, 1000),
  float: (0.0, 1e-6, 0.1, 0.5, 1.0, 3.0, 100.0),
}
_RETURNED = (
  'None', '3', '{}', '{"data": {}}', 'ml_collections.ConfigDict()',
  'ml_collections.ConfigDict({"data": 3})', 'ml_collections.FrozenConfigDict()',
  'ml_collections.ConfigDict({"": {}})', '1 / 0',
  '(lambda f: f(f))(lambda f: f(f))',
  'undefined', '[][1]', '(_ for _ in ()).throw(MemoryError)', 'exit(3)',
  '__import__("nowhere")', 'open("nowhere")', '"\\udcff".encode()',
  'ml_collections.ConfigDict({"model": {"width": lambda: 3}})',
  '__import__("threading").Thread(name="\\udcff")',
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Odd:
  """A configuration.

  Attributes:
    kind: how it was made.
    source: bytes of its file.
    keys: 'section.key' -> text, as a command line sets them.
  """

  kind: str
  source: bytes
  keys: dict[str, str]


def _spelled(value: Any) -> str:
  """An expression of it; those of `float` are no literals."""
  return f'float({str(value)!r})' if isinstance(value, float) else repr(value)


def _file(*lines: str, returned: str = 'config') -> bytes:
  """A configuration that starts from the smallest one."""
  text = [
    'import ml_collections',
    'from sel_jax.configs import lol',
    "def get_config(preset=''):",
    "  config = lol.get_config('tiny')",
    '  with config.unlocked(), config.ignore_type():',
    *(f'    {line}' for line in (*lines, 'pass')),
    f'  return {returned}',
  ]
  return '\n'.join(text).encode('utf-8', 'surrogatepass')


def _one(rng: np.random.Generator, things) -> Any:
  things = list(things)
  return things[rng.integers(len(things))]


def _keys() -> dict[str, list[tuple[str, Any]]]:
  """Section -> its keys, with what they hold."""
  sections = lol.get_config('tiny').to_dict().items()
  return {k: list(v.items()) for k, v in sections if isinstance(v, dict)}


def _key(rng: np.random.Generator) -> Odd:
  keys = _keys()
  section = _one(rng, keys)
  name, _ = _one(rng, keys[section])
  value = _spelled(_one(rng, VALUES))
  return Odd('key', _file(f'config.{section}.{name} = {value}'), {})


def _several(rng: np.random.Generator) -> Odd:
  """Values that keys of their type hold, which may not fit together."""
  keys, lines = _keys(), []
  for _ in range(3):
    section = _one(rng, keys)
    name, now = _one(rng, keys[section])
    for kind, values in _PLAUSIBLE.items():
      if type(now) is kind:
        lines.append(f'config.{section}.{name} = {_one(rng, values)!r}')
  return Odd('several', _file(*lines), {})


def _section(rng: np.random.Generator) -> Odd:
  value = _spelled(_one(rng, VALUES))
  return Odd('section', _file(f'config.{_one(rng, _keys())} = {value}'), {})


def _text(rng: np.random.Generator) -> Odd:
  section = _one(rng, _keys())
  name, _ = _one(rng, _keys()[section])
  return Odd('text', _file(), {f'{section}.{name}': _one(rng, _TEXTS)})


def _unknown(rng: np.random.Generator) -> Odd:
  section, parts = _one(rng, _keys()), _one(rng, range(1, 5))
  words = '', '__class__', 'x' * 5000, 'lr', 'loss', ' ', '\n', 'ünï', '0'
  name = '.'.join([section, *(_one(rng, words) for _ in range(parts))])
  return Odd('unknown', _file(), {name: _one(rng, _TEXTS)})


def _source(rng: np.random.Generator) -> Odd:
  """The text of a configuration, harmed."""
  text = bytearray(inspect.getsource(lol), 'utf-8')
  how = rng.integers(3)
  if how == 0:
    text = text[: rng.integers(len(text))]
  elif how == 1:
    for at in rng.integers(0, len(text), 4):
      text[at] = rng.integers(256)
  else:
    lines = bytes(text).splitlines(keepends=True)
    del lines[rng.integers(len(lines))]
    text = bytearray(b''.join(lines))
  return Odd('source', bytes(text), {})


def _returned(rng: np.random.Generator) -> Odd:
  return Odd('returned', _file(returned=_one(rng, _RETURNED)), {})


_MAKERS: tuple[Callable[[np.random.Generator], Odd], ...] = (
  _key,
  _several,
  _section,
  _text,
  _unknown,
  _source,
  _returned,
)


def odd_configs(count: int, *, seed: int = 0) -> Iterator[Odd]:
  """So many configurations of all kinds.

  Args:
    count: how many.
    seed: of the stream; one is the same however many are asked for.
  """
  for n in range(count):
    rng = np.random.default_rng((seed, n))
    yield _MAKERS[n % len(_MAKERS)](rng)
