"""Box means of one bin pair's planes in a flat tile, and their transpose.

Contract: pure functions of flat planes; the transpose is exact. A box sum is a
sum over columns of sums over rows, each of them shifts of one flat plane or of
its `partial_sums`. Every plane that several shifts read is formed once, behind
a fence.

Axes: K windows, n a flat tile with its halo, m its flat outputs, t those with
the margin of zeros that the transpose reads.
"""

from collections.abc import Sequence
import functools
import itertools

import jax
import jax.numpy as jnp
from jaxtyping import Array
from jaxtyping import Bool
from jaxtyping import Float

from sel_jax.entropy.forms.partial_sums import lengths
from sel_jax.entropy.forms.partial_sums import Parts
from sel_jax.entropy.forms.partial_sums import tripled
from sel_jax.entropy.forms.partial_sums import window_sum
from sel_jax.entropy.forms.tiles.fence import apart
from sel_jax.entropy.forms.tiles.grid import Grid


def _partial_sums(
  always: Bool[Array, ''],
  planes: Sequence[Float[Array, ' from']],
  windows: Sequence[int],
  step: int,
) -> list[Parts]:
  """What each plane's window is made of, one fence for each length."""
  parts: list[Parts] = [{1: x} for x in planes]
  for length, longer in itertools.pairwise(lengths(max(windows))):
    chosen = [
      known
      for known, window in zip(parts, windows, strict=True)
      if longer in lengths(window)
    ]
    triple = functools.partial(tripled, length=length, step=step)
    sums = apart(
      always,
      functools.partial(jax.tree.map, triple),
      [known[length] for known in chosen],
    )
    for known, x in zip(chosen, sums, strict=True):
      known[longer] = x
  return parts


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
  reach, stride = grid.reach, grid.stride
  strip = grid.outputs + 2 * reach
  widest = max(windows)

  def products(rows, columns):
    return [a * b for a, b in zip(rows, columns, strict=True)]

  def vertical(images):
    return [
      [window_sum(x, w, reach=reach, size=strip, step=stride) for w in windows]
      for x in images
    ]

  def narrow(rows, columns):
    return vertical([{1: x} for x in products(rows, columns)])

  if len(lengths(widest)) == 1:
    sums = apart(always, narrow, rows, columns)
  else:
    planes = apart(always, products, rows, columns)
    # The widest window's partial sums serve the others.
    parts = _partial_sums(always, planes, [widest] * len(planes), stride)
    sums = apart(always, vertical, parts)
  return [
    [
      window_sum(x, w, reach=reach, size=grid.outputs) * scale
      for x, w, scale in zip(
        _partial_sums(always, image, windows, 1), windows, scales, strict=True
      )
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
  margin = 2 * reach * stride

  def horizontal(parts):
    return [
      jnp.pad(window_sum(x, w, reach=reach, size=strip), margin)
      for x, w in zip(parts, windows, strict=True)
    ]

  parts = _partial_sums(always, slopes, windows, 1)
  across = apart(always, horizontal, parts)
  parts = _partial_sums(always, across, windows, stride)
  sums = [
    window_sum(x, w, reach=reach, size=strip + margin, step=stride)
    for x, w in zip(parts, windows, strict=True)
  ]
  return sum(sums[1:], sums[0])
