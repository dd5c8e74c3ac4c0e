"""Optimizers and learning-rate schedules by name.

Contract: pure functions from an `OptimSpec` and the number of updates to optax
objects; adding one is adding a row, whose fields are its keys.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from sel_jax import fields
from sel_jax.fields import key


@fields.spec
class Cosine:
  """Half a cosine from the peak to `final_lr`."""

  final_lr: float = key(
    'learning rate where the cosine ends', default=1e-6, ge=0, le=1_000_000
  )

  def schedule(self, lr: float, updates: int) -> optax.Schedule:
    """Learning rate of each of `updates` updates."""
    length = max(updates, 1)
    return optax.cosine_decay_schedule(lr, length, self.final_lr / lr)


@fields.spec
class Multistep:
  """A factor at each milestone."""

  milestones: tuple[int, ...] = key(
    'updates at which multistep multiplies by gamma',
    default=(200_000, 400_000),
    ge=1,
  )
  gamma: float = key(
    'factor at each of the milestones', default=0.5, gt=0, le=10
  )

  def schedule(self, lr: float, updates: int) -> optax.Schedule:
    """Learning rate of each update."""
    del updates
    drops = {step: self.gamma for step in self.milestones}
    return optax.piecewise_constant_schedule(lr, drops)


@fields.spec
class Constant:
  """The peak all along."""

  def schedule(self, lr: float, updates: int) -> optax.Schedule:
    """Learning rate of each update."""
    del updates
    return optax.constant_schedule(lr)


LR_SCHEDULES: dict[str, type] = {
  'cosine': Cosine,
  'multistep': Multistep,
  'constant': Constant,
}


@fields.spec
class Adam:
  """Adam (arXiv 1412.6980)."""

  b1: float = key("the first moment's decay", default=0.9, ge=0, lt=1)
  b2: float = key("the second moment's decay", default=0.99, ge=0, lt=1)

  def create(self, rate: optax.Schedule) -> optax.GradientTransformation:
    """The optimizer at a learning rate."""
    return optax.adam(rate, b1=self.b1, b2=self.b2)


@fields.spec
class AdamW(Adam):
  """Adam with decoupled weight decay (arXiv 1711.05101)."""

  weight_decay: float = key('decoupled weight decay', default=0.0, ge=0, le=10)

  def create(self, rate: optax.Schedule) -> optax.GradientTransformation:
    """The optimizer at a learning rate."""
    return optax.adamw(
      rate, b1=self.b1, b2=self.b2, weight_decay=self.weight_decay
    )


@fields.spec
class Lion(AdamW):
  """Lion (arXiv 2302.06675)."""

  def create(self, rate: optax.Schedule) -> optax.GradientTransformation:
    """The optimizer at a learning rate."""
    return optax.lion(
      rate, b1=self.b1, b2=self.b2, weight_decay=self.weight_decay
    )


OPTIMIZERS: dict[str, type] = {'adamw': AdamW, 'adam': Adam, 'lion': Lion}


@fields.spec
class OptimSpec:
  """Section `optim`: the optimizer and its learning rate."""

  name: str = key('the optimizer', default='adamw', choices=OPTIMIZERS)
  lr: float = key('peak learning rate', default=1e-4, gt=0, le=1_000_000)
  schedule: str = key(
    'the learning rate over time', default='cosine', choices=LR_SCHEDULES
  )
  warmup: int = key('updates of linear growth from zero', default=0, ge=0)
  clip_norm: float = key(
    'largest global norm of the gradient; 0 is off',
    default=1.0,
    ge=0,
    le=1_000_000,
  )
  ema_decay: float = key(
    "decay of the parameters' moving average", default=0.9995, ge=0, lt=1
  )
  optimizer: Any = fields.row('name', OPTIMIZERS, default='adamw')
  course: Any = fields.row('schedule', LR_SCHEDULES, default='cosine')


def learning_rate(spec: OptimSpec, updates: int) -> optax.Schedule:
  """Learning rate of each update: warm-up, then the named schedule.

  Milestones and the cosine count from the end of the warm-up.

  Args:
    spec: the optimizer's section.
    updates: length of the run.
  """
  schedule = spec.course.schedule(spec.lr, updates - spec.warmup)
  if not spec.warmup:
    return schedule
  rise = optax.linear_schedule(0.0, spec.lr, spec.warmup)
  return optax.join_schedules([rise, schedule], [spec.warmup])


def build_optimizer(
  spec: OptimSpec, updates: int
) -> optax.GradientTransformation:
  """The optimizer that the section names; it works element by element.

  Clipping by the global norm does not and is the step's own, so that a device
  may update a part of the parameters.

  Args:
    spec: the optimizer's section.
    updates: length of the run.
  """
  return spec.optimizer.create(learning_rate(spec, updates))


def clip(grads: Any, norm: jax.Array, limit: float) -> Any:
  """Gradients of global norm `norm` scaled down to `limit`; 0 is off."""
  if not limit:
    return grads
  scale = limit / jnp.maximum(norm, limit)
  return jax.tree.map(lambda g: g * scale, grads)
