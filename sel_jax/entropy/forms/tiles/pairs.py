"""The bin pairs of a tile that hold mass.

Contract: what is left out is below the rounding of a pixel's mass.

Axes: L bins and the empty one, N images, n a flat tile with its halo, M pairs
with room.
"""

import functools
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array
from jaxtyping import Bool
from jaxtyping import Float
from jaxtyping import Int

# Pairs whose mass, over the whole tile, is below this many roundings of one
# pixel's mass are not visited.
_NEGLIGIBLE = 10.0


class Pairs(NamedTuple):
  """A list of bin pairs, the empty pair (L, L) in the room behind it.

  Attributes:
    first: bin i of each.
    second: bin j of each.
    count: how many there are.
  """

  first: Int[Array, ' M']
  second: Int[Array, ' M']
  count: Int[Array, '']

  @property
  def always(self) -> Bool[Array, '']:
    """True, which the compiler does not know; see `fence`."""
    return self.count >= 0


def held_pairs(
  first: Float[Array, 'L N n'], second: Float[Array, 'L N n'], room: int
) -> Pairs:
  """The pairs that hold mass of any image, by rows.

  The mass of every pair over the whole tile, of the greater factor of all
  images, is one matrix product; it is no less than that of any image.

  Args:
    first: a_i of each image.
    second: b_j of each image.
    room: the list's length is a multiple of it.
  """
  levels, pixels = len(first) - 1, first.shape[-1]
  greater = lambda x: functools.reduce(
    jnp.maximum, [x[:levels, k : k + 1] for k in range(x.shape[1])]
  )
  mass = jnp.tensordot(
    greater(first), greater(second), axes=((1, 2), (1, 2)), precision='highest'
  )
  limit = _NEGLIGIBLE * jnp.finfo(mass.dtype).eps / pixels * jnp.sum(mass)
  held = jnp.logical_not(mass <= limit)  # NaN is held, not skipped
  size = -(-(levels**2) // room) * room
  i, j = jnp.nonzero(held, size=size, fill_value=levels)
  return Pairs(i, j, jnp.sum(held))
