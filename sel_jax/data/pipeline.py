"""Training batches, by Grain.

Contract: a batch is a pure function of (seed, step), whatever happened before
and however many processes share it, so the step is all the state there is.
"""

from collections.abc import Iterator
import functools
from typing import Any

import numpy as np

from sel_jax import fields
from sel_jax.data import cache
from sel_jax.data.augment import augment_pair
from sel_jax.data.augment import AugmentSpec
from sel_jax.data.augment import tell_exposure
from sel_jax.data.sequences import Pair
from sel_jax.data.sequences import PairSource
from sel_jax.errors import InputError
from sel_jax.fields import key

Batch = dict[str, np.ndarray]


@fields.spec
class LoaderSpec:
  """Part of section `data`: how photographs become batches on the device."""

  batch_size: int = key(
    'examples of a global batch', default=8, ge=1, le=65_536
  )
  threads: int = key(
    'threads that make batches ahead, per process', default=2, ge=0, le=256
  )
  workers: int = key(
    'processes that make batches ahead, instead of threads; 0 is none',
    default=0,
    ge=0,
    le=256,
  )


def _augmented(
  spec: AugmentSpec, pair: Pair, rng: np.random.Generator
) -> Batch:
  """A random crop of a pair, see `augment_pair`."""
  _check_size(pair, spec.crop)
  low, clean = augment_pair(rng, spec, low=pair.low, clean=pair.clean)
  clean, told = tell_exposure(rng, spec, crop=clean, photograph=pair.brightness)
  return {'low': low, 'clean': clean, 'exposure': told}


def _check_size(pair: Pair, crop: int) -> None:
  height, width = pair.low.shape[:2]
  if min(height, width) < crop:
    raise InputError(
      f'{pair.name}: {width}x{height} is smaller than the crop of {crop}; '
      'lower config.data.crop or list it in config.data.exclude'
    )


def _number(batch_size: int, index: int, example: Batch) -> Batch:
  return {**example, 'index': np.asarray(index % batch_size, np.int32)}


class TrainingData:
  """Augmented batches of a split.

  Every epoch is a new permutation; batches cross the ends of epochs, so each
  pair is seen equally often whatever the batch size.
  """

  def __init__(
    self,
    pairs: PairSource,
    *,
    seed: int,
    augment: AugmentSpec,
    loader: LoaderSpec = LoaderSpec(),
    process: tuple[int, int] = (0, 1),
  ):
    """Checks the sizes of kept photographs and describes the batches.

    Args:
      pairs: decoded or quickly decoded, see `cache.keep`.
      seed: decides the order and every crop.
      augment: what is drawn for each pair.
      loader: size of a batch, threads and worker processes.
      process: which of how many share a batch: this one gets examples
        process[0], process[0] + process[1], ... of it.

    Raises:
      InputError: if a photograph is smaller than the crop.
    """
    import grain  # not before it is needed: it takes seconds

    if isinstance(pairs, list | cache.DiskPairs):  # decoded already
      for pair in pairs:
        _check_size(pair, augment.crop)
    self.pairs = pairs
    self._loader = loader
    rank, count = process
    source: Any = pairs  # which Grain calls by a name of its own
    numbered = (
      grain.MapDataset.source(source)
      .seed(seed)
      .shuffle()
      .repeat()
      .random_map(functools.partial(_augmented, augment))
      .map_with_index(functools.partial(_number, loader.batch_size))
    )
    self._batches = numbered[rank::count].batch(
      loader.batch_size // count, drop_remainder=True
    )

  def __len__(self) -> int:
    """Number of pairs."""
    return len(self.pairs)

  def batch(self, step: int) -> Batch:
    """The batch of a step: 'low', 'clean' [B, s, s, 3] float32 in [0, 1].

    'index' [B] int32 numbers the examples within the global batch, 'exposure'
    [B] float32 is what the network is told, NaN where nothing.

    Raises:
      InputError: if a photograph is broken, or smaller than the crop.
    """
    found: Any = self._batches[step]
    return found

  def batches(self, first: int, last: int) -> Iterator[tuple[int, Batch]]:
    """(step, batch) for first <= step < last, made ahead."""
    if first >= last:
      return
    import grain

    threads = max(1, self._loader.threads)
    ahead = grain.ReadOptions(
      num_threads=threads, prefetch_buffer_size=2 * threads
    )
    dataset = self._batches[first:last].to_iter_dataset(ahead)
    if self._loader.workers:
      from absl import flags

      if not flags.FLAGS.is_parsed():  # Grain's workers ask for its flags
        flags.FLAGS.mark_as_parsed()
      dataset = dataset.mp_prefetch(
        grain.MultiprocessingOptions(num_workers=self._loader.workers)
      )
    yield from enumerate(dataset, first)
