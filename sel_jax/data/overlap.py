"""Scenes that splits and data sets have in common, and what follows from it.

Contract: a picture is known by its samples, a scene by its local contrast (see
`splits`); reads clean images and writes nothing.
"""

from collections.abc import Iterator
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
import dataclasses
import hashlib
from pathlib import Path

import numpy as np

from sel_jax.data import folders
from sel_jax.data import splits
from sel_jax.errors import InputError
from sel_jax.images import codec

# Names that are listed before '... and N more'.
_SHOWN = 20


@dataclasses.dataclass(frozen=True)
class Seen:
  """What is kept of a clean image.

  Attributes:
    name: the pair's.
    picture: a hash of its samples.
    descriptor: as `splits.descriptor`, [D].
  """

  name: str
  picture: str
  descriptor: np.ndarray

  @classmethod
  def create(cls, name: str, clean: np.ndarray) -> 'Seen':
    """Of a clean image [H, W, 3], uint8 or uint16."""
    picture = hashlib.sha256(clean.tobytes()).hexdigest()
    return cls(name, picture, splits.descriptor(clean))


@dataclasses.dataclass(frozen=True)
class Part:
  """A split of a data set.

  Attributes:
    label: what it is called in a sentence.
    split: 'train', 'val' or 'test'.
    seen: its clean images.
  """

  label: str
  split: str
  seen: Sequence[Seen]


@dataclasses.dataclass(frozen=True)
class Shared:
  """What of one split another one has.

  Attributes:
    first: the split that has it, such as train.
    second: the split that is asked about, such as test.
    scenes: name in the second -> names of the same scene in the first.
    pictures: how many of these are the same picture.
  """

  first: Part
  second: Part
  scenes: dict[str, list[str]]
  pictures: int

  def __str__(self) -> str:
    """As a sentence."""
    same = f', {self.pictures} are the same picture' if self.pictures else ''
    names = [f'{a} ({", ".join(b)})' for a, b in self.scenes.items()]
    more = len(names) - _SHOWN
    listed = '; '.join(names[:_SHOWN]) + (f' and {more} more' * (more > 0))
    return (
      f'{len(names)} of {len(self.second.seen)} photographs of '
      f'{self.second.label} show scenes of {self.first.label}{same}: {listed}'
    )


def look(root: str | Path) -> list[Part]:
  """The splits that a folder has; the folder's name is in their labels.

  Args:
    root: folder of a known layout.

  Raises:
    InputError: for a folder of no known layout, or a file that cannot be read.
  """
  folders.layout_of(root)
  parts = []
  for split in folders.SPLITS:
    pairs = folders.find_pairs(root, split)
    if pairs:
      with ThreadPoolExecutor(4) as pool:
        seen = list(pool.map(_seen, pairs))
      parts.append(Part(f'{root} {split}', split, seen))
  if not parts:
    raise InputError(f'{root}: has no pairs to compare with')
  return parts


def _seen(pair: folders.FilePair) -> Seen:
  return Seen.create(pair.name, codec.read_image(pair.clean))


def shared(first: Part, second: Part) -> Shared:
  """What of the second split the first one has."""
  known = np.stack([item.descriptor for item in first.seen])
  scenes, pictures = {}, 0
  for item in second.seen:
    alike = splits.shared(known, item.descriptor[None])
    same = [s for s, is_one in zip(first.seen, alike, strict=True) if is_one]
    if same:
      scenes[item.name] = [s.name for s in same]
      pictures += any(s.picture == item.picture for s in same)
  return Shared(first, second, scenes, pictures)


def overlaps(parts: Sequence[Part]) -> Iterator[Shared]:
  """What any two splits share: of validation and test, what train has first."""
  known = [part for part in parts if part.seen]
  order = sorted(known, key=lambda part: folders.SPLITS.index(part.split))
  for n, first in enumerate(order):
    for second in order[n + 1 :]:
      found = shared(first, second)
      if found.scenes:
        yield found


def advice(parts: Sequence[Part]) -> Iterator[str]:
  """For each test split, which training makes figures on it comparable."""
  trains = [part for part in parts if part.split == 'train' and part.seen]
  for test in parts:
    if test.split != 'test' or not test.seen:
      continue
    found = [shared(train, test) for train in trains]
    clear = [s.first.label for s in found if not s.scenes]
    known = [
      f'{s.first.label} ({len(s.scenes)} of {len(test.seen)})'
      for s in found
      if s.scenes
    ]
    if clear:
      yield f'{test.label} is new to what was trained on {", ".join(clear)}'
    if known:
      yield (
        f'{test.label} is not new to what was trained on {", ".join(known)}: '
        'say so beside such figures, and compare them with their like alone'
      )
