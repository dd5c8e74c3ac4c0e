"""The geometry: how planes are cut into flat tiles, and joined again.

Contract: sizes alone decide; cut tiles joined again are the planes.

Axes: P planes, T tiles of all planes, K windows, H and W pixels of a plane, n a
flat tile with its halo, m its flat outputs. The drawing: see the package.
"""

import dataclasses

from jax import lax
import jax.numpy as jnp
from jaxtyping import Array
from jaxtyping import Float
from jaxtyping import Int

from sel_jax.entropy.forms.tiles.boxes import Span

# Rows begin at a multiple of this many numbers, so that what lies one above the
# other is loaded alike.
_ALIGNED = 8


@dataclasses.dataclass(frozen=True)
class Grid:
  """How planes [H, W] are cut into `ny` x `nx` tiles.

  Attributes:
    shape: (H, W).
    ny: tiles along H.
    nx: tiles along W.
    height: outputs of a tile along H.
    width: outputs of a tile along W.
    halo: pixels on each side.
    bordered: whether zeros are all that lies beyond the planes.
  """

  shape: tuple[int, int]
  ny: int
  nx: int
  height: int
  width: int
  halo: int
  bordered: bool = True

  @classmethod
  def over(
    cls,
    shape: tuple[int, int],
    halo: int,
    side: int,
    *,
    bordered: bool = True,
  ) -> 'Grid':
    """The grid for planes of a shape.

    Args:
      shape: [H, W].
      halo: pixels on each side.
      side: most outputs of a tile along H and along W.
      bordered: whether zeros are all that lies beyond the planes.
    """
    ny, nx = (-(-length // side) for length in shape)
    height, width = -(-shape[0] // ny), -(-shape[1] // nx)
    return cls(shape, ny, nx, height, width, halo, bordered)

  @property
  def places(self) -> int:
    """Tiles of a plane."""
    return self.ny * self.nx

  @property
  def stride(self) -> int:
    """S, the distance of a tile's rows in memory.

    Where zeros are on both sides of a tile, those to the right of a row are
    those to the left of the next one.
    """
    shared = self.nx == 1 and self.bordered
    least = self.width + self.halo * (1 if shared else 2)
    return -(-least // _ALIGNED) * _ALIGNED

  @property
  def rows(self) -> int:
    """Rows of a tile: with its halo, and room to the right of the last."""
    short = self.stride < self.width + 2 * self.halo
    return self.height + 2 * self.halo + short

  @property
  def outputs(self) -> Span:
    """From the first output to the last one; S - width columns are not used."""
    start = self.halo * (self.stride + 1)
    return start, start + (self.height - 1) * self.stride + self.width

  def widened(self, planes: Float[Array, '... _ _']) -> Float[Array, '... _ _']:
    """Planes with a halo, with room for the last tiles."""
    bottom = (self.ny - 1) * self.height + self.rows - planes.shape[-2]
    right = (self.nx - 1) * self.width + self.stride - planes.shape[-1]
    margin = [(0, max(bottom, 0)), (0, max(right, 0))]
    return jnp.pad(planes, [(0, 0)] * (planes.ndim - 2) + margin)

  def tile(
    self,
    planes: Float[Array, 'P *F _ _'],
    plane: Int[Array, ''],
    place: Int[Array, ''],
  ) -> Float[Array, '*F n']:
    """One flat tile of widened planes, with its halo.

    Args:
      planes: see `widened`.
      plane: which.
      place: which of its tiles, row by row.
    """
    y, x = place // self.nx * self.height, place % self.nx * self.width
    between = (jnp.zeros_like(y),) * (planes.ndim - 3)
    size = (1, *planes.shape[1:-2], self.rows, self.stride)
    found = lax.dynamic_slice(planes, (plane, *between, y, x), size)
    return found.reshape(*size[1:-2], self.rows * self.stride)

  def join(self, tiles: Float[Array, 'T *F m']) -> Float[Array, 'P *F H W']:
    """Planes from the tiles' flat outputs."""
    count, *features, length = tiles.shape
    tiles = tiles.reshape(count, -1, length)
    room = self.height * self.stride - length
    tiles = jnp.pad(tiles, ((0, 0), (0, 0), (0, room)))
    cells = (self.ny, self.nx, tiles.shape[1], self.height, self.stride)
    x = tiles.reshape(-1, *cells)[..., : self.width].transpose(0, 3, 1, 4, 2, 5)
    whole = (self.ny * self.height, self.nx * self.width)
    x = x.reshape(-1, *features, *whole)
    return x[..., : self.shape[0], : self.shape[1]]
