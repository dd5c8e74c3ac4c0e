"""Arrays cut into equal parts, one a device (ZeRO, arXiv 1910.02054).

Contract: a leaf of n elements becomes [devices, ceil(n / devices)], padded with
zeros; scalars stay whole. Pure functions; the inverse needs the shapes.
"""

from typing import Any

import jax
import jax.numpy as jnp

Array = jax.Array


def is_cut(leaf: Any) -> bool:
  """Whether a leaf is cut at all."""
  return jnp.ndim(leaf) > 0


def _cut(leaf, devices: int):
  flat = leaf.reshape(-1)
  return jnp.pad(flat, (0, -flat.size % devices)).reshape(devices, -1)


def split(tree: Any, devices: int) -> Any:
  """Every leaf as [devices, part]."""
  return jax.tree.map(lambda x: _cut(x, devices) if is_cut(x) else x, tree)


def join(parts: Any, like: Any) -> Any:
  """The inverse of `split`, with the shapes of `like`."""

  def one(part, whole):
    if not is_cut(whole):
      return part
    return part.reshape(-1)[: whole.size].reshape(whole.shape)

  return jax.tree.map(one, parts, like)


def own(tree: Any, axis: str) -> Any:
  """This device's part of every leaf of a tree that each device has whole."""
  devices, rank = jax.lax.axis_size(axis), jax.lax.axis_index(axis)

  def one(leaf):
    if not is_cut(leaf):
      return leaf
    rows = _cut(leaf, devices)
    return jax.lax.dynamic_index_in_dim(rows, rank, keepdims=False)

  return jax.tree.map(one, tree)


def gather(tree: Any, axis: str, like: Any) -> Any:
  """Whole leaves on every device, from the parts that each one has."""
  parts = jax.tree.map(
    lambda x, whole: jax.lax.all_gather(x, axis) if is_cut(whole) else x,
    tree,
    like,
  )
  return join(parts, like)
