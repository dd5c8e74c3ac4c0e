"""Sums over bins, rows of whole bin planes at a time: for accelerators.

Contract: samples are planes [B, C, H, W] in bin units. The two factors of a
separable density are [L, B, C, H, W] masses; bin planes are formed in chunks,
forward and again backward, so memory is linear in pixels and in L. Value and
gradient equal `density` + `divergences`.

Axes: B images, C channels, H and W pixels, K windows, L bins, J bins of a
chunk, N chunks.
"""

from collections.abc import Callable
from collections.abc import Sequence
import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array
from jaxtyping import Float

from sel_jax.entropy import density
from sel_jax.entropy import neighborhood
from sel_jax.entropy.density import DensitySpec
from sel_jax.entropy.density import Planes
from sel_jax.entropy.divergences import Summand
from sel_jax.entropy.forms.partial_sums import lengths
from sel_jax.entropy.forms.partial_sums import tripled
from sel_jax.entropy.forms.partial_sums import window_sum
from sel_jax.entropy.forms.wanted import values
from sel_jax.entropy.forms.wanted import Wanted
from sel_jax.entropy.sampling import Part

Scales = tuple[Float[Array, '1 1 1 H W'], ...]  # 1/|W| of each window
Masses = tuple[Float[Array, 'L B C H W'], ...]  # of each image, for one axis
Residuals = tuple[Masses, Masses, Wanted]

# Elements of one chunk of bin planes.
_CHUNK = 2**25


def _line_sums(
  planes: Float[Array, '... H W'], windows: tuple[int, ...], axis: int
) -> list[Float[Array, '... H W']]:
  """Sums over each window along one axis, zeros beyond the border."""
  reach = max(windows) // 2
  margin = [(0, 0)] * planes.ndim
  margin[axis] = (reach, reach)
  parts = {1: jnp.pad(planes, margin)}
  for length, longer in itertools.pairwise(lengths(max(windows))):
    parts[longer] = tripled(parts[length], length, axis=axis)
  size = planes.shape[axis]
  return [
    window_sum(parts, w, reach=reach, size=size, axis=axis) for w in windows
  ]


def box_sums(
  planes: Float[Array, '... H W'], windows: tuple[int, ...]
) -> tuple[Float[Array, '... H W'], ...]:
  """Sums over each square window, zeros beyond the border."""
  rows = _line_sums(planes, windows, -1)
  return tuple(
    _line_sums(row, (window,), -2)[0]
    for row, window in zip(rows, windows, strict=True)
  )


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _box_means(
  planes: Float[Array, 'J B C H W'],
  windows: tuple[int, ...],
  scales: Scales,
) -> tuple[Float[Array, 'J B C H W'], ...]:
  return tuple(
    total * scale
    for total, scale in zip(box_sums(planes, windows), scales, strict=True)
  )


def _box_means_forward(
  planes: Float[Array, 'J B C H W'],
  windows: tuple[int, ...],
  scales: Scales,
) -> tuple[tuple[Float[Array, 'J B C H W'], ...], Scales]:
  return _box_means(planes, windows, scales), scales


def _box_means_backward(
  windows: tuple[int, ...],
  scales: Scales,
  cotangents: tuple[Float[Array, 'J B C H W'], ...],
) -> tuple[Float[Array, 'J B C H W'], Scales]:
  # A box sum is its own transpose.
  pulled = [
    box_sums(g * scale, (window,))[0]
    for g, scale, window in zip(cotangents, scales, windows, strict=True)
  ]
  return sum(pulled[1:], pulled[0]), tuple(map(jnp.zeros_like, scales))


_box_means.defvjp(_box_means_forward, _box_means_backward)


def _chunk(levels: int, plane: int) -> int:
  """Largest divisor of L whose planes stay within the budget."""
  fits = [
    d for d in range(1, levels + 1) if levels % d == 0 and d * plane <= _CHUNK
  ]
  return max(fits, default=1)


def _scales(
  shape: tuple[int, ...], windows: tuple[int, ...], border: str, dtype: Any
) -> Scales:
  """1/|W| of each window, broadcastable against chunks of planes."""
  scales = neighborhood.window_scales(shape, windows, border, dtype)
  return tuple(scale[None, None, None] for scale in scales)


def _plane_terms(
  term: Callable[..., Array],
  windows: tuple[int, ...],
  scales: Scales,
  rows: Sequence[Float[Array, 'B C H W']],
  columns: Sequence[Float[Array, 'J B C H W']],
) -> Float[Array, 'K B C H W']:
  """Terms of one row of bins i and a chunk of columns j, summed over j.

  Args:
    term: densities of each image -> summand.
    windows: sizes.
    scales: 1/|W| of each.
    rows: a_i of each image.
    columns: b_j of each image.

  Returns:
    The chunk's share of every window's total.
  """
  densities = [
    _box_means(a[None] * b, windows, scales)
    for a, b in zip(rows, columns, strict=True)
  ]
  per_window = zip(*densities, strict=True)
  return jnp.stack([jnp.sum(term(*p), axis=0) for p in per_window])


def _split(
  x: Float[Array, 'L B C H W'], chunk: int
) -> Float[Array, 'N J B C H W']:
  return x.reshape(x.shape[0] // chunk, chunk, *x.shape[1:])


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def sum_over_bins(
  term: Callable[..., Array],
  windows: tuple[int, ...],
  border: str,
  first: Masses,
  second: Masses,
) -> Float[Array, 'K B C H W']:
  """sum_{ij} term(p_W(i, j), q_W(i, j), ...) for every window and pixel.

  Args:
    term: summand, elementwise in the densities of each image; hashable.
    windows: odd window sizes.
    border: 'valid' or 'zero', see `DensitySpec`.
    first: a_i of each image.
    second: b_j of each image.

  Returns:
    Totals of every window.
  """
  scales = _scales(first[0].shape[-2:], windows, border, first[0].dtype)
  levels, *plane = first[0].shape
  chunk = _chunk(levels, first[0][0].size)
  columns = tuple(_split(b, chunk) for b in second)

  def over_rows(total, rows):
    def over_columns(total, part):
      return total + _plane_terms(term, windows, scales, rows, part), None

    return jax.lax.scan(over_columns, total, columns)[0], None

  zero = jnp.zeros((len(windows), *plane), first[0].dtype)
  return jax.lax.scan(over_rows, zero, first)[0]


def _forward(
  term: Callable[..., Array],
  windows: tuple[int, ...],
  border: str,
  first: Any,
  second: Any,
) -> tuple[Float[Array, 'K B C H W'], Residuals]:
  """The sum, and what the backward rule needs; see `wanted` on operands."""
  wanted = Wanted.among(zip(first, second, strict=True))
  first, second = values((first, second))
  total = sum_over_bins(term, windows, border, first, second)
  return total, (first, second, wanted)


def _backward(
  term: Callable[..., Array],
  windows: tuple[int, ...],
  border: str,
  residuals: Residuals,
  cotangent: Float[Array, 'K B C H W'],
) -> tuple[Masses, Masses]:
  """Forms the planes again and pulls the cotangent through each."""
  first, second, wanted = residuals
  scales = _scales(first[0].shape[-2:], windows, border, first[0].dtype)
  chunk = _chunk(first[0].shape[0], first[0][0].size)
  columns = tuple(_split(b, chunk) for b in second)
  terms = functools.partial(_plane_terms, term, windows, scales)

  def over_rows(g_columns, rows):
    def over_columns(g_rows, part):
      _, pull = wanted.vjp(terms, rows, part)
      g_a, g_b = pull(cotangent)
      return jax.tree.map(jnp.add, g_rows, g_a), g_b

    zero = jax.tree.map(jnp.zeros_like, wanted.pick(rows))
    g_rows, g_b = jax.lax.scan(over_columns, zero, columns)
    return jax.tree.map(jnp.add, g_columns, g_b), g_rows

  zero = jax.tree.map(jnp.zeros_like, wanted.pick(columns))
  g_columns, g_first = jax.lax.scan(over_rows, zero, first)
  g_second = [g.reshape(first[0].shape) for g in g_columns]
  return wanted.complete(g_first, first), wanted.complete(g_second, second)


sum_over_bins.defvjp(_forward, _backward, symbolic_zeros=True)


def _masses(
  samples: Planes, bandwidth: Float[Array, '1 B 1 1 1'], spec: DensitySpec
) -> tuple[Float[Array, 'L B C H W'], Float[Array, 'L B C H W']]:
  """(a, b) of one image's (u, v)."""
  u, v = samples
  index = jnp.arange(spec.levels, dtype=u.dtype).reshape(-1, 1, 1, 1, 1)
  first, _ = density.axis_masses(u[None], index, bandwidth, spec=spec)
  _, second = density.axis_masses(v[None], index, bandwidth, spec=spec)
  return first, second


def bin_sums(
  summand: Summand,
  samples: tuple[Planes, ...],
  bandwidth: Float[Array, ' B'],
  *,
  spec: DensitySpec,
  part: Part | None = None,
) -> Float[Array, 'K B C h w']:
  """sum_{ij} of a summand, see `fused.bin_sums`."""
  margin = max(spec.windows) // 2
  if part is not None:
    cut = functools.partial(part.cut, margin=margin)
    samples = jax.tree.map(cut, samples)
  h = bandwidth.reshape(1, -1, 1, 1, 1)
  first, second = zip(*(_masses(x, h, spec) for x in samples), strict=True)

  def sums(windows):
    return sum_over_bins(summand.term, windows, spec.border, first, second)

  totals = summand.totals(spec.windows, sums, (first, second))
  if part is None:
    return totals
  return jax.vmap(functools.partial(part.inner, margin=margin))(totals)
