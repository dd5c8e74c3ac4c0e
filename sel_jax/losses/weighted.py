"""A sum of weighted losses.

Contract: a loss maps (pred, target), both [B, H, W, C], to [B].
"""

from collections.abc import Callable
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Float

from sel_jax.arrays import Array
from sel_jax.arrays import Images

Loss = Callable[[Images, Images], Float[Array, ' B']]


def weighted_sum(
  pred: Images,
  target: Images,
  losses: Mapping[str, tuple[float, Loss]],
) -> tuple[Float[Array, ' B'], dict[str, Float[Array, ' B']]]:
  """Sum of weighted losses and its terms.

  Args:
    pred: prediction.
    target: shape of `pred`.
    losses: name -> (weight, loss).

  Returns:
    The weighted sum, and each loss before its weight, by name.

  Raises:
    ValueError: if there is no loss.
  """
  if not losses:
    raise ValueError('no loss to train on: give at least one weight > 0')
  terms = {name: d(pred, target) for name, (_, d) in losses.items()}
  weighted = [losses[name][0] * value for name, value in terms.items()]
  return jax.tree.reduce(jnp.add, weighted), terms
