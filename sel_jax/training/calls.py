"""Calls of the network that one update compares.

Contract: pure; what is drawn for an example depends on the step's key and its
global number alone. No gradient goes from one call to another.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float
from jaxtyping import Int

from sel_jax.arrays import AnyArray
from sel_jax.arrays import Array
from sel_jax.arrays import RandomKey
from sel_jax.diffusion.samplers import combine
from sel_jax.diffusion.samplers import posterior
from sel_jax.method import Method
from sel_jax.method import State


def draw_times_and_noise(
  key: RandomKey,
  index: Int[AnyArray, ' B'],
  shape: tuple[int, ...],
  steps: int,
  *,
  at_prior: float = 0.0,
) -> tuple[Int[Array, ' B'], Float[Array, 'B H W C']]:
  """Times and noise of each example, from its global index alone.

  Args:
    key: this step's key.
    index: [B] global example numbers.
    shape: [B, H, W, C] of the images.
    steps: T.
    at_prior: probability of t = T.

  Returns:
    t [B], else uniform on 1..T, and standard normal noise [B, H, W, C].
  """

  def one(i):
    k_time, k_noise = jax.random.split(jax.random.fold_in(key, i))
    t = jax.random.randint(k_time, (), 1, steps + 1)
    if at_prior:
      last = jax.random.bernoulli(jax.random.fold_in(k_time, 0), at_prior)
      t = jnp.where(last, steps, t)
    return t, jax.random.normal(k_noise, shape[1:])

  return jax.vmap(one)(index)


# Draws of an example beside its time and its noise, which are 0 and 1.
_MORE = 2


def _more_noise(
  key: RandomKey, batch: Mapping[str, Array], number: int
) -> Float[Array, 'B H W C']:
  """Standard normal noise of each example, apart from its first."""
  shape = batch['low'].shape[1:]

  def one(i):
    own = jax.random.fold_in(jax.random.fold_in(key, i), _MORE + number)
    return jax.random.normal(own, shape)

  return jax.vmap(one)(batch['index'])


def _later_times(
  key: RandomKey, index: Int[AnyArray, ' B'], calls: int, steps: int
) -> Int[Array, 'N B']:
  """Times of further calls on 1..T-1, none twice, that decrease."""

  def one(i):
    own = jax.random.fold_in(jax.random.fold_in(key, i), 0)
    return 1 + jax.random.choice(own, steps - 1, (calls,), replace=False)

  return -jnp.sort(-jax.vmap(one)(index), axis=1).T


def seen_states(
  key: RandomKey,
  batch: Mapping[str, Array],
  *,
  params: Any,
  method: Method,
) -> list[State]:
  """What the network sees of a batch, and what it makes of it.

  One state x_t of each example, at a time that is drawn, with more noise than
  is asked for where the method says so (arXiv 2301.11706). Or, unrolled, the
  states of a sampler: x_T, then one after another by the posterior of x_s given
  x_t and the network's own estimate, through which no gradient goes.

  Args:
    key: this step's key.
    batch: see `train_step`.
    params: the network's parameters.
    method: network and diffusion.

  Returns:
    A state for each call.
  """
  sde, low, clean = method.sde, batch['low'], batch['clean']
  index, told = batch['index'], batch.get('exposure')
  t, noise = draw_times_and_noise(
    key, index, low.shape, sde.steps, at_prior=method.at_prior
  )

  def call(x, t, noise):
    hat = method.estimate_noise(params, x, low, t, exposure=told)
    return State(x, t, noise, hat, clean, low)

  if not method.unroll:
    total = noise
    if method.perturb:
      total = noise + method.perturb * _more_noise(key, batch, 0)
    return [call(sde.perturb(clean, low, t, total), t, noise)]

  t, x = jnp.full_like(t, sde.steps), sde.start(low, noise)
  found = [call(x, t, sde.noise_from_clean(x, clean, low, t))]
  later = _later_times(key, index, method.unroll, sde.steps)
  for number, s in enumerate(later, 1):
    hat = jax.lax.stop_gradient(found[-1].noise_hat)
    x_0_hat = jnp.clip(sde.clean_from_noise(x, hat, low, t), 0, 1)
    random = _more_noise(key, batch, number)
    step = jax.tree.map(lambda x: x[:, None, None, None], posterior(sde, t, s))
    x = combine(sde, step, t, x, low, x_0_hat, x_0_hat, random)
    t = s
    found.append(call(x, t, sde.noise_from_clean(x, clean, low, t)))
  return found
