"""Which bin pairs hold mass, and the loop over them.

Contract: a pair that is left out holds less than a rounding of the mass of a
tile; NaN is never left out.

Axes: L bins, i or j, n a flat tile with its halo. The drawing: see the package.
"""

from collections.abc import Callable
from typing import NamedTuple
from typing import TypeVar

from jax import lax
import jax.numpy as jnp
from jaxtyping import Array
from jaxtyping import Bool
from jaxtyping import Int

from sel_jax.entropy.forms.tiles.masses import Factors

Carry = TypeVar('Carry')

# Bin pairs that hold less of a tile's mass than one pixel's times this many
# roundings are skipped.
_NEGLIGIBLE = 10.0


class Intervals(NamedTuple):
  """Per row of bins i, the interval [low, high) of bins j that hold mass."""

  low: Int[Array, ' L']
  high: Int[Array, ' L']

  @property
  def always(self) -> Bool[Array, '']:
    """True, which the compiler does not know; see `fence`."""
    return self.high[0] >= 0

  def over_columns(
    self,
    i: Int[Array, ''],
    body: Callable[[Int[Array, ''], Carry], Carry],
    carry: Carry,
  ) -> Carry:
    """What `body(j, carry)` makes of a carry, over the interval of row i."""

    def step(state):
      j, carry = state
      carry = body(j, carry)
      return j + 1, carry

    start = (self.low[i], carry)
    return lax.while_loop(lambda s: s[0] < self.high[i], step, start)[1]


def reached(factors: tuple[Factors, ...]) -> Intervals:
  """The bin pairs that hold mass of any image.

  The mass of every pair over the whole tile is one matrix product.
  """
  masses = [
    jnp.einsum('in,jn->ij', a, b, precision='highest') for a, b in factors
  ]
  mass = sum(masses[1:], masses[0])
  levels, pixels = factors[0][0].shape
  limit = _NEGLIGIBLE * jnp.finfo(mass.dtype).eps / pixels * jnp.sum(mass)
  held = jnp.logical_not(mass <= limit)  # NaN is held, not skipped
  low = jnp.argmax(held, axis=1)
  high = levels - jnp.argmax(held[:, ::-1], axis=1)
  return Intervals(low, jnp.where(jnp.any(held, axis=1), high, low))
