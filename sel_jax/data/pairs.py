"""Pairs of one split, from wherever they come.

Contract: a sequence of `Pair`s, decoded when asked for. What is cut from train
for validation, or left out of it for the test's sake, is cut by whole scenes.
"""

from collections.abc import Sequence
import dataclasses
import functools
import logging
from pathlib import Path
from typing import Any

import numpy as np

from sel_jax import fields
from sel_jax.data import builtin
from sel_jax.data import folders
from sel_jax.data import patterns
from sel_jax.data import scenes
from sel_jax.data import splits
from sel_jax.data import tfds
from sel_jax.data import whereabouts
from sel_jax.data.noise import Noisy
from sel_jax.data.photographs import Clean
from sel_jax.data.sequences import Joined
from sel_jax.data.sequences import Pair
from sel_jax.data.sequences import Pairs
from sel_jax.data.sequences import Part
from sel_jax.errors import InputError
from sel_jax.fields import key
from sel_jax.images import codec

_log = logging.getLogger(__name__)

# Stands for every split, where pairs are measured.
ALL = 'all'


class _Files(Pairs):
  """Pairs of image files."""

  def __init__(self, pairs: Sequence[folders.FilePair]):
    self._pairs = pairs

  def marks(self) -> list[str]:
    """Path, size and time of change of both files."""
    return [
      f'{folders.mark(pair.low)} {folders.mark(pair.clean)}'
      for pair in self._pairs
    ]

  def __len__(self) -> int:
    return len(self._pairs)

  def __getitem__(self, index: int) -> Pair:
    pair = self._pairs[index]
    return Pair(pair.name, *folders.read_pair(pair))

  def size(self, index: int) -> tuple[int, int]:
    """By the header."""
    return codec.read_size(self._pairs[index].low)

  def check(self, index: int) -> None:
    """Both headers, and that the sizes agree."""
    folders.check_pair(self._pairs[index])


class _Records(Pairs):
  """Examples of a TFDS split."""

  def __init__(self, split: tfds.Split):
    self._examples, self._mark = split.examples, split.mark

  def marks(self) -> list[str]:
    """The split's and the number of the record."""
    return [f'{self._mark} {n}' for n in range(len(self))]

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


@fields.spec
class _Below:
  """Photographs below a folder."""

  root: str = key(
    'folder of the data set, for tfds its data_dir; if empty, the set of this '
    'name in $SEL_JAX_DATA or data/',
    default='',
  )

  @property
  def place(self) -> str:
    """Its folder; empty for that of TFDS."""
    return self.root


@fields.spec
class _Rooted(_Below):
  """Pairs below a folder."""

  name: str = key(
    f"the data set, such as 'lol_v2/real'; {whereabouts.USUAL} if empty",
    default='',
  )

  @property
  def data_set(self) -> str:
    """Name of the data set."""
    return self.name or whereabouts.USUAL


@fields.spec
class Folder(_Rooted):
  """Pairs in a folder of image files."""

  low: str = key(
    "pattern of the low photographs, such as 'input/{name}_in.png', where "
    '{name} is what a pair has in common; a known layout if empty',
    default='',
  )
  clean: str = key('pattern of the clean photographs', default='')

  def __post_init__(self):
    for name, other in (('low', self.clean), ('clean', self.low)):
      if other and not getattr(self, name):
        raise fields.refuse(self, name, 'give both patterns, low and clean')

  @property
  def place(self) -> str:
    """Its folder.

    Raises:
      InputError: if none is named and none is found.
    """
    return self.root or str(whereabouts.find(self.data_set))

  def open(self, split: str, exclude: Sequence[str]) -> Pairs | None:
    """Pairs of a split but for those named; None if it has none."""
    if self.low:
      pairs = patterns.find_pairs(
        self.place, split, low=self.low, clean=self.clean, exclude=exclude
      )
    else:
      pairs = folders.find_pairs(self.place, split, exclude=exclude)
    return None if pairs is None else _Files(pairs)


@fields.spec
class Records(_Rooted):
  """Pairs in a prepared TFDS data set."""

  def open(self, split: str, exclude: Sequence[str]) -> Pairs | None:
    """Pairs of a split but for those named; None if it has none."""
    found = tfds.open_split(self.root, self.data_set, split)
    if found is None:
      return None
    records = _Records(found)
    if not exclude:
      return records
    names = [pair.name for pair in records]
    kept = [i for i, name in enumerate(names) if name not in exclude]
    return Part(records, np.asarray(kept))


@fields.spec
class Sample:
  """The built-in set."""

  place = 'sample'

  def open(self, split: str, exclude: Sequence[str]) -> Pairs | None:
    """Pairs of a split; all of them."""
    del exclude
    return _Samples(split)


@fields.spec
class Singles(_Below):
  """Clean photographs alone, in one folder or one for each split."""

  def open(self, split: str, exclude: Sequence[str]) -> Pairs | None:
    """Photographs of a split but for those named; None if it has none."""
    if not self.root or not (folder := Path(self.root)).is_dir():
      raise InputError(
        f'{self.root or "photographs"}: no such folder; set config.data.root'
      )
    if any((folder / one).is_dir() for one in folders.SPLITS):
      folder = folder / split
    elif split != 'train':
      return None
    if not folder.is_dir():
      return None
    pairs = Clean(folder)
    kept = [i for i, name in enumerate(pairs.names) if name not in exclude]
    if not kept:
      raise InputError(f'{folder}: no photographs in it')
    return Part(pairs, np.asarray(kept))


# Where pairs come from: the fields of a row are its keys, `open` gives a split.
SOURCES: dict[str, type] = {
  'folder': Folder,
  'tfds': Records,
  'sample': Sample,
  'photographs': Singles,
}


@fields.spec
class PairsSpec:
  """Part of section `data`: where pairs come from, and which of them."""

  source: str = key(
    'where pairs come from; sample is the built-in set',
    default='folder',
    choices=SOURCES,
  )
  noise: tuple[float, ...] = key(
    'deviations of Gaussian noise, 8-bit units, that low photographs are made '
    'of the clean ones by: one, or least and greatest; none leaves them as '
    'they are',
    default=(),
    ge=0,
    le=255,
  )
  exclude: tuple[str, ...] = key('names of pairs to leave out', default=())
  held_out: int = key(
    'pairs for validation where there is no such split: the last ones, whose '
    'whole scenes leave train',
    default=15,
    ge=0,
  )
  leave_test_scenes: bool = key(
    'leave out training pairs that show a scene of the test split',
    default=False,
  )
  origin: Any = fields.row('source', SOURCES, default='folder')

  @classmethod
  def create(cls, **values: Any) -> 'PairsSpec':
    """From keys written flat, those of the source included.

    Raises:
      SettingError: for an unknown key, or a value that does not fit.
    """
    return fields.build(cls, values)

  def open(self, split: str) -> Pairs | None:
    """What the source has of a split; None if it has no such split."""
    return self.origin.open(split, self.exclude)

  def __post_init__(self):
    if self.source == 'photographs' and not self.noise:
      raise fields.refuse(
        self, 'source', 'clean photographs alone need config.data.noise'
      )
    if len(self.noise) > 2 or sorted(self.noise) != list(self.noise):
      raise fields.refuse(
        self, 'noise', 'give a deviation, or two, the smaller one first'
      )

  @property
  def place(self) -> str:
    """The source in a message: its folder, or its name."""
    return getattr(self.origin, 'place', '') or self.source


@functools.lru_cache(4)
def _descriptors(spec: PairsSpec, split: str) -> np.ndarray:
  pairs = spec.open(split)
  if pairs is None:
    raise InputError(f'{spec.place}: has no {split} split')
  return scenes.describe(pairs)


@functools.lru_cache(4)  # once
def _tell_of_test(spec: PairsSpec) -> None:
  """A word where training will have seen the scenes that figures are of."""
  try:
    if spec.open('test') is None:
      return
  except InputError:  # told where it is used
    return
  train, test = (_descriptors(spec, split) for split in ('train', 'test'))
  seen, pairs = splits.shared(test, train), splits.shared(train, test)
  if seen.any():
    _log.warning(
      '%s: %d of %d photographs of test show scenes of train, of %d pairs '
      'there: figures on them are not those of new scenes; '
      'config.data.leave_test_scenes=True leaves these pairs out',
      spec.place,
      seen.sum(),
      len(seen),
      pairs.sum(),
    )


def _cut(
  spec: PairsSpec, train: Pairs, split: str, has_val: bool
) -> np.ndarray:
  """Indices of the train folder's photographs that make up a split."""
  kept = np.arange(len(train))
  whole = dataclasses.replace(spec, held_out=0, leave_test_scenes=False)
  if spec.leave_test_scenes:
    if spec.open('test') is None:
      raise InputError(
        f'{spec.place}: has no test split whose scenes could be left out; set '
        'config.data.leave_test_scenes=False'
      )
    test = _descriptors(whole, 'test')
    kept = kept[~splits.shared(_descriptors(whole, 'train'), test)]
  elif split == 'train':
    _tell_of_test(whole)
  if has_val or (split == 'train' and not spec.held_out):
    return kept
  scene = splits.group(_descriptors(whole, 'train')[kept])
  rest, cut = splits.hold_out(scene, spec.held_out)
  if not len(rest):
    raise InputError(
      f'{spec.place}: {len(kept)} training pairs of {len(np.unique(scene))} '
      f'scene(s) are too few to hold out {spec.held_out} for validation; lower '
      'config.data.held_out or add a val folder'
    )
  return kept[cut if split == 'val' else rest]


def open_pairs(spec: PairsSpec, split: str) -> Pairs:
  """Photographs of one split; files are decoded when they are asked for.

  Args:
    spec: where they come from.
    split: 'train', 'val', 'test', or 'all' for every pair of every split,
      nothing held out.

  Raises:
    InputError: if the folder or the split does not exist, or a
      file has no partner.
  """
  found = _opened(spec, split)
  return Noisy(found, spec.noise) if spec.noise else found


def _opened(spec: PairsSpec, split: str) -> Pairs:
  """As `open_pairs`, without noise."""
  known = (*folders.SPLITS, ALL)
  if split not in known:
    raise InputError(f'split {split!r}: choose one of {list(known)}')
  if split == ALL:
    every = [spec.open(one) for one in folders.SPLITS]
    found = [pairs for pairs in every if pairs is not None]
    if not found:
      raise InputError(f'{spec.place}: has no pairs; add folders of a split')
    return Joined(found)
  pairs = spec.open(split)
  if pairs is not None and split != 'train':
    return pairs
  train = pairs if split == 'train' else spec.open('train')
  if train is None or split == 'test':
    other = ', or take every pair by --split=all' if split == 'test' else ''
    raise InputError(
      f'{spec.place}: has no split {split!r}; add its folders{other}'
    )
  has_val = split == 'train' and spec.open('val') is not None
  if has_val and not spec.leave_test_scenes:
    return train
  return Part(train, _cut(spec, train, split, has_val))
