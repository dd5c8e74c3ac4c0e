"""What a training run carries from step to step.

Contract: a pytree of arrays only; everything needed to go on exactly.
"""

from typing import Any

from flax import linen as nn
from flax import struct
import jax
import jax.numpy as jnp
import optax

from sel_jax.models import param_shapes


@struct.dataclass
class TrainState:
  """State of a run after `step` updates.

  Attributes:
    step: updates done, scalar int32; shapes or flags in trees made like this
      one.
    params: float32 parameters.
    ema: their exponential moving average, what is evaluated and shipped.
    opt_state: the optimizer's.
    log_bandwidth: ln of the spatial entropy's bandwidth where it is learned.
  """

  step: Any
  params: Any
  ema: Any
  opt_state: Any
  log_bandwidth: Any = None

  @classmethod
  def create(
    cls,
    params: Any,
    tx: optax.GradientTransformation,
    *,
    bandwidth: float | None = None,
  ) -> 'TrainState':
    """State before the first step.

    Args:
      params: copied for the average.
      tx: the optimizer.
      bandwidth: the spatial entropy's, in bins, where it is learned.
    """
    params = jax.tree.map(jnp.asarray, params)
    return cls(
      step=jnp.zeros((), jnp.int32),
      params=params,
      ema=jax.tree.map(jnp.copy, params),
      opt_state=tx.init(params),
      log_bandwidth=None if bandwidth is None else jnp.log(bandwidth),
    )

  @classmethod
  def shapes(
    cls,
    model: nn.Module,
    tx: optax.GradientTransformation,
    *,
    bandwidth: float | None = None,
  ) -> 'TrainState':
    """Shapes and types of a network's state; nothing is computed."""
    create = lambda params: cls.create(params, tx, bandwidth=bandwidth)
    return jax.eval_shape(create, param_shapes(model))
