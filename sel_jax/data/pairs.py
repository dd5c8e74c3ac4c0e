"""Pairs of one split, from wherever they come.

Contract: a sequence of `Pair`s, decoded when asked for. What is cut from train
for validation, or left out of it for the test's sake, is cut by whole scenes.
"""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
import dataclasses
import functools
from pathlib import Path

import numpy as np

from sel_jax.data import builtin
from sel_jax.data import folders
from sel_jax.data import splits
from sel_jax.data import tfds
from sel_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Pair:
  """A decoded pair: integers [H, W, 3], upright."""

  name: str
  low: np.ndarray
  clean: np.ndarray


@dataclasses.dataclass(frozen=True)
class DataSpec:
  """Where pairs come from.

  Attributes:
    source: a row of `SOURCES`: 'folder', 'tfds', or 'sample', the built-in set.
    root: the folder, see `folders.LAYOUTS`; for 'tfds' its data_dir.
    name: for 'tfds' the data set, such as 'lol_v1' or 'lol_v2/real'.
    exclude: names of pairs to leave out.
    held_out: pairs for validation where there is no such split: the last ones,
      whose whole scenes leave train.
    leave_test_scenes: leave out training pairs that show a scene of the test
      split.
  """

  source: str = 'folder'
  root: str = ''
  name: str = ''
  exclude: tuple[str, ...] = ()
  held_out: int = 15
  leave_test_scenes: bool = False


class Pairs(Sequence[Pair]):
  """Pairs at random access.

  `marks` tells them apart without decoding: a string each that changes when
  the files behind it do.
  """

  def marks(self) -> list[str]:
    """One for each photograph."""
    raise NotImplementedError

  def __iter__(self) -> Iterator[Pair]:
    # Not every source ends with an IndexError.
    return (self[index] for index in range(len(self)))


class _Pairs(Pairs):
  """Pairs of image files."""

  def __init__(self, pairs: Sequence[folders.FilePair]):
    self._pairs = pairs

  def marks(self) -> list[str]:
    """Path, size and time of change of both files."""
    files = [(p, p.stat()) for q in self._pairs for p in (q.low, q.clean)]
    marks = [f'{p.absolute()} {s.st_size} {s.st_mtime_ns}' for p, s in files]
    return [f'{a} {b}' for a, b in zip(marks[::2], marks[1::2], strict=True)]

  def __len__(self) -> int:
    return len(self._pairs)

  def __getitem__(self, index: int) -> Pair:
    pair = self._pairs[index]
    return Pair(pair.name, *folders.read_pair(pair))


class _Records(Pairs):
  """Examples of a TFDS split."""

  def __init__(self, examples: Sequence[dict], origin: str):
    self._examples, self._origin = examples, origin

  def marks(self) -> list[str]:
    """Folder of the data set and number of the record."""
    return [f'{self._origin} {n}' for n in range(len(self))]

  def __len__(self) -> int:
    return len(self._examples)

  def __getitem__(self, index: int) -> Pair:
    example = self._examples[index]
    return Pair(*tfds.content(example))


class _Samples(Pairs):
  """The built-in set."""

  def __init__(self, split: str):
    self._split = split
    self._pairs = builtin.sample_pairs(split)

  def marks(self) -> list[str]:
    """Split and name."""
    return [f'{self._split} {name}' for name, _, _ in self._pairs]

  def __len__(self) -> int:
    return len(self._pairs)

  def __getitem__(self, index: int) -> Pair:
    return Pair(*self._pairs[index])


class _Part(Pairs):
  """Some of the photographs, by index."""

  def __init__(self, pairs: Pairs, indices: np.ndarray):
    self._pairs, self._indices = pairs, indices

  def marks(self) -> list[str]:
    """Those of the photographs that are in it."""
    marks = self._pairs.marks()
    return [marks[int(i)] for i in self._indices]

  def __len__(self) -> int:
    return len(self._indices)

  def __getitem__(self, index: int) -> Pair:
    return self._pairs[int(self._indices[index])]


def _from_folder(spec: DataSpec, split: str) -> Pairs | None:
  if not spec.root:
    raise InputError(
      'no data set given: set config.data.root (or --data) to its folder'
    )
  pairs = folders.find_pairs(spec.root, split, exclude=spec.exclude)
  return None if pairs is None else _Pairs(pairs)


def _from_tfds(spec: DataSpec, split: str) -> Pairs | None:
  examples = tfds.open_split(spec.root, spec.name, split)
  if examples is None:
    return None
  origin = f'{Path(spec.root).absolute()} {spec.name} {split}'
  records = _Records(examples, origin)
  if not spec.exclude:
    return records
  names = [pair.name for pair in records]
  kept = [i for i, name in enumerate(names) if name not in spec.exclude]
  return _Part(records, np.asarray(kept))


SOURCES: dict[str, Callable[[DataSpec, str], Pairs | None]] = {
  'folder': _from_folder,
  'tfds': _from_tfds,
  'sample': lambda spec, split: _Samples(split),
}


@functools.lru_cache(4)
def _descriptors(spec: DataSpec, split: str) -> np.ndarray:
  pairs = SOURCES[spec.source](spec, split)

  def describe(index):
    try:
      return splits.descriptor(pairs[index].clean)
    except InputError:  # told, or allowed, where the photograph is used
      return splits.descriptor(np.zeros((1, 1, 3), np.uint8))

  with ThreadPoolExecutor(4) as pool:
    return np.stack(list(pool.map(describe, range(len(pairs)))))


def _cut(spec: DataSpec, train: Pairs, split: str, has_val: bool):
  """Indices of the train folder's photographs that make up a split."""
  kept = np.arange(len(train))
  whole = dataclasses.replace(spec, held_out=0, leave_test_scenes=False)
  if spec.leave_test_scenes:
    if SOURCES[spec.source](spec, 'test') is None:
      raise InputError(
        f'{spec.root}: has no test split whose scenes could be left out; set '
        'config.data.leave_test_scenes=False'
      )
    test = _descriptors(whole, 'test')
    kept = kept[~splits.shared(_descriptors(whole, 'train'), test)]
  if has_val:
    return kept
  scene = splits.group(_descriptors(whole, 'train')[kept])
  rest, cut = splits.hold_out(scene, spec.held_out)
  if not len(rest):
    raise InputError(
      f'{spec.root}: {len(kept)} training pairs of {len(np.unique(scene))} '
      f'scene(s) are too few to hold out {spec.held_out} for validation; lower '
      'config.data.held_out or add a val folder'
    )
  return kept[cut if split == 'val' else rest]


def open_pairs(spec: DataSpec, split: str) -> Pairs:
  """Photographs of one split; files are decoded when they are asked for.

  Args:
    spec: where they come from.
    split: 'train', 'val' or 'test'.

  Raises:
    InputError: if the source, the folder or the split does not exist, or a
      file has no partner.
  """
  if spec.source not in SOURCES:
    raise InputError(
      f'config.data.source={spec.source!r}: choose one of {sorted(SOURCES)}'
    )
  if split not in folders.SPLITS:
    raise InputError(f'split {split!r}: choose one of {list(folders.SPLITS)}')
  pairs = SOURCES[spec.source](spec, split)
  if pairs is not None and split != 'train':
    return pairs
  train = pairs if split == 'train' else SOURCES[spec.source](spec, 'train')
  if train is None or split == 'test':
    raise InputError(f'{spec.root}: has no split {split!r}; add its folders')
  has_val = split == 'train' and SOURCES[spec.source](spec, 'val') is not None
  if has_val and not spec.leave_test_scenes:
    return train
  return _Part(train, _cut(spec, train, split, has_val))
