"""The only file that knows devices.

Contract: one per-shard step, mapped over all devices by `jit(shard_map)` or by
`pmap`; the batch split along its first axis, the state replicated or sharded.
On the host a state is always whole, so it goes from any number of devices to
any.
"""

from collections.abc import Callable
from collections.abc import Sequence
import functools
import math
from typing import Any

import jax
from jax.experimental import multihost_utils
import jax.numpy as jnp
from jax.sharding import AxisType
from jax.sharding import Mesh
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
import numpy as np

from sel_jax.errors import InputError
from sel_jax.sections import ParallelSpec
from sel_jax.settings import Settings
from sel_jax.training import shards
from sel_jax.training.state import TrainState

AXIS = 'data'
# Key of a batch: whether this process was asked to stop.
STOP = 'stop'

Step = Callable[..., tuple[TrainState, dict[str, jax.Array]]]


def _by_process(device: jax.Device) -> tuple[int, int]:
  return device.process_index, device.id


def _proposal(batch_size: int, parts: int, rate: float) -> str:
  """A batch that divides, and a learning rate that goes with it.

  Adam's steps are as long whatever the gradient; their noise falls with the
  root of the batch (arXiv 2205.10287, square-root scaling).
  """
  size = parts * max(1, round(batch_size / parts))
  text = f'set config.data.batch_size={size}'
  if rate:
    scaled = rate * math.sqrt(size / batch_size)
    text += f', with config.optim.lr={scaled:.2g} instead of {rate:g}'
  return text


class Parallel:
  """The devices of a run, and how a batch is spread over them.

  Attributes:
    spec: section `parallel`.
    devices: all of them, those of a process side by side.
    count: how many they are.
    local: how many of them this process has.
    process: which of how many processes this is.
    mesh: the devices along `AXIS`.
  """

  def __init__(
    self,
    spec: ParallelSpec,
    *,
    batch_size: int,
    rate: float = 0.0,
    devices: Sequence[jax.Device] | None = None,
  ):
    """Takes the devices.

    Args:
      spec: section `parallel`.
      batch_size: examples of a global batch.
      rate: peak learning rate, for the message; 0 says nothing of it.
      devices: in order of the processes, so that a process's examples lie
        together; None is every device of every process.

    Raises:
      InputError: unless the batch divides over devices and parts.
    """
    if devices is None:
      devices = sorted(jax.devices(), key=_by_process)
    parts = len(devices) * spec.accumulate
    if batch_size % parts:
      raise InputError(
        f'config.data.batch_size={batch_size} is not divisible by {parts}: '
        f'{len(devices)} device(s) times config.parallel.accumulate='
        f'{spec.accumulate}; {_proposal(batch_size, parts, rate)}'
      )
    self.spec = spec
    self.devices = list(devices)
    self.count = len(devices)
    self.process = (jax.process_index(), jax.process_count())
    self.local = sum(d.process_index == self.process[0] for d in devices)
    self.mesh = Mesh(np.array(devices), (AXIS,), axis_types=(AxisType.Auto,))

  @classmethod
  def of(cls, settings: Settings) -> 'Parallel':
    """All devices, for a run.

    Args:
      settings: the run's settings.

    Raises:
      InputError: unless the batch divides over devices and parts.
    """
    batch_size, rate = settings.data.loader.batch_size, settings.optim.lr
    return cls(settings.parallel, batch_size=batch_size, rate=rate)

  def __eq__(self, other: object) -> bool:
    return isinstance(other, Parallel) and self._same() == other._same()

  def __hash__(self) -> int:
    return hash(self._same())

  def _same(self) -> tuple:
    return self.spec, tuple(self.devices)

  @property
  def pmap(self) -> bool:
    """Whether the step is mapped by `pmap`, not `shard_map`."""
    return self.spec.backend == 'pmap'

  def layout(self, like: TrainState) -> 'Layout':
    """How states of these shapes lie on the devices.

    Args:
      like: a whole state, or the shapes of one.
    """
    return Layout(self, like)

  def put_batch(
    self, batch: dict[str, np.ndarray], *, stop: bool = False
  ) -> dict[str, jax.Array | np.ndarray]:
    """This process's part of a batch, split over its devices.

    Args:
      batch: host arrays [B / processes, ...].
      stop: this process's wish to stop after this update.
    """
    batch = {**batch, STOP: np.full(len(batch['index']), stop)}
    if self.pmap:
      return {
        k: v.reshape(self.local, -1, *v.shape[1:]) for k, v in batch.items()
      }
    sharding = NamedSharding(self.mesh, P(AXIS))
    put = jax.make_array_from_process_local_data
    return {k: put(sharding, v) for k, v in batch.items()}


class Layout:
  """Where the leaves of a state lie: whole on each device, or a shard on each.

  The parameters are whole; optimizer state and average are sharded, if the
  section `parallel` says so.

  Attributes:
    devices: the run's devices.
    like: shapes of a whole state.
  """

  def __init__(self, devices: Parallel, like: TrainState):
    """Describes the layout; no device holds anything yet.

    Args:
      devices: the run's devices.
      like: a whole state, or the shapes of one.
    """
    self.devices = devices
    self.like = jax.eval_shape(lambda x: x, like)
    shard = devices.spec.shard_state
    mark = lambda tree: jax.tree.map(
      lambda x: shard and shards.is_sharded(x), tree
    )
    self._sharded = TrainState(
      step=False,
      params=jax.tree.map(lambda x: False, self.like.params),
      ema=mark(self.like.ema),
      opt_state=mark(self.like.opt_state),
      log_bandwidth=mark(self.like.log_bandwidth),
    )

  def place(self, state: TrainState) -> TrainState:
    """Puts a whole state of the host on the devices, as fresh buffers."""
    devices = self.devices

    def one(leaf, sharded):
      leaf = np.asarray(leaf)
      if sharded:
        leaf = np.asarray(shards.shard(leaf, devices.count))
        if devices.pmap:
          return leaf[devices.process[0] * devices.local :][: devices.local]
      elif devices.pmap:
        return np.broadcast_to(leaf, (devices.local, *leaf.shape))
      sharding = NamedSharding(devices.mesh, P(AXIS) if sharded else P())
      return jax.make_array_from_callback(
        leaf.shape, sharding, lambda index: np.array(leaf[index])
      )

    return jax.tree.map(one, state, self._sharded)

  def _fetch_leaf(self, leaf, like, sharded) -> np.ndarray:
    devices = self.devices
    if not sharded:
      return np.asarray(leaf[0] if devices.pmap else leaf)
    if devices.process[1] == 1:
      rows = np.asarray(leaf)
    elif devices.pmap:
      rows = multihost_utils.process_allgather(np.asarray(leaf))
      rows = rows.reshape(devices.count, -1)
    else:
      rows = multihost_utils.process_allgather(leaf, tiled=True)
    return shards.unshard(rows, like)

  def fetch(self, state: TrainState) -> TrainState:
    """A whole copy of a state on the host; every process must call it.

    Args:
      state: what `place` or the step returned.
    """
    return jax.tree.map(self._fetch_leaf, state, self.like, self._sharded)

  def map_step(self, step: Step) -> Step:
    """Maps a per-shard step over the devices; the state is donated.

    Args:
      step: (state, batch, key, *, axis) -> (state, scalars).

    Returns:
      (state, batch, key) -> (state, scalars), compiled once; one more scalar,
      'stop', is above 0 if any process wished so.
    """

    def on_shard(state, batch, key):
      batch = dict(batch)
      wish = jnp.any(batch.pop(STOP)).astype(jnp.float32)
      state, scalars = step(state, batch, key, axis=AXIS)
      return state, {**scalars, STOP: jax.lax.pmax(wish, AXIS)}

    if self.devices.pmap:
      mapped = jax.pmap(
        on_shard,
        axis_name=AXIS,
        in_axes=(0, 0, None),
        devices=self.devices.devices,
        donate_argnums=0,
      )
      return functools.partial(_first_scalars, mapped)
    return jax.jit(self._shard_map(on_shard), donate_argnums=0)

  def _shard_map(self, on_shard: Step) -> Step:
    specs = jax.tree.map(lambda x: P(AXIS) if x else P(), self._sharded)

    def squeezed(state, batch, key):
      drop = lambda x, sharded: x[0] if sharded else x
      mine = jax.tree.map(drop, state, self._sharded)
      state, scalars = on_shard(mine, batch, key)
      add = lambda x, sharded: x[None] if sharded else x
      return jax.tree.map(add, state, self._sharded), scalars

    # Unchecked replication: with it, averaging after the gradient is right; the
    # checked form sums gradients of replicated inputs by itself.
    return jax.shard_map(
      squeezed,
      mesh=self.devices.mesh,
      in_specs=(specs, P(AXIS), P()),
      out_specs=(specs, P()),
      check_vma=False,
    )


def _first_scalars(
  mapped: Callable, state: TrainState, batch: dict[str, Any], key: jax.Array
) -> tuple[TrainState, dict[str, jax.Array]]:
  state, scalars = mapped(state, batch, key)
  return state, {name: value[0] for name, value in scalars.items()}


def gather_rows(rows: np.ndarray, counts: list[int]) -> np.ndarray:
  """Rows of every process on every process.

  Args:
    rows: [counts[rank], K] of this process.
    counts: rows of each process, known to all.

  Returns:
    [sum(counts), K], in order of the processes.
  """
  if len(counts) == 1:
    return rows
  padded = np.zeros((max(counts), rows.shape[1]), rows.dtype)
  padded[: len(rows)] = rows
  everyone = multihost_utils.process_allgather(padded)
  return np.concatenate([r[:n] for r, n in zip(everyone, counts, strict=True)])
