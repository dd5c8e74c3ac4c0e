"""The fence between two loops: what stands behind it is computed once.

Contract: the values are those of the function; where they are computed changes.
XLA for CPUs drops `lax.optimization_barrier` before it fuses. A box sum of
products would then be one loop that multiplies anew for each neighbour that it
reads, 25 times for a window of 5x5. A branch is a boundary that fusion
respects, as long as the compiler cannot tell which way it goes.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Array
from jaxtyping import Bool


def apart(
  always: Bool[Array, ''], function: Callable[..., Any], *operands: Any
) -> Any:
  """Computes `function(*operands)` into memory of its own.

  Args:
    always: true, but not known to be before the program runs.
    function: takes arrays, gives a pytree of arrays.
    *operands: pytrees of arrays.

  Returns:
    What the function returns.
  """
  function = jax.jit(function, inline=True)  # traced once, for its shapes too
  shapes = jax.eval_shape(function, *operands)

  def never(*_):
    return jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)

  return lax.cond(always, function, never, *operands)
