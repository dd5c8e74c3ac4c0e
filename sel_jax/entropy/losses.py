"""Spatial entropy of images and the training loss built on it.

Contract: images are [B, H, W, C] floats, RGB in [0, 1] unless the spec's range
says otherwise; results are per image, the caller reduces. Values and gradients
are finite for every finite image.
"""

from collections.abc import Callable
import functools
from typing import Any

import jax
from jax.experimental import checkify
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Bool
from jaxtyping import Float
from jaxtyping import Int
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
from sel_jax.entropy.average import average
from sel_jax.entropy.average import pixel_counts
from sel_jax.entropy.bandwidth import Bandwidth
from sel_jax.entropy.density import Planes
from sel_jax.entropy.divergences import Summand
from sel_jax.entropy.sampling import draw_part
from sel_jax.entropy.sampling import Part
from sel_jax.entropy.spec import EntropySpec

# Part of an image that may lie beyond the dictionary before a check speaks:
# noise and overshoot have tails.
_BEYOND = 0.05


def _checked(
  image: Images, name: str, spec: EntropySpec
) -> Float[Array, 'B H W C']:
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
  if array.dtype != jnp.float64:
    array = array.astype(jnp.float32)
  low, high = spec.value_range
  beyond = jnp.mean((array < low) | (array > high))
  # Nothing but in a function that `checkify` transforms.
  checkify.debug_check(
    beyond <= _BEYOND,
    f'{{beyond:.0%}} of {name} lies beyond value_range={spec.value_range}: '
    'divide images in 0..255 by 255, bring those in [-1, 1] to [0, 1], or '
    'give their range to the spec',
    beyond=beyond,
  )
  return array


def _weights(
  given: Float[AnyArray, '3 3'] | None,
  spec: EntropySpec,
  key: RandomKey | None,
  dtype: DTypeLike,
) -> Float[AnyArray, '3 3']:
  """Neighbour weights: given, or as the spec draws them."""
  if given is None:
    name = spec.neighbor_weights
    return neighborhood.draw_weights(key, name, dtype=dtype)
  # Arrays of NumPy stay known inside a compiled program, and can be checked.
  return given if isinstance(given, jax.Array) else np.asarray(given, dtype)


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


# (u, v) of every pixel of an image, in bin units.
_Samples = tuple[Float[Array, 'B H W C'], Float[Array, 'B H W C']]


def _planes(samples: _Samples) -> Planes:
  """(u, v) of every pixel as [B, C, H, W], the longest axis last."""
  u, v = (jnp.transpose(x, (0, 3, 1, 2)) for x in samples)
  return u, v


def _map(
  summand: Summand,
  samples: tuple[_Samples, ...],
  bandwidth: Float[Array, ' B'],
  spec: EntropySpec,
  finish: Callable[[Array], Any] = lambda total: total,
  part: Part | None = None,
) -> Float[Array, 'B h w C']:
  """Sum over the bins around every pixel, mean over the windows."""
  planes = tuple(map(_planes, samples))
  total = fused.bin_sums(
    summand, planes, bandwidth, spec=spec, form=spec.form, part=part
  )
  return jnp.transpose(jnp.mean(finish(total), axis=0), (0, 2, 3, 1))


def _prepared(
  pred: Images,
  target: Images,
  spec: EntropySpec,
  key: RandomKey | None,
  neighbor_weights: Float[AnyArray, '3 3'] | None,
  bandwidth: Bandwidth | None,
) -> tuple[_Samples, _Samples, Float[Array, ' B']]:
  """(u, v) of prediction and target, and the bandwidth of each pair."""
  if pred.shape != target.shape:
    raise ValueError(
      f'pred and target differ in shape: {pred.shape} and {target.shape}'
    )
  pair = _checked(pred, 'pred', spec), _checked(target, 'target', spec)
  dtype = jnp.promote_types(*(x.dtype for x in pair))
  ring = _weights(neighbor_weights, spec, key, dtype)
  p, q = (density.coordinates(x.astype(dtype), ring, spec=spec) for x in pair)
  given = spec.bandwidth if bandwidth is None else bandwidth
  return p, q, bandwidths.per_image(given, q[0])


def _distances(
  p: _Samples,
  q: _Samples,
  bandwidth: Float[Array, ' B'],
  spec: EntropySpec,
  part: Part | None = None,
) -> Float[Array, 'B h w C']:
  swap = spec.distance == 'cross' and spec.cross_order == 'prediction'
  summand = _distance_summand(spec.distance, spec.eps, swap)
  finish = divergences.DIVERGENCES[spec.distance].finish
  return _map(summand, (p, q), bandwidth, spec, finish, part)


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
    spec: which density and which distance; `EntropySpec()` if left out. Its
      `sample` does nothing: a map is of all pixels.
    key: draws the neighbour weights.
    neighbor_weights: given weights.
    bandwidth: given bandwidth.

  Returns:
    Distances, in nats or, for Hellinger, in [0, 1].

  Raises:
    ValueError: as `spatial_entropy_loss`.
  """
  spec = spec or EntropySpec()
  p, q, h = _prepared(pred, target, spec, key, neighbor_weights, bandwidth)
  return _distances(p, q, h, spec)


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
  index: Int[AnyArray, ' B'] | None = None,
) -> Float[Array, ' B']:
  """Distance between the spatial densities of two images.

    mean over windows, pixels, channels of D(p_W, q_W),   arXiv 2404.09735

  with p the density of `pred` and q that of `target`. Memory is linear in
  pixels and in the number of levels; no [L, L] density is ever held.

  Args:
    pred: prediction, any float type; computed in float32 or float64.
    target: shape of `pred`. Differentiable too, at no cost when not asked for.
    spec: which density and which distance; `EntropySpec()` if left out.
    key: draws the neighbour weights when the spec's are random, the same for
      prediction, target and the whole batch, and the part of each image that is
      looked at when the spec samples. Without a key nothing is drawn: the
      weights are uniform, and all pixels are looked at.
    neighbor_weights: given weights, instead of a draw; the centre is ignored.
    bandwidth: h > 0 in bin units, a number or one for each image, instead of
      the spec's. It may be traced and differentiated, so that one program
      serves every bandwidth.
    where: pixels and channels that count in the mean, broadcastable to `pred`.
      The others still stand in their neighbours' windows.
    weights: weight of each pixel and channel in the mean, broadcastable to
      `pred`; any scale.
    index: number of each image, 0 to B - 1 if left out: its part is drawn by
      the key and this number, wherever in a batch it stands.

  Returns:
    Distances, in nats or, for Hellinger, in [0, 1]; 0 where no pixel counts.

  Raises:
    ValueError: if the shapes differ or do not broadcast, an image is not a
      float [B, H, W, C], or the neighbour weights sum to zero.
  """
  spec = spec or EntropySpec()
  p, q, h = _prepared(pred, target, spec, key, neighbor_weights, bandwidth)
  counts = pixel_counts(pred.shape, where=where, weights=weights)
  part = None
  if key is not None and spec.sample < 1:
    batch, height, width, _ = pred.shape
    index = jnp.arange(batch) if index is None else index
    part = draw_part(key, index, shape=(height, width), share=spec.sample)
  return average(_distances(p, q, h, spec, part), counts=counts, part=part)


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
  image = _checked(image, 'image', spec)
  ring = _weights(neighbor_weights, spec, None, image.dtype)
  samples = density.coordinates(image, ring, spec=spec)
  given = spec.bandwidth if bandwidth is None else bandwidth
  h = bandwidths.per_image(given, samples[0])
  return _map(_entropy_summand(spec.eps), (samples,), h, spec)


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
  counts = pixel_counts(maps.shape, where=where, weights=weights)
  return average(maps, counts=counts)
