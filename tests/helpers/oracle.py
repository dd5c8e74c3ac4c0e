"""Images and comparisons for the tests of the fast forms of the loss."""

import functools

import jax
import jax.numpy as jnp
import numpy as np


def random_pair(shape=(2, 7, 6, 3), dtype=np.float32, seed=0):
  rng = np.random.default_rng(seed)
  pred = rng.uniform(-0.2, 1.2, shape)
  target = np.clip(pred + rng.normal(0, 0.1, shape), 0, 1)
  return jnp.asarray(pred, dtype), jnp.asarray(target, dtype)


@functools.partial(jax.jit, static_argnums=0)
def value_and_slope(loss, pred, target):
  value, pull = jax.vjp(lambda x: loss(x, target), pred)
  return value, pull(jnp.ones_like(value))[0]


def relative_error(found, true):
  return np.linalg.norm(found - true) / np.linalg.norm(true)
