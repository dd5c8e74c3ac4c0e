"""The geometry: how planes are cut into flat tiles, and joined again.

Contract: sizes alone decide; cut tiles joined again are the planes.

Axes: P planes, T tiles of all planes, K windows, H and W pixels of a plane, n a
flat tile with its halo, m its flat outputs. The drawing: see the package.
"""

import dataclasses

from jax import lax
import jax.numpy as jnp
from jaxtyping import Array
from jaxtyping import Bool
from jaxtyping import Float


@dataclasses.dataclass(frozen=True)
class Grid:
  """How planes [H, W] are cut into `ny` x `nx` tiles.

  Attributes:
    ny: tiles along H.
    nx: tiles along W.
    height: outputs of a tile along H.
    width: outputs of a tile along W.
    reach: pixels of halo on each side.
    bordered: whether zeros are all that lies beyond the planes.
  """

  ny: int
  nx: int
  height: int
  width: int
  reach: int
  bordered: bool = True

  @classmethod
  def over(
    cls,
    shape: tuple[int, int],
    reach: int,
    side: int,
    *,
    bordered: bool = True,
  ) -> 'Grid':
    """The grid for planes of a shape.

    Args:
      shape: [H, W].
      reach: pixels of halo on each side.
      side: most outputs of a tile along H and along W.
      bordered: whether zeros are all that lies beyond the planes.
    """
    ny, nx = (-(-length // side) for length in shape)
    height, width = -(-shape[0] // ny), -(-shape[1] // nx)
    return cls(ny, nx, height, width, reach, bordered)

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
    return self.width + self.reach * (
      1 if self.nx == 1 and self.bordered else 2
    )

  @property
  def outputs(self) -> int:
    """m, length of a flat output plane; S - width columns are not used."""
    return self.height * self.stride

  def used(self) -> Bool[Array, ' m']:
    """Which of the flat outputs are pixels of the tile."""
    return jnp.arange(self.outputs) % self.stride < self.width

  def cut(self, planes: Float[Array, 'P _ _']) -> Float[Array, 'T n']:
    """Flat tiles with their halo.

    Args:
      planes: with `reach` pixels of what lies beyond them on every side.
    """
    r = self.reach
    bottom = self.ny * self.height + 2 * r - planes.shape[1]
    right = self.nx * self.width + 2 * r - planes.shape[2]
    wide = jnp.pad(planes, ((0, 0), (0, bottom), (0, right)))
    rows = jnp.arange(self.ny)[:, None] * self.height
    rows = rows + jnp.arange(self.height + 2 * r)[None]
    columns = jnp.arange(self.nx)[:, None] * self.width
    columns = columns + jnp.arange(self.stride)[None]
    tiles = wide[:, rows[:, None, :, None], columns[None, :, None, :]]
    count = planes.shape[0] * self.places
    tiles = tiles.reshape(count, (self.height + 2 * r) * self.stride)
    # Room for the last row's shifts to the right.
    return jnp.pad(tiles, ((0, 0), (0, 2 * r)))

  def centre(self, tiles: Float[Array, '... n']) -> Float[Array, '... m']:
    """Flat tiles without their halo, the rows as far apart as before."""
    start = self.reach * (self.stride + 1)
    return lax.slice_in_dim(tiles, start, start + self.outputs, axis=-1)

  def join(
    self, tiles: Float[Array, 'T K m'], shape: tuple[int, int]
  ) -> Float[Array, 'K P H W']:
    """Planes of a shape [H, W] from the tiles' flat outputs."""
    cells = (self.ny, self.nx, tiles.shape[1], self.height, self.stride)
    x = tiles.reshape(-1, *cells)[..., : self.width]
    x = x.transpose(3, 0, 1, 4, 2, 5)
    whole = (self.ny * self.height, self.nx * self.width)
    return x.reshape(*x.shape[:2], *whole)[:, :, : shape[0], : shape[1]]
