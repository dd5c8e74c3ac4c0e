"""Files of weights that nobody meant to write, a seeded stream of them.

Contract: each is a change of a sound file; the same seed and number give the
same bytes.
"""

from collections.abc import Callable
from collections.abc import Iterator
import json
from typing import Any

import numpy as np
import safetensors.numpy

# What a stranger may write where something else is expected.
VALUES: tuple[Any, ...] = (
  None, True, -1, 0, 0.5, 3, 10**6, 2**31, 10**18, 10**30, -(10**18), 1e-300,
  1e300, float('nan'), float('inf'), '', 'x', '../../etc/passwd', 'x' * 10_000,
  [], [1], [[1]], [-1] * 3, [10**9] * 5, [1] * 2000, {}, {'a': {}}, '\x00',
)  # fmt: skip

Tensors = dict[str, np.ndarray]
Change = Callable[[np.random.Generator, Tensors, Any], None]


def _one(rng: np.random.Generator, names) -> Any:
  names = list(names)
  return names[rng.integers(len(names))]


def _value(rng: np.random.Generator) -> Any:
  return VALUES[rng.integers(len(VALUES))]


def _setting(rng: np.random.Generator, tensors: Tensors, facts: Any) -> None:
  sections = [v for v in facts['config'].values() if isinstance(v, dict)]
  section = sections[rng.integers(len(sections))]
  section[_one(rng, section)] = _value(rng)


def _network(rng: np.random.Generator, tensors: Tensors, facts: Any) -> None:
  section = facts['config'][_one(rng, ('model', 'sde', 'eval'))]
  section[_one(rng, section)] = _value(rng)


def _section(rng: np.random.Generator, tensors: Tensors, facts: Any) -> None:
  facts['config'][_one(rng, facts['config'])] = _value(rng)


def _fact(rng: np.random.Generator, tensors: Tensors, facts: Any) -> None:
  facts[_one(rng, ('config', 'step', 'exposure', 'other'))] = _value(rng)


def _unknown(rng: np.random.Generator, tensors: Tensors, facts: Any) -> None:
  facts['config']['model']['__class__'] = _value(rng)


def _missing(rng: np.random.Generator, tensors: Tensors, facts: Any) -> None:
  del tensors[_one(rng, tensors)]


def _added(rng: np.random.Generator, tensors: Tensors, facts: Any) -> None:
  name = _one(rng, ('', '/', 'a//b', '../x', 'middle', 'x' * 5000, '\x00'))
  tensors[name] = np.zeros(rng.integers(0, 4), np.float32)


def _shaped(rng: np.random.Generator, tensors: Tensors, facts: Any) -> None:
  name = _one(rng, tensors)
  tensors[name] = np.zeros(rng.integers(0, 5, rng.integers(0, 5)), np.float32)


def _typed(rng: np.random.Generator, tensors: Tensors, facts: Any) -> None:
  name = _one(rng, tensors)
  kind = _one(rng, ('int8', 'uint16', 'float64', 'bool', 'int64', 'float16'))
  tensors[name] = tensors[name].astype(kind)


def _infinite(rng: np.random.Generator, tensors: Tensors, facts: Any) -> None:
  name = _one(rng, [n for n, x in tensors.items() if x.size])
  tensors[name] = tensors[name].copy()
  where = rng.integers(tensors[name].size)
  tensors[name].flat[where] = _one(rng, (np.nan, np.inf, -np.inf))


_CHANGES: tuple[Change, ...] = (
  _setting,
  _network,
  _section,
  _fact,
  _unknown,
  _missing,
  _added,
  _shaped,
  _typed,
  _infinite,
)


def odd_weights(
  sound: bytes, count: int, *, seed: int = 0
) -> Iterator[tuple[str, bytes]]:
  """What was done to a sound file, and the file.

  Args:
    sound: of `portable.save`.
    count: how many.
    seed: of the stream; file n is the same however many are asked for.
  """
  size = int.from_bytes(sound[:8], 'little')
  entry = json.loads(sound[8 : 8 + size])['__metadata__']['sel_jax']
  for n in range(count):
    rng = np.random.default_rng((seed, n))
    if n % 5 == 0:
      yield 'cut', sound[: rng.integers(len(sound))]
    elif n % 5 == 1:
      changed = np.frombuffer(sound, np.uint8).copy()
      near = size + 8 if rng.integers(2) else len(changed)
      where = rng.integers(0, near, rng.integers(1, 9))
      changed[where] ^= rng.integers(1, 256, len(where)).astype(np.uint8)
      yield 'flipped', changed.tobytes()
    else:
      tensors, facts = safetensors.numpy.load(sound), json.loads(entry)
      change = _CHANGES[rng.integers(len(_CHANGES))]
      change(rng, tensors, facts)
      metadata = {'sel_jax': json.dumps(facts)}
      yield change.__name__[1:], safetensors.numpy.save(tensors, metadata)
