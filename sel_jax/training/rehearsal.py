"""What a run would start from, found without starting it.

Contract: whatever `train` would refuse of the data, the devices and the folder
is refused here in the same words; nothing is written, no step is compiled.
"""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp

from sel_jax import build
from sel_jax import models
from sel_jax.settings import Settings
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
    parameters: of the network.
    first: updates that are done already.
    devices: that share a batch.
  """

  parameters: int
  first: int
  devices: int


def check_data(settings: Settings) -> DataFound:
  """Reads the pairs as a run does before its first update.

  Args:
    settings: of the run.

  Raises:
    InputError: as `train`, for pairs that do not fit.
  """
  on_disk = settings.data.cache.cache == 'disk'
  # Kept nowhere: what fills the cache in a run is read once and let go.
  kept = settings.changed({'data.cache': 'none'}) if on_disk else settings
  data = build.training_data(kept)
  if on_disk:
    for step in range(-(-len(data) // settings.data.loader.batch_size)):
      data.batch(step)
  return DataFound(len(data), len(build.validation_pairs(settings)))


def _first_state(settings: Settings) -> TrainState:
  """Shapes of the state before the first update."""
  image = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
  t = jax.ShapeDtypeStruct((1,), jnp.int32)
  model = build.build_method(settings).model
  tx = build.build_optimizer(settings)

  def create(image: jax.Array, t: jax.Array) -> TrainState:
    variables = model.init(jax.random.key(0), image, image, t)
    return TrainState.create(variables['params'], tx)

  return jax.eval_shape(create, image, t)


def check_state(settings: Settings, workdir: str | Path) -> StateFound:
  """Reads the checkpoint that a run would go on from, if there is one.

  Args:
    settings: of the run.
    workdir: its folder; it need not exist.

  Raises:
    InputError: as `train`, for a checkpoint of another model or a batch that
      does not divide over the devices.
  """
  devices = Parallel(
    settings.parallel, batch_size=settings.data.loader.batch_size
  )
  shapes = _first_state(settings)
  with Store(settings, Path(workdir), read_only=True) as store:
    step = store.restore(shapes).step
  first = 0 if isinstance(step, jax.ShapeDtypeStruct) else int(step)
  return StateFound(models.count_params(shapes.params), first, devices.count)
