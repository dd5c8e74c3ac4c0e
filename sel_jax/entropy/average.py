"""The mean of a map over the pixels that count.

Contract: pure functions of maps [B, H, W, C]; what does not count may be NaN.
"""

import jax.numpy as jnp
from jaxtyping import Bool
from jaxtyping import Float
import numpy as np

from sel_jax.arrays import AnyArray
from sel_jax.arrays import Array
from sel_jax.entropy.sampling import Part


def _fits(shape: tuple[int, ...], whole: tuple[int, ...]) -> bool:
  """Whether an array of a shape broadcasts to the whole."""
  try:
    return np.broadcast_shapes(shape, whole) == whole
  except ValueError:
    return False


def pixel_counts(
  shape: tuple[int, ...],
  *,
  where: Bool[AnyArray, '...'] | None,
  weights: Float[AnyArray, '...'] | None,
) -> Float[Array, 'B H W C'] | None:
  """How much each pixel and channel counts; None where all count alike.

  Args:
    shape: (B, H, W, C) of the map.
    where: those that count, broadcastable to the map.
    weights: how much, broadcastable to the map.

  Raises:
    ValueError: if one of them does not broadcast.
  """
  for name, factor in (('where', where), ('weights', weights)):
    if factor is not None and not _fits(jnp.shape(factor), shape):
      raise ValueError(
        f'{name} must broadcast to {shape}, not shape {jnp.shape(factor)}'
      )
  if where is None and weights is None:
    return None
  counts = jnp.ones(()) if weights is None else jnp.asarray(weights)
  if where is not None:
    where = jnp.broadcast_to(jnp.asarray(where), shape)
    counts = jnp.where(where, jnp.broadcast_to(counts, shape), 0)
  return jnp.broadcast_to(counts, shape)


def average(
  maps: Float[Array, 'B h w C'],
  *,
  counts: Float[Array, 'B H W C'] | None = None,
  part: Part | None = None,
) -> Float[Array, ' B']:
  """Mean of each image, weighted by its counts.

    sum c m / sum c,     the numerator estimated from a part where one is drawn

  Args:
    maps: values at each pixel, whole or part.
    counts: how much each pixel of the whole counts; all alike if left out.
    part: which part the maps are of.

  Returns:
    Means; 0 where nothing counts.
  """
  here = counts
  if part is not None and counts is not None:
    planes = part.cut(jnp.moveaxis(counts, -1, 1))
    here = jnp.moveaxis(planes, 1, -1)
  if here is not None:
    # Selected, not multiplied alone: what does not count may be NaN.
    maps = jnp.where(here == 0, 0, here.astype(maps.dtype) * maps)
  if part is not None:
    maps = maps * jnp.moveaxis(part.weights, 1, -1).astype(maps.dtype)
  found = jnp.mean(maps, axis=(1, 2, 3))
  if counts is None:
    return found
  total = jnp.mean(counts.astype(maps.dtype), axis=(1, 2, 3))
  return found / jnp.where(total == 0, 1, total)
