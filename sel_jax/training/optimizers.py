"""Optimizers and learning-rate schedules by name.

Contract: pure functions from an `OptimSpec` and the number of steps to optax
objects; adding one is adding a row.
"""

import jax
import jax.numpy as jnp
import optax

from sel_jax.settings import OptimSpec


def _multistep(spec: OptimSpec, steps: int) -> optax.Schedule:
  del steps
  drops = {step: spec.gamma for step in spec.milestones}
  return optax.piecewise_constant_schedule(spec.lr, drops)


def _cosine(spec: OptimSpec, steps: int) -> optax.Schedule:
  length = max(steps - spec.warmup, 1)
  return optax.cosine_decay_schedule(spec.lr, length, spec.final_lr / spec.lr)


def _constant(spec: OptimSpec, steps: int) -> optax.Schedule:
  del steps
  return optax.constant_schedule(spec.lr)


_SCHEDULES = {
  'cosine': _cosine,
  'multistep': _multistep,
  'constant': _constant,
}


def learning_rate(spec: OptimSpec, steps: int) -> optax.Schedule:
  """Learning rate of each step: warm-up, then the named schedule.

  Milestones and the cosine count from the end of the warm-up.

  Args:
    spec: the optimizer's section.
    steps: length of the run.
  """
  schedule = _SCHEDULES[spec.schedule](spec, steps)
  if not spec.warmup:
    return schedule
  rise = optax.linear_schedule(0.0, spec.lr, spec.warmup)
  return optax.join_schedules([rise, schedule], [spec.warmup])


def build_optimizer(
  spec: OptimSpec, steps: int
) -> optax.GradientTransformation:
  """AdamW, Adam or Lion: every one of them works element by element.

  Clipping by the global norm does not and is the step's own, so that a device
  may update a part of the parameters.

  Args:
    spec: the optimizer's section.
    steps: length of the run.
  """
  rate = learning_rate(spec, steps)
  if spec.name == 'adam':
    return optax.adam(rate, b1=spec.b1, b2=spec.b2)
  make = {'adamw': optax.adamw, 'lion': optax.lion}[spec.name]
  return make(rate, b1=spec.b1, b2=spec.b2, weight_decay=spec.weight_decay)


def clip(grads, norm: jax.Array, limit: float):
  """Gradients of global norm `norm` scaled down to `limit`; 0 is off."""
  if not limit:
    return grads
  scale = limit / jnp.maximum(norm, limit)
  return jax.tree.map(lambda g: g * scale, grads)
