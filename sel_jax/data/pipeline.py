"""Training batches, by Grain.

Contract: a batch is a pure function of (seed, step), whatever happened before
and however many processes share it, so the step is all the state there is.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import functools

from absl import flags
import grain
import numpy as np

from sel_jax.data.augment import augment_pair
from sel_jax.data.augment import Augmentation
from sel_jax.data.pairs import Pair
from sel_jax.errors import InputError

Batch = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class LoaderSpec:
  """Part of section `data`: how photographs get to the device.

  Attributes:
    cache: where decoded photographs are kept, see `cache.keep`.
    cache_dir: folder for 'disk'; the user's cache folder if empty.
    skip_broken: leave broken files out, with a word, in place of stopping.
    threads: that make batches ahead, in each process.
    workers: processes that make batches ahead, in place of threads; 0 is none.
  """

  cache: str = 'memory'
  cache_dir: str = ''
  skip_broken: bool = False
  threads: int = 2
  workers: int = 0


class _Augment(grain.transforms.RandomMap):
  """A random crop of a photograph, see `augment_pair`."""

  def __init__(self, spec: Augmentation):
    self._spec = spec

  def random_map(self, element: Pair, rng: np.random.Generator) -> Batch:
    """A photograph to 'low' and 'clean'."""
    _check_size(element, self._spec.crop)
    low, clean = augment_pair(rng, element.low, element.clean, self._spec)
    return {'low': low, 'clean': clean}


def _check_size(pair: Pair, crop: int) -> None:
  height, width = pair.low.shape[:2]
  if min(height, width) < crop:
    raise InputError(
      f'{pair.name}: {width}x{height} is smaller than the crop of {crop}; '
      'lower config.data.crop or list it in config.data.exclude'
    )


def _number(batch_size: int, index: int, example: Batch) -> Batch:
  return {**example, 'index': np.int32(index % batch_size)}


class TrainingData:
  """Augmented batches of a split.

  Every epoch is a new permutation; batches cross the ends of epochs, so each
  pair is seen equally often whatever the batch size.
  """

  def __init__(
    self,
    pairs: Sequence[Pair],
    *,
    seed: int,
    batch_size: int,
    augmentation: Augmentation,
    process: tuple[int, int] = (0, 1),
    loader: LoaderSpec = LoaderSpec(),
  ):
    """Checks the sizes of kept photographs and describes the batches.

    Args:
      pairs: decoded or quickly decoded, see `cache.keep`.
      seed: of the order and of every crop.
      batch_size: examples of a global batch.
      augmentation: what is drawn for each pair.
      process: which of how many share a batch: this one gets examples
        process[0], process[0] + process[1], ... of it.
      loader: threads and worker processes.

    Raises:
      InputError: if a photograph is smaller than the crop.
    """
    if loader.cache != 'none':
      for pair in pairs:
        _check_size(pair, augmentation.crop)
    self._pairs = pairs
    self._loader = loader
    rank, count = process
    self._batches = (
      grain.MapDataset.source(pairs)
      .seed(seed)
      .shuffle()
      .repeat()
      .random_map(_Augment(augmentation))
      .map_with_index(functools.partial(_number, batch_size))[rank::count]
      .batch(batch_size // count, drop_remainder=True)
    )

  def __len__(self) -> int:
    """Number of pairs."""
    return len(self._pairs)

  def batch(self, step: int) -> Batch:
    """The batch of a step: 'low', 'clean' [B, s, s, 3] float32 in [0, 1].

    'index' [B] int32 numbers the examples within the global batch.

    Raises:
      InputError: if a photograph is broken, or smaller than the crop.
    """
    return self._batches[step]

  def batches(self, first: int, last: int) -> Iterator[tuple[int, Batch]]:
    """(step, batch) for first <= step < last, made ahead."""
    if first >= last:
      return
    threads = max(1, self._loader.threads)
    ahead = grain.ReadOptions(
      num_threads=threads, prefetch_buffer_size=2 * threads
    )
    dataset = self._batches[first:last].to_iter_dataset(ahead)
    if self._loader.workers:
      if not flags.FLAGS.is_parsed():  # Grain's workers ask for its flags
        flags.FLAGS.mark_as_parsed()
      dataset = dataset.mp_prefetch(
        grain.MultiprocessingOptions(num_workers=self._loader.workers)
      )
    yield from enumerate(dataset, first)
