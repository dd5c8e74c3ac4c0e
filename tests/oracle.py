"""The entropy loss by its definition, for the tests of the fast forms."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from sel_jax import entropy


def random_pair(shape=(2, 7, 6, 3), dtype=np.float32, seed=0):
  rng = np.random.default_rng(seed)
  pred = rng.uniform(-0.2, 1.2, shape)
  target = np.clip(pred + rng.normal(0, 0.1, shape), 0, 1)
  return jnp.asarray(pred, dtype), jnp.asarray(target, dtype)


def dense_loss(pred, target, *, spec, weights):
  """The loss straight from the definition, with all L*L bins in memory."""
  densities = functools.partial(
    entropy.local_density, spec=spec, neighbor_weights=weights
  )
  swap = spec.distance == 'cross' and spec.cross_order == 'prediction'
  u, _ = entropy.density.coordinates(target, weights, spec=spec)
  h = entropy.bandwidth.resolve_bandwidth(spec.bandwidth, u)
  total = 0.0
  for window in spec.windows:
    p = densities(pred, window=window, bandwidth=h)
    q = densities(target, window=window, bandwidth=h)
    p, q = (q, p) if swap else (p, q)
    distance = entropy.divergence(
      spec.distance, p, q, axis=(-2, -1), eps=spec.eps
    )
    total = total + jnp.mean(distance, axis=(1, 2, 3))
  return total / len(spec.windows)


@functools.partial(jax.jit, static_argnums=0)
def value_and_slope(loss, pred, target):
  value, pull = jax.vjp(lambda x: loss(x, target), pred)
  return value, pull(jnp.ones_like(value))[0]


def relative_error(found, true):
  return np.linalg.norm(found - true) / np.linalg.norm(true)
