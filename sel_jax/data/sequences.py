"""Sequences of pairs, and what is made of them.

Contract: a pair is decoded when it is asked for; its size and its mark may be
had without.
"""

import abc
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import hashlib
from typing import Protocol
from typing import runtime_checkable

import numpy as np

from sel_jax.images import codec

# Rows and columns of `Brightness.few`, about.
_FEW = 128


@dataclasses.dataclass(frozen=True)
class Brightness:
  """How bright a photograph is, without its pixels.

  Attributes:
    mean: intensity, in [0, 1].
    few: rows and columns of it, evenly spread, [h, w, 3], uint8 or uint16.
  """

  mean: float
  few: np.ndarray

  @classmethod
  def of(cls, image: np.ndarray) -> 'Brightness':
    """That of a photograph [H, W, 3], uint8 or uint16."""
    step = max(1, max(image.shape[:2]) // _FEW)
    few = np.ascontiguousarray(image[::step, ::step])
    return cls(codec.mean_intensity(image), few)


@dataclasses.dataclass(frozen=True)
class Pair:
  """A decoded pair: integers [H, W, 3], upright.

  Attributes:
    name: what both files have in common.
    low: the dark photograph.
    clean: the other one, of the same size.
    known: the clean one's brightness, where that is kept beside its pixels.
  """

  name: str
  low: np.ndarray
  clean: np.ndarray
  known: Brightness | None = None

  @property
  def brightness(self) -> Brightness:
    """That of the clean image."""
    return self.known or Brightness.of(self.clean)

  @property
  def size(self) -> tuple[int, int]:
    """Height and width of the low image."""
    height, width = self.low.shape[:2]
    return height, width


@runtime_checkable
class PairSource(Protocol):
  """Pairs by number, from 0: a list, or what decodes them when asked."""

  def __len__(self) -> int:
    """How many there are."""
    ...

  def __getitem__(self, index: int, /) -> Pair:
    """The pair of a number below `len`."""
    ...


class Pairs(abc.ABC):
  """Pairs at random access.

  `marks` tells them apart without decoding: a string each that changes when
  the files behind it do. Where `has_clean` is false there is no clean image,
  and the low one stands for it.
  """

  has_clean = True

  @abc.abstractmethod
  def marks(self) -> list[str]:
    """One for each photograph."""

  @abc.abstractmethod
  def __len__(self) -> int:
    """How many there are."""

  @abc.abstractmethod
  def __getitem__(self, index: int) -> Pair:
    """The pair of a number below `len`."""

  def size(self, index: int) -> tuple[int, int]:
    """Height and width of a low image; of a file by its header alone."""
    return self[index].size

  def check(self, index: int) -> None:
    """Raises InputError for what the headers of a pair's files show."""
    del index  # what has no files is sound

  def fingerprint(self) -> str:
    """Of all marks: 16 hexadecimal digits."""
    lines = ''.join(f'{mark}\n' for mark in self.marks())
    return hashlib.sha256(lines.encode()).hexdigest()[:16]

  def __iter__(self) -> Iterator[Pair]:
    # Not every source ends with an IndexError.
    return (self[index] for index in range(len(self)))


class Part(Pairs):
  """Some of the photographs, by index."""

  def __init__(self, pairs: Pairs, indices: np.ndarray):
    """Takes indices into the pairs, in order."""
    self._pairs, self._indices = pairs, indices
    self.has_clean = pairs.has_clean

  def marks(self) -> list[str]:
    """Those of the photographs that are in it."""
    marks = self._pairs.marks()
    return [marks[int(i)] for i in self._indices]

  def __len__(self) -> int:
    return len(self._indices)

  def __getitem__(self, index: int) -> Pair:
    return self._pairs[int(self._indices[index])]

  def size(self, index: int) -> tuple[int, int]:
    """That of the photograph."""
    return self._pairs.size(int(self._indices[index]))

  def check(self, index: int) -> None:
    """As the pairs that it is of."""
    self._pairs.check(int(self._indices[index]))


class Joined(Pairs):
  """Several splits, one after the other."""

  def __init__(self, parts: Sequence[Pairs]):
    """Takes the splits."""
    self._parts = parts
    self._ends = np.cumsum([len(part) for part in parts])

  def marks(self) -> list[str]:
    """Those of every split."""
    return [mark for part in self._parts for mark in part.marks()]

  def __len__(self) -> int:
    return int(self._ends[-1])

  def __getitem__(self, index: int) -> Pair:
    part, own = self._place(index)
    return part[own]

  def size(self, index: int) -> tuple[int, int]:
    """That of the photograph."""
    part, own = self._place(index)
    return part.size(own)

  def check(self, index: int) -> None:
    """As the split that the pair is in."""
    part, own = self._place(index)
    part.check(own)

  def _place(self, index: int) -> tuple[Pairs, int]:
    """The split that a pair is in, and its number there."""
    part = int(np.searchsorted(self._ends, index, side='right'))
    if part == len(self._parts):
      raise IndexError(index)
    before = self._ends[part - 1] if part else 0
    return self._parts[part], int(index - before)
