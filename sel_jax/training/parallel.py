"""The only file that knows devices.

Contract: one per-shard step, mapped by `jit(shard_map)` over a ('data',) mesh
of every device there is; state replicated, batch split along its first axis.
"""

from collections.abc import Callable
import functools
from typing import Any

import jax
from jax.sharding import AxisType
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from sel_jax.errors import InputError

AXIS = 'data'


def make_mesh() -> jax.sharding.Mesh:
  """A one-dimensional mesh over all devices."""
  return jax.make_mesh(
    (jax.device_count(),), (AXIS,), axis_types=(AxisType.Auto,)
  )


def check_batch(batch_size: int, mesh: jax.sharding.Mesh) -> None:
  """Raises InputError unless the batch divides evenly over the devices."""
  devices = mesh.devices.size
  if batch_size % devices:
    raise InputError(
      f'config.data.batch_size={batch_size} is not divisible by the {devices} '
      f'devices; use a multiple of {devices}'
    )


def replicate(tree: Any, mesh: jax.sharding.Mesh) -> Any:
  """Puts host arrays on every device, as fresh buffers."""
  return jax.device_put(tree, NamedSharding(mesh, P()))


def shard_batch(batch: dict[str, Any], mesh: jax.sharding.Mesh):
  """Splits host arrays along their first axis over the devices."""
  return jax.device_put(batch, NamedSharding(mesh, P(AXIS)))


def parallel_step(step: Callable, mesh: jax.sharding.Mesh) -> Callable:
  """Maps a per-shard step over the mesh; the state's buffers are donated.

  Args:
    step: (state, batch, key, *, axis) -> (state, scalars).
    mesh: see `make_mesh`.

  Returns:
    Compiled (state, batch, key) -> (state, scalars), all replicated but the
    batch.
  """
  # Unchecked replication: with it, averaging after the gradient is right; the
  # checked form sums gradients of replicated inputs by itself.
  mapped = jax.shard_map(
    functools.partial(step, axis=AXIS),
    mesh=mesh,
    in_specs=(P(), P(AXIS), P()),
    out_specs=P(),
    check_vma=False,
  )
  return jax.jit(mapped, donate_argnums=0)
