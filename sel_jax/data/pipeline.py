"""Training batches and evaluation images.

Contract: a batch is a pure function of (seed, step), whatever happened before,
so a resumed run sees what the interrupted one would have seen. Photographs are
decoded once and kept in memory as integers.
"""

from collections.abc import Iterator
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
import dataclasses

import numpy as np

from sel_jax.data import images
from sel_jax.data import samples
from sel_jax.data import sources
from sel_jax.data.augmentations import augment_pair
from sel_jax.data.augmentations import Augmentation
from sel_jax.errors import InputError

Batch = dict[str, np.ndarray]


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
    source: 'folder', or 'sample' for the built-in set.
    root: the folder, see `sources.LAYOUTS`.
    exclude: names of pairs to leave out.
    held_out: validation pairs cut from train where there is no val folder.
  """

  source: str = 'folder'
  root: str = ''
  exclude: tuple[str, ...] = ()
  held_out: int = 15


class Photos(Sequence):
  """Pairs of one split; files are decoded when they are asked for."""

  def __init__(self, spec: DataSpec, split: str):
    self._sample = None
    if spec.source == 'sample':
      self._sample = samples.sample_pairs(split)
    elif spec.source == 'folder':
      if not spec.root:
        raise InputError(
          'no data set given: set config.data.root (or --data) to its folder'
        )
      self._pairs = sources.find_pairs(
        spec.root, split, exclude=spec.exclude, held_out=spec.held_out
      )
    else:
      raise InputError(
        f"config.data.source={spec.source!r}: choose 'folder' or 'sample'"
      )

  def __len__(self) -> int:
    return len(self._pairs if self._sample is None else self._sample)

  def __getitem__(self, index: int) -> Photo:
    if self._sample is not None:
      return Photo(*self._sample[index])
    pair = self._pairs[index]
    return Photo(pair.name, *sources.read_pair(pair))


class TrainingData:
  """Augmented batches of a split, batch = f(seed, step).

  Every epoch is a new permutation; batches cross the ends of epochs, so each
  pair is seen equally often whatever the batch size.
  """

  def __init__(
    self,
    photos: Sequence[Photo],
    *,
    seed: int,
    batch_size: int,
    augmentation: Augmentation,
  ):
    with ThreadPoolExecutor(4) as pool:
      self._photos = list(pool.map(photos.__getitem__, range(len(photos))))
    side = augmentation.crop
    for photo in self._photos:
      height, width = photo.low.shape[:2]
      if min(height, width) < side:
        raise InputError(
          f'{photo.name}: {width}x{height} is smaller than the crop of {side}; '
          'lower config.data.crop or list it in config.data.exclude'
        )
    self._seed = seed
    self._batch_size = batch_size
    self._augmentation = augmentation
    self._order: tuple[int, np.ndarray] | None = None

  def __len__(self) -> int:
    """Number of pairs."""
    return len(self._photos)

  def _photo(self, example: int) -> Photo:
    epoch, position = divmod(example, len(self._photos))
    if self._order is None or self._order[0] != epoch:
      rng = np.random.default_rng((self._seed, 0, epoch))
      self._order = (epoch, rng.permutation(len(self._photos)))
    return self._photos[self._order[1][position]]

  def batch(self, step: int) -> Batch:
    """The batch of a step: 'low', 'target' [B, s, s, 3] float32 in [0, 1].

    'index' [B] int32 numbers the examples within the global batch.
    """
    first = step * self._batch_size
    pairs = []
    for example in range(first, first + self._batch_size):
      photo = self._photo(example)
      rng = np.random.default_rng((self._seed, 1, example))
      pairs.append(
        augment_pair(rng, photo.low, photo.target, self._augmentation)
      )
    low, target = (np.stack(side) for side in zip(*pairs, strict=True))
    index = np.arange(self._batch_size, dtype=np.int32)
    return {'low': low, 'target': target, 'index': index}

  def batches(self, first: int, last: int) -> Iterator[tuple[int, Batch]]:
    """(step, batch) for first <= step < last, the next one made ahead."""
    with ThreadPoolExecutor(1) as pool:
      ahead = pool.submit(self.batch, first) if first < last else None
      for step in range(first, last):
        batch = ahead.result()
        if step + 1 < last:
          ahead = pool.submit(self.batch, step + 1)
        yield step, batch


def float_pair(photo: Photo) -> tuple[np.ndarray, np.ndarray]:
  """Low and target of a pair as float32 in [0, 1]."""
  return images.to_float(photo.low), images.to_float(photo.target)
