"""Arrays in equal parts, a shard per device (ZeRO, arXiv 1910.02054).

Contract: a leaf of n elements becomes [devices, ceil(n / devices)], padded with
zeros; scalars stay whole. Pure functions; the inverse needs the shapes.
"""

from typing import Any

import jax
import jax.numpy as jnp

from sel_jax.arrays import AnyArray
from sel_jax.arrays import Array


def is_sharded(leaf: Any) -> bool:
  """Whether a leaf is taken apart at all."""
  return jnp.ndim(leaf) > 0


def _rows(leaf: AnyArray, devices: int) -> Array:
  flat = leaf.reshape(-1)
  return jnp.pad(flat, (0, -flat.size % devices)).reshape(devices, -1)


def shard(tree: Any, devices: int) -> Any:
  """Every leaf as [devices, part]."""
  return jax.tree.map(lambda x: _rows(x, devices) if is_sharded(x) else x, tree)


def unshard(shards: Any, like: Any) -> Any:
  """The inverse of `shard`, with the shapes of `like`."""

  def one(part, whole):
    if not is_sharded(whole):
      return part
    return part.reshape(-1)[: whole.size].reshape(whole.shape)

  return jax.tree.map(one, shards, like)


def own(tree: Any, axis: str) -> Any:
  """This device's shard of every leaf of a tree that each device has whole."""
  devices, rank = jax.lax.axis_size(axis), jax.lax.axis_index(axis)

  def one(leaf):
    if not is_sharded(leaf):
      return leaf
    rows = _rows(leaf, devices)
    return jax.lax.dynamic_index_in_dim(rows, rank, keepdims=False)

  return jax.tree.map(one, tree)


def gather(tree: Any, axis: str, like: Any) -> Any:
  """Whole leaves on every device, from the shards that each one has."""
  shards = jax.tree.map(
    lambda x, whole: jax.lax.all_gather(x, axis) if is_sharded(whole) else x,
    tree,
    like,
  )
  return unshard(shards, like)
