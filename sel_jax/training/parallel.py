"""The only file that knows devices.

Contract: one per-shard step, mapped over all devices by `jit(shard_map)` or by
`pmap`; the batch split along its first axis, the state replicated or cut. On
the host a state is always whole, so it goes from any number of devices to any.
"""

from collections.abc import Callable
import functools
from typing import Any

import jax
from jax.experimental import multihost_utils
import jax.numpy as jnp
from jax.sharding import AxisType
from jax.sharding import Mesh
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
import numpy as np

from sel_jax import models
from sel_jax.errors import InputError
from sel_jax.settings import ParallelSpec
from sel_jax.training import shards
from sel_jax.training.state import TrainState

AXIS = 'data'
# Key of a batch: whether this process was asked to stop.
STOP = 'stop'

Step = Callable[..., tuple[TrainState, dict[str, jax.Array]]]


def _whether_cut(state: TrainState, cut: bool) -> TrainState:
  """For each leaf whether devices hold a part of it, not all."""
  mark = lambda tree: jax.tree.map(lambda x: cut and shards.is_cut(x), tree)
  never = lambda tree: jax.tree.map(lambda x: False, tree)
  return TrainState(
    step=False,
    params=never(state.params),
    ema=mark(state.ema),
    opt_state=mark(state.opt_state),
  )


class Parallel:
  """All devices of a run, and how a step is spread over them."""

  def __init__(self, spec: ParallelSpec, *, batch_size: int):
    """Takes every device of every process.

    Args:
      spec: section `parallel`.
      batch_size: examples of a global batch.

    Raises:
      InputError: unless the batch divides over devices and parts.
    """
    # In order of the processes, so that a process's examples lie together.
    devices = sorted(jax.devices(), key=lambda d: (d.process_index, d.id))
    parts = len(devices) * spec.accumulate
    if batch_size % parts:
      raise InputError(
        f'config.data.batch_size={batch_size} is not divisible by {parts}: '
        f'{len(devices)} device(s) times config.parallel.accumulate='
        f'{spec.accumulate}; use a multiple of {parts}'
      )
    self.spec = spec
    self.count = len(devices)
    self.process = (jax.process_index(), jax.process_count())
    self._mesh = Mesh(np.array(devices), (AXIS,), axis_types=(AxisType.Auto,))
    self._whole: TrainState | None = None

  @property
  def sharded(self) -> bool:
    """Whether each device keeps a part of optimizer state and average."""
    return self.spec.shard_state

  @property
  def _pmap(self) -> bool:
    return self.spec.backend == 'pmap'

  def place(self, state: TrainState) -> TrainState:
    """Puts a whole state of the host on the devices, as fresh buffers."""
    self._whole = jax.eval_shape(lambda x: x, state)
    state = jax.tree.map(np.asarray, state)
    cut = _whether_cut(state, self.sharded)
    local = len(jax.local_devices())

    def one(leaf, is_cut):
      if is_cut:
        leaf = np.asarray(shards.split(leaf, self.count))
        if self._pmap:
          return leaf[self.process[0] * local :][:local]
      elif self._pmap:
        return np.broadcast_to(leaf, (local, *leaf.shape))
      sharding = NamedSharding(self._mesh, P(AXIS) if is_cut else P())
      return jax.make_array_from_callback(
        leaf.shape, sharding, lambda index: np.array(leaf[index])
      )

    return jax.tree.map(one, state, cut)

  def _fetch_leaf(self, leaf, is_cut):
    if not is_cut:
      return np.asarray(leaf[0] if self._pmap else leaf)
    if self.process[1] == 1:
      return np.asarray(leaf)
    if self._pmap:
      rows = multihost_utils.process_allgather(np.asarray(leaf))
      return rows.reshape(self.count, -1)
    return multihost_utils.process_allgather(leaf, tiled=True)

  def fetch(self, tree: Any, part: str = '') -> Any:
    """A whole copy of the state on the host; every process must call it.

    Args:
      tree: what `place` or the step returned, or one field of it.
      part: the field's name.
    """
    pick = lambda state: getattr(state, part) if part else state
    cut = pick(_whether_cut(self._whole, self.sharded))
    fetched = jax.tree.map(self._fetch_leaf, tree, cut)
    return jax.tree.map(
      lambda x, whole, is_cut: shards.join(x, whole) if is_cut else x,
      fetched,
      pick(self._whole),
      cut,
    )

  def count_params(self) -> int:
    """Number of parameters of the state that was placed."""
    return models.count_params(self._whole.params)

  def put_batch(self, batch: dict[str, np.ndarray], *, stop: bool = False):
    """This process's part of a batch, split over its devices.

    Args:
      batch: host arrays [B / processes, ...].
      stop: this process's wish to stop after this step.
    """
    batch = {**batch, STOP: np.full(len(batch['index']), stop)}
    local = len(jax.local_devices())
    if self._pmap:
      return {k: v.reshape(local, -1, *v.shape[1:]) for k, v in batch.items()}
    sharding = NamedSharding(self._mesh, P(AXIS))
    put = jax.make_array_from_process_local_data
    return {k: put(sharding, v) for k, v in batch.items()}

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

    if self._pmap:
      mapped = jax.pmap(
        on_shard, axis_name=AXIS, in_axes=(0, 0, None), donate_argnums=0
      )
      return functools.partial(_first_scalars, mapped)
    return jax.jit(self._shard_map(on_shard), donate_argnums=0)

  def _shard_map(self, on_shard: Step) -> Step:
    cut = _whether_cut(self._whole, self.sharded)
    specs = jax.tree.map(lambda c: P(AXIS) if c else P(), cut)

    def squeezed(state, batch, key):
      drop = lambda x, c: x[0] if c else x
      state, scalars = on_shard(jax.tree.map(drop, state, cut), batch, key)
      add = lambda x, c: x[None] if c else x
      return jax.tree.map(add, state, cut), scalars

    # Unchecked replication: with it, averaging after the gradient is right; the
    # checked form sums gradients of replicated inputs by itself.
    return jax.shard_map(
      squeezed,
      mesh=self._mesh,
      in_specs=(specs, P(AXIS), P()),
      out_specs=(specs, P()),
      check_vma=False,
    )


def _first_scalars(mapped: Callable, state, batch, key):
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
