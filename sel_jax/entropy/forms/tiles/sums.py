"""The sum over the bin pairs of one tile, and its gradient.

Contract: no plane outlives its bin pair. The backward pass forms the planes
again, for the images whose gradient is wanted alone.

Axes: K windows, L bins, i or j, n a flat tile with its halo, m its flat
outputs.
"""

from collections.abc import Callable
from collections.abc import Sequence
import functools
from typing import Any

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Array
from jaxtyping import Float
from jaxtyping import Int

from sel_jax.entropy.forms.tiles.boxes import box_means
from sel_jax.entropy.forms.tiles.boxes import spread
from sel_jax.entropy.forms.tiles.boxes import with_margin
from sel_jax.entropy.forms.tiles.fence import apart
from sel_jax.entropy.forms.tiles.grid import Grid
from sel_jax.entropy.forms.tiles.intervals import reached
from sel_jax.entropy.forms.tiles.masses import Factors
from sel_jax.entropy.forms.wanted import values
from sel_jax.entropy.forms.wanted import Wanted

Residuals = tuple[tuple[Factors, ...], Float[Array, 'K m'], Wanted]


def _row(
  factors: tuple[Factors, ...], i: Int[Array, '']
) -> list[Float[Array, ' n']]:
  """a_i of each image."""
  return [a[i] for a, _ in factors]


def _column(
  factors: tuple[Factors, ...], j: Int[Array, '']
) -> list[Float[Array, ' n']]:
  """b_j of each image."""
  return [lax.dynamic_index_in_dim(b, j, 0, keepdims=False) for _, b in factors]


def _put(
  rows: Float[Array, 'L n'], row: Float[Array, ' n'], index: Int[Array, '']
) -> Float[Array, 'L n']:
  return lax.dynamic_update_index_in_dim(rows, row, index, 0)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def tile_sums(
  term: Callable[..., Array],
  windows: tuple[int, ...],
  grid: Grid,
  factors: tuple[Factors, ...],
  scales: Float[Array, 'K m'],
) -> Float[Array, 'K m']:
  """sum_{ij} term(p_W(i, j), ...) of one tile.

  Args:
    term: densities of each image -> summand, elementwise; hashable.
    windows: odd sizes.
    grid: the tile's sizes.
    factors: (a, b) of each image.
    scales: 1/|W|; not differentiated.

  Returns:
    Totals of every window.
  """
  intervals = reached(factors)
  always = intervals.always

  def row(i, totals):
    rows = _row(factors, i)

    def cell(j, totals):
      columns = _column(factors, j)
      found = box_means(always, windows, grid, rows, columns, scales)
      terms = [term(*p) for p in zip(*found, strict=True)]
      return [t + x for t, x in zip(totals, terms, strict=True)]

    return intervals.over_columns(i, cell, totals)

  zero = [jnp.zeros_like(scales[0]) for _ in windows]
  return jnp.stack(lax.fori_loop(0, intervals.low.size, row, zero))


def _forward(
  term: Callable[..., Array],
  windows: tuple[int, ...],
  grid: Grid,
  factors: Any,
  scales: Any,
) -> tuple[Float[Array, 'K m'], Residuals]:
  """The sum, and what the backward rule needs; see `wanted` on operands."""
  wanted = Wanted.among(factors)
  factors, scales = values((factors, scales))
  totals = tile_sums(term, windows, grid, factors, scales)
  return totals, (factors, scales, wanted)


def _slopes(
  term: Callable[..., Array],
  wanted: Wanted,
  densities: Sequence[Sequence[Float[Array, ' m']]],
  cotangents: Float[Array, 'K m'],
) -> list[tuple[Float[Array, ' m'], ...]]:
  """Cotangents of each wanted image's densities: [wanted][window]."""
  pulled = []
  for p, g in zip(zip(*densities, strict=True), cotangents, strict=True):
    _, pull = wanted.vjp(lambda images: term(*images), p)
    pulled += pull(g)
  return list(zip(*pulled, strict=True))


def _backward(
  term: Callable[..., Array],
  windows: tuple[int, ...],
  grid: Grid,
  residuals: Residuals,
  cotangents: Float[Array, 'K m'],
) -> tuple[tuple[Factors, ...], Float[Array, 'K m']]:
  """Forms the planes again and pulls the cotangents through each."""
  factors, scales, wanted = residuals
  intervals = reached(factors)
  always = intervals.always
  # The unused columns take part in the shifts: nothing may come from them.
  weights = jnp.where(grid.used()[None], cotangents * scales, 0)

  def row(i, gradients):
    by_a, by_b = gradients
    rows = _row(factors, i)

    def cell(j, carry):
      by_row, by_b = carry
      columns = _column(factors, j)
      found = box_means(always, windows, grid, rows, columns, scales)

      def slopes(found):
        pulled = _slopes(term, wanted, found, weights)
        return jax.tree.map(lambda x: with_margin(x, grid), pulled)

      back = [
        spread(always, windows, grid, image)
        for image in apart(always, slopes, found)
      ]
      images = list(zip(wanted.images, back, strict=True))
      by_row = [g + x * columns[k] for g, (k, x) in zip(by_row, images)]
      by_b = [_put(g, g[j] + x * rows[k], j) for g, (k, x) in zip(by_b, images)]
      return by_row, by_b

    zero = [jnp.zeros_like(x) for x in wanted.pick(rows)]
    by_row, by_b = intervals.over_columns(i, cell, (zero, by_b))
    return [_put(g, x, i) for g, x in zip(by_a, by_row)], by_b

  zeros = [
    [jnp.zeros_like(pair[n]) for pair in wanted.pick(factors)] for n in (0, 1)
  ]
  gradients = lax.fori_loop(0, intervals.low.size, row, tuple(zeros))
  pairs = list(zip(*gradients, strict=True))
  return wanted.complete(pairs, factors), jnp.zeros_like(scales)


tile_sums.defvjp(_forward, _backward, symbolic_zeros=True)
