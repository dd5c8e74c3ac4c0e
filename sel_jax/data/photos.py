"""Pairs of one split, from wherever they come.

Contract: a sequence of `Photo`s, decoded when asked for. What is cut from train
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

from sel_jax.data import lol
from sel_jax.data import samples
from sel_jax.data import scenes
from sel_jax.data import sources
from sel_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Photo:
  """A decoded pair: integers [H, W, 3], upright."""

  name: str
  low: np.ndarray
  target: np.ndarray


@dataclasses.dataclass(frozen=True)
class DataSpec:
  """Where pairs come from.

  Attributes:
    source: a row of `SOURCES`: 'folder', 'tfds', or 'sample', the built-in set.
    root: the folder, see `sources.LAYOUTS`; for 'tfds' its data_dir.
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


class Photos(Sequence[Photo]):
  """Pairs at random access.

  `marks` tells them apart without decoding: a string each that changes when
  the files behind it do.
  """

  def marks(self) -> list[str]:
    """One for each photograph."""
    raise NotImplementedError

  def __iter__(self) -> Iterator[Photo]:
    # Not every source ends with an IndexError.
    return (self[index] for index in range(len(self)))


class _Pairs(Photos):
  """Pairs of image files."""

  def __init__(self, pairs: Sequence[sources.Pair]):
    self._pairs = pairs

  def marks(self) -> list[str]:
    """Path, size and time of change of both files."""
    files = [(p, p.stat()) for q in self._pairs for p in (q.low, q.target)]
    marks = [f'{p.absolute()} {s.st_size} {s.st_mtime_ns}' for p, s in files]
    return [f'{a} {b}' for a, b in zip(marks[::2], marks[1::2], strict=True)]

  def __len__(self) -> int:
    return len(self._pairs)

  def __getitem__(self, index: int) -> Photo:
    pair = self._pairs[index]
    return Photo(pair.name, *sources.read_pair(pair))


class _Records(Photos):
  """Examples of a TFDS split."""

  def __init__(self, examples: Sequence[dict], origin: str):
    self._examples, self._origin = examples, origin

  def marks(self) -> list[str]:
    """Folder of the data set and number of the record."""
    return [f'{self._origin} {n}' for n in range(len(self))]

  def __len__(self) -> int:
    return len(self._examples)

  def __getitem__(self, index: int) -> Photo:
    example = self._examples[index]
    return Photo(lol.name_of(example), example['low'], example['target'])


class _Samples(Photos):
  """The built-in set."""

  def __init__(self, split: str):
    self._split = split
    self._pairs = samples.sample_pairs(split)

  def marks(self) -> list[str]:
    """Split and name."""
    return [f'{self._split} {name}' for name, _, _ in self._pairs]

  def __len__(self) -> int:
    return len(self._pairs)

  def __getitem__(self, index: int) -> Photo:
    return Photo(*self._pairs[index])


class _Part(Photos):
  """Some of the photographs, by index."""

  def __init__(self, photos: Photos, indices: np.ndarray):
    self._photos, self._indices = photos, indices

  def marks(self) -> list[str]:
    """Those of the photographs that are in it."""
    marks = self._photos.marks()
    return [marks[int(i)] for i in self._indices]

  def __len__(self) -> int:
    return len(self._indices)

  def __getitem__(self, index: int) -> Photo:
    return self._photos[int(self._indices[index])]


def _from_folder(spec: DataSpec, split: str) -> Photos | None:
  if not spec.root:
    raise InputError(
      'no data set given: set config.data.root (or --data) to its folder'
    )
  pairs = sources.find_pairs(spec.root, split, exclude=spec.exclude)
  return None if pairs is None else _Pairs(pairs)


def _from_tfds(spec: DataSpec, split: str) -> Photos | None:
  examples = lol.open_split(spec.root, spec.name, split)
  if examples is None:
    return None
  origin = f'{Path(spec.root).absolute()} {spec.name} {split}'
  records = _Records(examples, origin)
  if not spec.exclude:
    return records
  names = [photo.name for photo in records]
  kept = [i for i, name in enumerate(names) if name not in spec.exclude]
  return _Part(records, np.asarray(kept))


SOURCES: dict[str, Callable[[DataSpec, str], Photos | None]] = {
  'folder': _from_folder,
  'tfds': _from_tfds,
  'sample': lambda spec, split: _Samples(split),
}


@functools.lru_cache(4)
def _descriptors(spec: DataSpec, split: str) -> np.ndarray:
  photos = SOURCES[spec.source](spec, split)

  def describe(index):
    try:
      return scenes.descriptor(photos[index].target)
    except InputError:  # told, or allowed, where the photograph is used
      return scenes.descriptor(np.zeros((1, 1, 3), np.uint8))

  with ThreadPoolExecutor(4) as pool:
    return np.stack(list(pool.map(describe, range(len(photos)))))


def _cut(spec: DataSpec, train: Photos, split: str, has_val: bool):
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
    kept = kept[~scenes.shared(_descriptors(whole, 'train'), test)]
  if has_val:
    return kept
  scene = scenes.group(_descriptors(whole, 'train')[kept])
  rest, cut = scenes.hold_out(scene, spec.held_out)
  if not len(rest):
    raise InputError(
      f'{spec.root}: {len(kept)} training pairs of {len(np.unique(scene))} '
      f'scene(s) are too few to hold out {spec.held_out} for validation; lower '
      'config.data.held_out or add a val folder'
    )
  return kept[cut if split == 'val' else rest]


def open_photos(spec: DataSpec, split: str) -> Photos:
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
  if split not in sources.SPLITS:
    raise InputError(f'split {split!r}: choose one of {list(sources.SPLITS)}')
  photos = SOURCES[spec.source](spec, split)
  if photos is not None and split != 'train':
    return photos
  train = photos if split == 'train' else SOURCES[spec.source](spec, 'train')
  if train is None or split == 'test':
    raise InputError(f'{spec.root}: has no split {split!r}; add its folders')
  has_val = split == 'train' and SOURCES[spec.source](spec, 'val') is not None
  if has_val and not spec.leave_test_scenes:
    return train
  return _Part(train, _cut(spec, train, split, has_val))
