"""Spatial entropy of images and the training loss built on it.

Contract: images are [B, H, W, C] floats, RGB in [0, 1] unless the spec's range
says otherwise; results are per image, the caller reduces. Values and gradients
are finite for every finite image.
"""

import functools

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Bool
from jaxtyping import Float
import numpy as np

from sel_jax.arrays import AnyArray
from sel_jax.arrays import Array
from sel_jax.arrays import Images
from sel_jax.arrays import RandomKey
from sel_jax.entropy import bandwidth as bandwidths
from sel_jax.entropy import density
from sel_jax.entropy import divergences
from sel_jax.entropy import fused
from sel_jax.entropy import neighborhood
from sel_jax.entropy.density import Planes
from sel_jax.entropy.divergences import Summand
from sel_jax.entropy.spec import EntropySpec

# One for all images, or one for each.
Bandwidth = Float[AnyArray, '*h'] | float


def _checked(image: Images, name: str) -> Float[Array, 'B H W C']:
  if image.ndim != 4 or 0 in image.shape:
    raise ValueError(
      f'{name} must be a non-empty [B, H, W, C] image, not shape {image.shape}'
    )
  if not jnp.issubdtype(image.dtype, jnp.floating):
    raise ValueError(
      f'{name} must be floating point in [0, 1], not {image.dtype}: divide '
      'integer images by their largest value first'
    )
  # Half precision cannot hold densities: compute in float32.
  array = jnp.asarray(image)
  return array if array.dtype == jnp.float64 else array.astype(jnp.float32)


def _planes(samples: tuple[Array, Array]) -> Planes:
  """(u, v) of every pixel as [B, C, H, W], the longest axis last."""
  u, v = (jnp.transpose(x, (0, 3, 1, 2)) for x in samples)
  return u, v


def _bandwidth(
  given: Bandwidth | None, spec: EntropySpec, u: Float[Array, 'B H W C']
) -> Float[Array, ' B']:
  """The bandwidth of each image [B]: given, or from its own values."""
  if given is None:
    given = bandwidths.resolve_bandwidth(spec.bandwidth, u)
  h = jnp.ravel(jnp.asarray(given, u.dtype))
  if h.size not in (1, len(u)):
    raise ValueError(
      f'bandwidth has {h.size} values for {len(u)} images: give one, or one '
      'for each image'
    )
  return jnp.broadcast_to(h, u.shape[:1])


def _weights(
  given: Float[AnyArray, '3 3'] | None,
  name: str,
  key: RandomKey | None,
  dtype: DTypeLike,
) -> Float[AnyArray, '3 3']:
  """Neighbour weights: given, or drawn by the name of a row."""
  if given is None:
    return neighborhood.draw_weights(key, name, dtype=dtype)
  # Arrays of NumPy stay known inside a compiled program, and can be checked.
  return given if isinstance(given, jax.Array) else np.asarray(given, dtype)


def _average(
  maps: Float[Array, 'B H W C'],
  where: Bool[AnyArray, '...'] | None,
  weights: Float[AnyArray, '...'] | None,
) -> Float[Array, ' B']:
  """Weighted mean over the pixels that count, 0 if none does."""
  for name, factor in (('where', where), ('weights', weights)):
    if factor is not None and not _fits(jnp.shape(factor), maps.shape):
      raise ValueError(
        f'{name} must broadcast to {maps.shape}, not shape {jnp.shape(factor)}'
      )
  if where is None and weights is None:
    return jnp.mean(maps, axis=(1, 2, 3))
  counts = jnp.ones((), maps.dtype)
  if weights is not None:
    counts = jnp.asarray(weights, maps.dtype)
  counts = jnp.broadcast_to(counts, maps.shape)
  if where is not None:
    where = jnp.broadcast_to(jnp.asarray(where), maps.shape)
    # Selected, not multiplied: what is left out may be NaN.
    counts, maps = jnp.where(where, counts, 0), jnp.where(where, maps, 0)
  total = jnp.sum(counts, axis=(1, 2, 3))
  found = jnp.sum(counts * maps, axis=(1, 2, 3))
  return found / jnp.where(total == 0, 1, total)


def _fits(shape: tuple[int, ...], whole: tuple[int, ...]) -> bool:
  """Whether an array of a shape broadcasts to the whole."""
  try:
    return np.broadcast_shapes(shape, whole) == whole
  except ValueError:
    return False


# Cached so that equal specs give the same function, hence one compilation.
@functools.cache
def _entropy_summand(eps: float) -> Summand:
  return Summand(functools.partial(divergences.entropy_term, eps=eps))


@functools.cache
def _distance_summand(distance: str, eps: float, swap: bool) -> Summand:
  row = divergences.DIVERGENCES[distance]
  if swap:
    return Summand(lambda p, q: row.term(q, p, eps))
  return Summand(lambda p, q: row.term(p, q, eps), row.product, row.merges)


def distance_map(
  pred: Images,
  target: Images,
  *,
  spec: EntropySpec | None = None,
  key: RandomKey | None = None,
  neighbor_weights: Float[AnyArray, '3 3'] | None = None,
  bandwidth: Bandwidth | None = None,
) -> Float[Array, 'B H W C']:
  """Distance between the spatial densities around every pixel of two images.

    mean over windows of D(p_W, q_W),     arXiv 2404.09735

  Args:
    pred: see `spatial_entropy_loss`, as all that follows.
    target: shape of `pred`.
    spec: which density and which distance; `EntropySpec()` if left out.
    key: draws the neighbour weights.
    neighbor_weights: given weights.
    bandwidth: given bandwidth.

  Returns:
    Distances, in nats or, for Hellinger, in [0, 1].

  Raises:
    ValueError: as `spatial_entropy_loss`.
  """
  if pred.shape != target.shape:
    raise ValueError(
      f'pred and target differ in shape: {pred.shape} and {target.shape}'
    )
  spec = spec or EntropySpec()
  pred, target = _checked(pred, 'pred'), _checked(target, 'target')
  dtype = jnp.promote_types(pred.dtype, target.dtype)
  pred, target = pred.astype(dtype), target.astype(dtype)
  ring = _weights(neighbor_weights, spec.neighbor_weights, key, dtype)
  q = density.coordinates(target, ring, spec=spec)
  p = density.coordinates(pred, ring, spec=spec)
  h = _bandwidth(bandwidth, spec, q[0])
  swap = spec.distance == 'cross' and spec.cross_order == 'prediction'
  summand = _distance_summand(spec.distance, spec.eps, swap)
  total = fused.bin_sums(
    summand, (_planes(p), _planes(q)), h, spec=spec, form=spec.form
  )
  distance = divergences.DIVERGENCES[spec.distance].finish(total)
  return jnp.transpose(jnp.mean(distance, axis=0), (0, 2, 3, 1))


def spatial_entropy_loss(
  pred: Images,
  target: Images,
  *,
  spec: EntropySpec | None = None,
  key: RandomKey | None = None,
  neighbor_weights: Float[AnyArray, '3 3'] | None = None,
  bandwidth: Bandwidth | None = None,
  where: Bool[AnyArray, '...'] | None = None,
  weights: Float[AnyArray, '...'] | None = None,
) -> Float[Array, ' B']:
  """Distance between the spatial densities of two images.

    mean over windows, pixels, channels of D(p_W, q_W),   arXiv 2404.09735

  with p the density of `pred` and q that of `target`. Memory is linear in
  pixels and in the number of levels; no [L, L] density is ever held.

  Args:
    pred: prediction, any float type; computed in float32 or float64.
    target: shape of `pred`. Differentiable too, at no cost when not asked for.
    spec: which density and which distance; `EntropySpec()` if left out.
    key: draws the neighbour weights when the spec's are random. The same draw
      serves prediction, target and the whole batch. Without a key they are
      uniform.
    neighbor_weights: given weights, instead of a draw; the centre is ignored.
    bandwidth: h > 0 in bin units, a number or one for each image, instead of
      the spec's. It may be traced and differentiated, so that one program
      serves every bandwidth.
    where: pixels and channels that count in the mean, broadcastable to `pred`.
      The others still stand in their neighbours' windows.
    weights: weight of each pixel and channel in the mean, broadcastable to
      `pred`; any scale.

  Returns:
    Distances, in nats or, for Hellinger, in [0, 1]; 0 where no pixel counts.

  Raises:
    ValueError: if the shapes differ or do not broadcast, an image is not a
      float [B, H, W, C], or the neighbour weights sum to zero.
  """
  maps = distance_map(
    pred,
    target,
    spec=spec,
    key=key,
    neighbor_weights=neighbor_weights,
    bandwidth=bandwidth,
  )
  return _average(maps, where, weights)


def entropy_map(
  image: Images,
  *,
  spec: EntropySpec | None = None,
  neighbor_weights: Float[AnyArray, '3 3'] | None = None,
  bandwidth: Bandwidth | None = None,
) -> Float[Array, 'B H W C']:
  """Spatial entropy -sum p ln p around every pixel, mean over the windows.

  Args:
    image: intensities, any float type.
    spec: which density; `EntropySpec()` if left out.
    neighbor_weights: [3, 3]; uniform if left out, whatever the spec draws.
    bandwidth: see `spatial_entropy_loss`.

  Returns:
    Nats; at most 2 ln L.

  Raises:
    ValueError: if the image is not a float [B, H, W, C], or the neighbour
      weights sum to zero.
  """
  spec = spec or EntropySpec()
  image = _checked(image, 'image')
  ring = _weights(neighbor_weights, 'uniform', None, image.dtype)
  samples = density.coordinates(image, ring, spec=spec)
  h = _bandwidth(bandwidth, spec, samples[0])
  summand = _entropy_summand(spec.eps)
  total = fused.bin_sums(
    summand, (_planes(samples),), h, spec=spec, form=spec.form
  )
  return jnp.transpose(jnp.mean(total, axis=0), (0, 2, 3, 1))


def spatial_entropy(
  image: Images,
  *,
  spec: EntropySpec | None = None,
  neighbor_weights: Float[AnyArray, '3 3'] | None = None,
  bandwidth: Bandwidth | None = None,
  where: Bool[AnyArray, '...'] | None = None,
  weights: Float[AnyArray, '...'] | None = None,
) -> Float[Array, ' B']:
  """Spatial entropy of each image: the mean of `entropy_map`, in nats.

  Args:
    image: see `entropy_map`, as the next three.
    spec: which density; `EntropySpec()` if left out.
    neighbor_weights: given weights.
    bandwidth: given bandwidth.
    where: see `spatial_entropy_loss`.
    weights: see `spatial_entropy_loss`.

  Returns:
    Nats; at most 2 ln L, and 0 where no pixel counts.

  Raises:
    ValueError: as `entropy_map`, or if `where` or `weights` do not broadcast.
  """
  maps = entropy_map(
    image, spec=spec, neighbor_weights=neighbor_weights, bandwidth=bandwidth
  )
  return _average(maps, where, weights)
