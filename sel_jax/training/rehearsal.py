"""What a run would start from, found without starting it.

Contract: whatever `train` would refuse of the data, the devices and the folder
is refused here in the same words; nothing is written, no step is compiled.
"""

import dataclasses
import functools
from pathlib import Path

from flax import linen as nn
import jax

from sel_jax import build
from sel_jax import models
from sel_jax import optimizers
from sel_jax.optimizers import OptimSpec
from sel_jax.settings import Settings
from sel_jax.training import initial
from sel_jax.training import validation
from sel_jax.training import writers
from sel_jax.training.parallel import Parallel
from sel_jax.training.state import TrainState
from sel_jax.training.store import Store


@dataclasses.dataclass(frozen=True)
class DataFound:
  """The pairs of a run.

  Attributes:
    pairs: to train on.
    validation: to validate on.
  """

  pairs: int
  validation: int


@dataclasses.dataclass(frozen=True)
class StateFound:
  """Where a run stands.

  Attributes:
    parameters: how many the network has.
    first: updates that are done already.
    devices: that share a batch.
  """

  parameters: int
  first: int
  devices: int


def check_data(settings: Settings) -> DataFound:
  """Reads the pairs as a run does before its first update.

  Args:
    settings: the run's settings.

  Raises:
    InputError: as `train`, for pairs that do not fit.
  """
  on_disk = settings.data.cache.cache == 'disk'
  # Kept nowhere: what fills the cache in a run is read once and let go.
  kept = settings.changed({'data.cache': 'none'}) if on_disk else settings
  data = build.training_data(kept)
  validation = build.validation_pairs(kept)
  if on_disk:
    for step in range(-(-len(data) // settings.data.loader.batch_size)):
      data.batch(step)
    for index in range(len(validation)):
      validation[index]
  return DataFound(len(data), len(validation))


@functools.lru_cache(8)  # variants of an ablation mostly share it
def _first_state(
  network: nn.Module, optim: OptimSpec, updates: int, bandwidth: float | None
) -> TrainState:
  """Shapes of the state before the first update."""
  tx = optimizers.build_optimizer(optim, updates)
  return TrainState.shapes(network, tx, bandwidth=bandwidth)


def check_state(
  settings: Settings, workdir: str | Path, *, allow_change: bool = False
) -> StateFound:
  """Reads the checkpoint that a run would go on from, if there is one.

  Args:
    settings: the run's settings.
    workdir: its folder; it need not exist.
    allow_change: go on whatever differs, see `train`.

  Raises:
    InputError: as `train`, for a checkpoint of another model or of other
      settings, or a batch that does not divide over the devices.
  """
  writers.check(settings.train.loggers)
  validation.check(settings)
  devices = Parallel.of(settings)
  shapes = _first_state(
    settings.model.network,
    settings.optim,
    settings.train.steps,
    build.learned_bandwidth(settings),
  )
  with Store(settings, Path(workdir), read_only=True) as store:
    step = store.restore(shapes, allow_change=allow_change).step
    if store.is_empty():
      initial.check(settings, shapes)
  first = 0 if isinstance(step, jax.ShapeDtypeStruct) else int(step)
  return StateFound(models.count_params(shapes.params), first, devices.count)
