"""Spatial entropy of images and the training loss built on it.

Contract: images are [B, H, W, C] floats, RGB in [0, 1] unless the spec's range
says otherwise; results are per image, the caller reduces. Values and gradients
are finite for every finite image.
"""

import functools

import jax.numpy as jnp
from jaxtyping import Float

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
  spec: EntropySpec, u: Float[Array, 'B H W C']
) -> Float[Array, ' B']:
  """The bandwidth of each image [B], from its [B, H, W, C] own values."""
  h = bandwidths.resolve_bandwidth(spec.bandwidth, u)
  return jnp.broadcast_to(jnp.ravel(jnp.asarray(h, u.dtype)), u.shape[:1])


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


def spatial_entropy_loss(
  pred: Images,
  target: Images,
  *,
  spec: EntropySpec,
  key: RandomKey | None = None,
  neighbor_weights: Float[AnyArray, '3 3'] | None = None,
) -> Float[Array, ' B']:
  """Distance between the spatial densities of two images.

    mean over windows, pixels, channels of D(p_W, q_W),   arXiv 2404.09735

  with p the density of `pred` and q that of `target`. Memory is linear in
  pixels and in the number of levels; no [L, L] density is ever held.

  Args:
    pred: prediction, any float type; computed in float32 or float64.
    target: shape of `pred`. Differentiable too, at no cost when not asked for.
    spec: which density and which distance.
    key: draws the neighbour weights when the spec's are random. The same draw
      serves prediction, target and the whole batch. Without a key they are
      uniform.
    neighbor_weights: given weights, instead of a draw; the centre is ignored.

  Returns:
    Distances, in nats or, for Hellinger, in [0, 1].

  Raises:
    ValueError: if the shapes differ, or an image is not a float [B, H, W, C].
  """
  if pred.shape != target.shape:
    raise ValueError(
      f'pred and target differ in shape: {pred.shape} and {target.shape}'
    )
  pred, target = _checked(pred, 'pred'), _checked(target, 'target')
  dtype = jnp.promote_types(pred.dtype, target.dtype)
  pred, target = pred.astype(dtype), target.astype(dtype)
  if neighbor_weights is None:
    neighbor_weights = neighborhood.draw_weights(
      key, spec.neighbor_weights, dtype=dtype
    )
  q = density.coordinates(target, neighbor_weights, spec=spec)
  p = density.coordinates(pred, neighbor_weights, spec=spec)
  h = _bandwidth(spec, q[0])
  swap = spec.distance == 'cross' and spec.cross_order == 'prediction'
  summand = _distance_summand(spec.distance, spec.eps, swap)
  total = fused.bin_sums(
    summand, (_planes(p), _planes(q)), h, spec=spec, form=spec.form
  )
  distance = divergences.DIVERGENCES[spec.distance].finish(total)
  return jnp.mean(distance, axis=(0, 2, 3, 4))


def entropy_map(
  image: Images,
  *,
  spec: EntropySpec,
  neighbor_weights: Float[AnyArray, '3 3'] | None = None,
) -> Float[Array, 'B H W C']:
  """Spatial entropy -sum p ln p around every pixel, mean over the windows.

  Args:
    image: intensities, any float type.
    spec: which density.
    neighbor_weights: [3, 3]; uniform if left out, whatever the spec draws.

  Returns:
    Nats; at most 2 ln L.

  Raises:
    ValueError: if the image is not a float [B, H, W, C].
  """
  image = _checked(image, 'image')
  if neighbor_weights is None:
    neighbor_weights = neighborhood.uniform_weights(dtype=image.dtype)
  samples = density.coordinates(image, neighbor_weights, spec=spec)
  h = _bandwidth(spec, samples[0])
  summand = _entropy_summand(spec.eps)
  total = fused.bin_sums(
    summand, (_planes(samples),), h, spec=spec, form=spec.form
  )
  return jnp.transpose(jnp.mean(total, axis=0), (0, 2, 3, 1))


def spatial_entropy(
  image: Images,
  *,
  spec: EntropySpec,
  neighbor_weights: Float[AnyArray, '3 3'] | None = None,
) -> Float[Array, ' B']:
  """Spatial entropy of each image: the mean of `entropy_map`, in nats."""
  maps = entropy_map(image, spec=spec, neighbor_weights=neighbor_weights)
  return jnp.mean(maps, axis=(1, 2, 3))
