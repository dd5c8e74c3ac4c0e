"""One training step as a pure function of (state, batch, key).

Contract: the function sees one shard of the batch; `axis` names the mesh axis
over which gradients are averaged, after the gradient, which is right under both
`shard_map` and `pmap`. Randomness depends on (key, step, global example index).
"""

from collections.abc import Callable
import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float
from jaxtyping import Int
import optax

from sel_jax.arrays import AnyArray
from sel_jax.arrays import Array
from sel_jax.arrays import RandomKey
from sel_jax.losses import weighted_sum
from sel_jax.method import Method
from sel_jax.optimizers import clip
from sel_jax.training import shards
from sel_jax.training.calls import seen_states
from sel_jax.training.state import TrainState


def ema_decay(step: Int[AnyArray, ''], limit: float) -> Float[Array, '']:
  """min(limit, (1 + step) / (10 + step)): short runs forget their start."""
  step = step.astype(jnp.float32)
  return jnp.minimum(limit, (1 + step) / (10 + step))


@dataclasses.dataclass(frozen=True)
class Update:
  """What happens to a gradient.

  Attributes:
    tx: an optimizer that works element by element.
    clip_norm: largest global norm; 0 is off.
    decay: the parameters' moving average keeps this much per update.
    accumulate: parts that a shard's batch is walked through in.
    sharded: optimizer state and average are sharded over the axis, see
      `shards`.
    skip_nonfinite: leave the state as it is where loss or gradient is not
      finite; the step counts all the same.
    bandwidth_rate: what ln h moves by per unit of its gradient, where the
      state has one; above 0 against it, below 0 along it.
  """

  tx: optax.GradientTransformation
  clip_norm: float = 0.0
  decay: float = 0.999
  accumulate: int = 1
  sharded: bool = False
  skip_nonfinite: bool = False
  bandwidth_rate: float = 0.0

  def apply(
    self,
    state: TrainState,
    grads: Any,
    slope: Float[Array, ''] | None,
    axis: str | None,
  ) -> TrainState:
    """The state after one update.

    Args:
      state: the one before.
      grads: averaged, clipped gradient of the parameters.
      slope: averaged gradient of ln h, where the state has one.
      axis: mesh axis that the state is sharded over.
    """
    params, whole = state.params, state.params
    if self.sharded and axis:
      grads, params = shards.own((grads, params), axis)
    updates, opt_state = self.tx.update(grads, state.opt_state, params)
    params = optax.apply_updates(params, updates)
    blend = 1 - ema_decay(state.step, self.decay)
    ema = optax.incremental_update(params, state.ema, blend)
    if self.sharded and axis:
      params = shards.gather(params, axis, like=whole)
    log_bandwidth = state.log_bandwidth
    if slope is not None:
      log_bandwidth = log_bandwidth - self.bandwidth_rate * slope
    return TrainState(state.step + 1, params, ema, opt_state, log_bandwidth)


def _mean_over_parts(
  gradient: Callable[..., Any], params: Any, batch: Any, parts: int
) -> Any:
  """Mean of `gradient(params, part)` over equal parts of a batch."""
  if parts == 1:
    return gradient(params, batch)
  stack = jax.tree.map(lambda x: x.reshape(parts, -1, *x.shape[1:]), batch)
  shapes = jax.eval_shape(gradient, params, jax.tree.map(lambda x: x[0], stack))
  zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)

  def body(total, part):
    return jax.tree.map(jnp.add, total, gradient(params, part)), None

  # Gradients of convolutions inside a loop are tens of times slower on a CPU.
  unroll = jax.default_backend() == 'cpu'
  total, _ = jax.lax.scan(body, zeros, stack, unroll=unroll)
  return jax.tree.map(lambda x: x / parts, total)


def _bandwidths(
  learned: Float[Array, ''] | None, batch: dict[str, Array]
) -> Array | None:
  """The bandwidth of each example: from its logarithm, or the batch's."""
  if learned is None:
    return batch.get('bandwidth')
  return jnp.broadcast_to(jnp.exp(learned), batch['index'].shape)


def _if_finite(
  figures: tuple[Array, Array], after: TrainState, before: TrainState
) -> TrainState:
  """The state after an update if both are, or that before it, one step on."""
  sound = jnp.isfinite(figures[0]) & jnp.isfinite(figures[1])
  kept = dataclasses.replace(before, step=before.step + 1)
  return jax.tree.map(lambda x, y: jnp.where(sound, x, y), after, kept)


def train_step(
  state: TrainState,
  batch: dict[str, Array],
  key: RandomKey,
  *,
  method: Method,
  update: Update,
  axis: str | None = None,
) -> tuple[TrainState, dict[str, Array]]:
  """Perturb, estimate the noise, compare, update (arXiv 2404.09735 sec. 3).

  Args:
    state: replicated, or sharded as `update.sharded` says.
    batch: this shard's 'low', 'clean' [B, H, W, 3] and 'index' [B], and maybe
      'bandwidth' [B], that of the spatial entropy instead of its spec's, and
      'exposure' [B], what a network that takes it is told; NaN is nothing.
    key: the run's key.
    method: network, diffusion and distances.
    update: what happens to the gradient.
    axis: mesh axis to average over; none on a single shard.

  Returns:
    The next state and scalars: 'loss', 'grad_norm', each term by name, and the
    'bandwidth' that is learned.
  """
  sde = method.sde
  key, loss_key = jax.random.split(jax.random.fold_in(key, state.step))

  def objective(learned, batch):
    params, log_bandwidth = learned
    losses = functools.partial(
      method.losses,
      loss_key,
      index=batch['index'],
      bandwidth=_bandwidths(log_bandwidth, batch),
      step=state.step,
    )
    calls = seen_states(key, batch, params=params, method=method)
    found = [
      weighted_sum(*seen.pair(method.objective, sde), losses(state=seen))
      for seen in calls
    ]
    loss, terms = jax.tree.map(lambda *each: sum(each) / len(each), *found)
    return jnp.mean(loss), jax.tree.map(jnp.mean, terms)

  gradient = jax.value_and_grad(objective, has_aux=True)
  learned = state.params, state.log_bandwidth
  (loss, terms), (grads, slope) = _mean_over_parts(
    gradient, learned, batch, update.accumulate
  )
  if axis is not None:
    loss, terms, grads, slope = jax.lax.pmean((loss, terms, grads, slope), axis)
  if slope is not None:
    terms = {**terms, 'bandwidth': jnp.exp(state.log_bandwidth)}

  norm = optax.tree.norm(grads)
  after = update.apply(state, clip(grads, norm, update.clip_norm), slope, axis)
  if update.skip_nonfinite:
    after = _if_finite((loss, norm), after, state)
  return after, {'loss': loss, 'grad_norm': norm, **terms}
