"""One training step as a pure function of (state, batch, key).

Contract: the function sees one shard of the batch; `axis` names the mesh axis
over which gradients are averaged, after the gradient, which is right under both
`shard_map` and `pmap`. Randomness depends on (key, step, global example index).
"""

import jax
import jax.numpy as jnp
import optax

from sel_jax.build import Method
from sel_jax.diffusion import objective_pair
from sel_jax.diffusion import weighted_distances
from sel_jax.training.state import TrainState

Array = jax.Array


def draw_times_and_noise(
  key: Array, index: Array, shape: tuple[int, ...], steps: int
) -> tuple[Array, Array]:
  """Times and noise of each example, from its global index alone.

  Args:
    key: of this step.
    index: [B] global example numbers.
    shape: [B, H, W, C] of the images.
    steps: T.

  Returns:
    t [B], uniform on 1..T, and standard normal noise [B, H, W, C].
  """

  def one(i):
    k_time, k_noise = jax.random.split(jax.random.fold_in(key, i))
    t = jax.random.randint(k_time, (), 1, steps + 1)
    return t, jax.random.normal(k_noise, shape[1:])

  return jax.vmap(one)(index)


def ema_decay(step: Array, limit: float) -> Array:
  """min(limit, (1 + step) / (10 + step)): short runs forget their start."""
  step = step.astype(jnp.float32)
  return jnp.minimum(limit, (1 + step) / (10 + step))


def train_step(
  state: TrainState,
  batch: dict[str, Array],
  key: Array,
  *,
  method: Method,
  tx: optax.GradientTransformation,
  decay: float,
  axis: str | None = None,
) -> tuple[TrainState, dict[str, Array]]:
  """Perturb, estimate the noise, compare, update (arXiv 2404.09735 sec. 3).

  Args:
    state: replicated.
    batch: this shard's 'low', 'target' [B, H, W, 3] and 'index' [B].
    key: of the run.
    method: network, diffusion and distances.
    tx: the optimizer.
    decay: of the moving average.
    axis: mesh axis to average over; none on a single shard.

  Returns:
    The next state and scalars: 'loss', 'grad_norm', and each term by name.
  """
  sde, low, target = method.sde, batch['low'], batch['target']
  key, weights_key = jax.random.split(jax.random.fold_in(key, state.step))
  t, noise = draw_times_and_noise(key, batch['index'], low.shape, sde.steps)
  x = sde.perturb(target, low, t, noise)

  def objective(params):
    noise_hat = method.estimate_noise(params, x, low, t)
    pair = objective_pair(
      method.objective, sde, noise_hat, x, target, low, t, noise
    )
    loss, terms = weighted_distances(*pair, method.distances(weights_key))
    return jnp.mean(loss), jax.tree.map(jnp.mean, terms)

  gradient = jax.value_and_grad(objective, has_aux=True)
  (loss, terms), grads = gradient(state.params)
  if axis is not None:
    loss, terms, grads = jax.lax.pmean((loss, terms, grads), axis)

  updates, opt_state = tx.update(grads, state.opt_state, state.params)
  params = optax.apply_updates(state.params, updates)
  blend = 1 - ema_decay(state.step, decay)
  state = TrainState(
    step=state.step + 1,
    params=params,
    ema=optax.incremental_update(params, state.ema, blend),
    opt_state=opt_state,
  )
  return state, {'loss': loss, 'grad_norm': optax.tree.norm(grads), **terms}
