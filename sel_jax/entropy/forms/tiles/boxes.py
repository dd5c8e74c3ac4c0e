"""Box means of one bin pair's planes in a flat tile, and their transpose.

Contract: pure functions of flat planes; the transpose is exact. A box sum is a
sum over columns of sums over rows, each of them shifts of one flat plane. Every
plane that several shifts read is formed once, behind a fence.

Axes: K windows, n a flat tile with its halo, m its flat outputs, t those with
the margin of zeros that the transpose reads.
"""

from collections.abc import Sequence

from jax import lax
import jax.numpy as jnp
from jaxtyping import Array
from jaxtyping import Bool
from jaxtyping import Float

from sel_jax.entropy.forms.tiles.fence import apart
from sel_jax.entropy.forms.tiles.grid import Grid


def _shifted_sum(
  x: Float[Array, ' from'], half: int, step: int, length: int, reach: int
) -> Float[Array, ' length']:
  """sum_{|d| <= half} x[k + (reach + d) * step] for k < length."""
  parts = [
    lax.slice_in_dim(x, (reach + d) * step, (reach + d) * step + length)
    for d in range(-half, half + 1)
  ]
  return sum(parts[1:], parts[0])


def box_means(
  always: Bool[Array, ''],
  windows: tuple[int, ...],
  grid: Grid,
  rows: Sequence[Float[Array, ' n']],
  columns: Sequence[Float[Array, ' n']],
  scales: Float[Array, 'K m'],
) -> list[list[Float[Array, ' m']]]:
  """The densities p_W(i, j) of one bin pair.

  Args:
    always: see `fence`.
    windows: odd sizes.
    grid: the tile's sizes.
    rows: a_i of each image.
    columns: b_j of each image.
    scales: 1/|W|.

  Returns:
    [image][window].
  """
  strip = grid.outputs + 2 * grid.reach

  def vertical(rows, columns):
    return [
      [
        _shifted_sum(a * b, w // 2, grid.stride, strip, grid.reach)
        for w in windows
      ]
      for a, b in zip(rows, columns, strict=True)
    ]

  sums = apart(always, vertical, rows, columns)
  return [
    [
      _shifted_sum(x, w // 2, 1, grid.outputs, grid.reach) * scale
      for x, w, scale in zip(image, windows, scales, strict=True)
    ]
    for image in sums
  ]


def with_margin(slopes: Float[Array, ' m'], grid: Grid) -> Float[Array, ' t']:
  """Flat outputs with the zeros beyond them that `spread` reads."""
  return jnp.pad(slopes, 2 * grid.reach)


def spread(
  always: Bool[Array, ''],
  windows: tuple[int, ...],
  grid: Grid,
  slopes: Sequence[Float[Array, ' t']],
) -> Float[Array, ' n']:
  """Transpose of the box sums: each output's slope to all that it is made of.

  Args:
    always: see `fence`.
    windows: odd sizes.
    grid: the tile's sizes.
    slopes: each window's output slopes, see `with_margin`.

  Returns:
    Their sum over the windows.
  """
  reach, stride = grid.reach, grid.stride
  strip = grid.outputs + 2 * reach

  def horizontal(slopes):
    return [
      jnp.pad(_shifted_sum(x, w // 2, 1, strip, reach), 2 * reach * stride)
      for x, w in zip(slopes, windows, strict=True)
    ]

  sums = [
    _shifted_sum(x, w // 2, stride, strip + 2 * reach * stride, reach)
    for x, w in zip(apart(always, horizontal, slopes), windows, strict=True)
  ]
  return sum(sums[1:], sums[0])
