"""What is wrong with a folder of pairs, all of it at once.

Contract: looks at every file and changes none. A problem makes the data set
unusable as it is; a note is something to know before training on it.
"""

from collections.abc import Iterator
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
import dataclasses
import hashlib
from pathlib import Path

import cv2
import numpy as np

from sel_jax.data import folders
from sel_jax.data import overlap
from sel_jax.data import public
from sel_jax.errors import InputError

# Phase correlation below which two images hardly show the same view, and
# pixels from which on they count as shifted. Measured on LOL-v1's 485 training
# pairs: 142 and 648, known to be wrong, have 0.09 and 0.03, all others at least
# 0.15; 4 pairs are shifted by 1.5 to 1.8 pixels.
UNLIKE = 0.1
SHIFTED = 1.5

_BLUR = 4.0


@dataclasses.dataclass(frozen=True)
class Finding:
  """One thing that was found.

  Attributes:
    kind: 'problem' or 'note'.
    text: one sentence that names the file, the pair or the folder.
  """

  kind: str
  text: str


@dataclasses.dataclass(frozen=True)
class _Looked:
  """What is kept of a pair after it was read."""

  seen: overlap.Seen
  low_hash: str
  shift: tuple[float, float]
  likeness: float

  @property
  def name(self) -> str:
    """The pair's."""
    return self.seen.name

  @property
  def clean_hash(self) -> str:
    """That of the clean image's samples."""
    return self.seen.picture


def _contrast(image: np.ndarray) -> np.ndarray:
  gray = image.mean(axis=2, dtype=np.float32) / np.iinfo(image.dtype).max
  log = np.log(1 / 255 + gray)
  return log - cv2.GaussianBlur(log, (0, 0), _BLUR)


def alignment(
  *, low: np.ndarray, clean: np.ndarray
) -> tuple[tuple[float, float], float]:
  """How far two images of one view are apart, by phase correlation.

  Args:
    low: [H, W, 3], uint8 or uint16.
    clean: the same shape.

  Returns:
    Columns and rows from low to clean, in pixels, and the peak's height, 1
    where nothing but a shift lies between them.
  """
  first, second = _contrast(low), _contrast(clean)
  if min(first.shape) < 2 or not (first.std() and second.std()):
    return (0.0, 0.0), 1.0
  window = cv2.createHanningWindow(first.shape[::-1], cv2.CV_32F)
  (dx, dy), likeness = cv2.phaseCorrelate(first, second, window)
  return (dx, dy), likeness


def _look(pair: folders.FilePair) -> _Looked | InputError:
  try:
    low, clean = folders.read_pair(pair)
  except InputError as error:
    return error
  shift, likeness = alignment(low=low, clean=clean)
  return _Looked(
    overlap.Seen.create(pair.name, clean),
    hashlib.sha256(low.tobytes()).hexdigest(),
    shift,
    likeness,
  )


def _twins(looked: list[_Looked], split: str) -> Iterator[Finding]:
  for side in ('low', 'clean'):
    seen: dict[str, list[str]] = {}
    for item in looked:
      seen.setdefault(getattr(item, f'{side}_hash'), []).append(item.name)
    twins = [', '.join(names) for names in seen.values() if len(names) > 1]
    if twins:
      yield Finding(
        'note',
        f'{split}: {len(twins)} {side} image(s) occur in more than one pair: '
        + '; '.join(twins),
      )


def _misplaced(looked: list[_Looked], split: str, bad) -> Iterator[Finding]:
  for item in looked:
    if item.name in bad and split == 'train':
      yield Finding(
        'note', f'{split}: pair {item.name} is known: {bad[item.name]}'
      )
    elif item.likeness < UNLIKE:
      yield Finding(
        'note',
        f'{split}: the images of {item.name} hardly look alike',
      )
    elif np.hypot(*item.shift) >= SHIFTED:
      x, y = item.shift
      yield Finding(
        'note',
        f'{split}: the images of {item.name} are apart by {x:.1f} columns '
        f'and {y:.1f} rows',
      )


def _missing(root: Path, split: str, data: public.DataSet) -> Iterator[Finding]:
  where = folders.split_folders(root, split)
  expected = data.counts.get(split)
  if where is None:
    if expected:
      yield Finding('problem', f'{root}: has no split {split}')
    return
  for folder in where:
    if not folder.is_dir():
      yield Finding('problem', f'{folder}: no such folder')
      return
  alone = folders.unpaired(*where)
  for path, other in alone:
    yield Finding('problem', f'{path}: has no partner in {other}')
  count = len(folders.list_images(where[0]))
  if expected and count != expected:
    yield Finding(
      'problem',
      f'{where[0]}: {count} images, but {data.title} has {expected}',
    )


def counts(manual_dir: str | Path, name: str) -> dict[str, int]:
  """Split -> its pairs, for each split that has folders.

  Args:
    manual_dir: as `public.instructions` describe it.
    name: a row of `public.DATA_SETS`.

  Raises:
    InputError: for an unknown name, or a folder of no known layout.
  """
  root = Path(manual_dir) / public.get_data_set(name).folder
  found = {}
  for split in folders.SPLITS:
    where = folders.split_folders(root, split)
    if where and all(folder.is_dir() for folder in where):
      alone = {path for path, _ in folders.unpaired(*where)}
      found[split] = len(set(folders.list_images(where[0])) - alone)
  return found


def inspect(
  manual_dir: str | Path, name: str, *, against: Sequence[str | Path] = ()
) -> list[Finding]:
  """Everything that is missing, broken, doubled, misplaced or leaking.

  Args:
    manual_dir: as `public.instructions` describe it.
    name: a row of `public.DATA_SETS`.
    against: folders of other data sets, which may have scenes in common.

  Returns:
    Problems first, then notes.

  Raises:
    InputError: for an unknown name, or a folder of no known layout.
  """
  data = public.get_data_set(name)
  root = Path(manual_dir) / data.folder
  folders.layout_of(root)
  found: list[Finding] = []
  looked: dict[str, list[_Looked]] = {}
  for split in folders.SPLITS:
    missing = list(_missing(root, split, data))
    found += missing
    where = folders.split_folders(root, split)
    if where is None or not all(folder.is_dir() for folder in where):
      continue
    alone = [path.stem for path, _ in folders.unpaired(*where)]
    try:
      pairs = folders.find_pairs(root, split, exclude=alone)
    except InputError as error:
      found.append(Finding('problem', str(error)))
      continue
    with ThreadPoolExecutor(4) as pool:
      results = list(pool.map(_look, pairs or []))
    for result in results:
      if isinstance(result, InputError):
        found.append(Finding('problem', str(result)))
    looked[split] = [r for r in results if isinstance(r, _Looked)]
    found += _twins(looked[split], split)
    found += _misplaced(looked[split], split, data.bad)
  parts = [
    overlap.Part(split, split, [item.seen for item in items])
    for split, items in looked.items()
  ]
  for root in against:
    parts += overlap.look(root)
  found += [Finding('note', str(one)) for one in overlap.overlaps(parts)]
  if against:
    found += [Finding('note', text) for text in overlap.advice(parts)]
  return sorted(found, key=lambda finding: finding.kind != 'problem')
