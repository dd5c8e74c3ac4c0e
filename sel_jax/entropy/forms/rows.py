"""Sums over bins, rows of whole bin planes at a time: for accelerators.

Contract: samples are planes [B, C, H, W] in bin units. The two factors of a
separable density are [L, B, C, H, W] masses; bin planes are formed in chunks,
forward and again backward, so memory is linear in pixels and in L. Value and
gradient equal `density` + `divergences`.
"""

from collections.abc import Callable
import functools

import jax
import jax.numpy as jnp

from sel_jax.entropy import density
from sel_jax.entropy import neighborhood
from sel_jax.entropy.density import Samples
from sel_jax.entropy.divergences import Summand
from sel_jax.entropy.spec import EntropySpec

Array = jax.Array

# Elements of one chunk of bin planes.
_CHUNK = 2**25


def box_sums(planes: Array, windows: tuple[int, ...]) -> tuple[Array, ...]:
  """Sums of [..., H, W] over each square window, zeros beyond the border."""
  reach = max(windows) // 2
  height, width = planes.shape[-2:]
  lead = ((0, 0),) * (planes.ndim - 2)
  wide = jnp.pad(planes, (*lead, (0, 0), (reach, reach)))

  def columns(k):
    return wide[..., reach + k : reach + k + width]

  sums = []
  for window in windows:
    half = window // 2
    row = sum((columns(k) for k in range(-half, half + 1) if k), columns(0))
    if half == 0:
      sums.append(row)
      continue
    tall = jnp.pad(row, (*lead, (half, half), (0, 0)))
    parts = [tall[..., k : k + height, :] for k in range(window)]
    sums.append(sum(parts[1:], parts[0]))
  return tuple(sums)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _box_means(planes, windows, scales):
  return tuple(
    total * scale
    for total, scale in zip(box_sums(planes, windows), scales, strict=True)
  )


def _box_means_forward(planes, windows, scales):
  return _box_means(planes, windows, scales), scales


def _box_means_backward(windows, scales, cotangents):
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


def _scales(shape, windows, border, dtype) -> tuple[Array, ...]:
  """1/|W| of each window, broadcastable against chunks of planes."""
  scales = neighborhood.window_scales(shape, windows, border, dtype)
  return tuple(scale[None, None, None] for scale in scales)


def _plane_terms(term, windows, scales, rows, columns):
  """Terms of one row of bins i and a chunk of columns j, summed over j.

  Args:
    term: densities of each image -> summand.
    windows: sizes.
    scales: 1/|W| of each.
    rows: a_i of each image, [B, C, H, W].
    columns: b_j of each image, [J, B, C, H, W].

  Returns:
    [windows, B, C, H, W].
  """
  densities = [
    _box_means(a[None] * b, windows, scales)
    for a, b in zip(rows, columns, strict=True)
  ]
  per_window = zip(*densities, strict=True)
  return jnp.stack([jnp.sum(term(*p), axis=0) for p in per_window])


def _split(x: Array, chunk: int) -> Array:
  return x.reshape(x.shape[0] // chunk, chunk, *x.shape[1:])


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def sum_over_bins(
  term: Callable[..., Array],
  windows: tuple[int, ...],
  border: str,
  first: tuple[Array, ...],
  second: tuple[Array, ...],
) -> Array:
  """sum_{ij} term(p_W(i, j), q_W(i, j), ...) for every window and pixel.

  Args:
    term: summand, elementwise in the densities of each image; hashable.
    windows: odd window sizes.
    border: 'valid' or 'zero', see `EntropySpec`.
    first: a_i of each image, [L, B, C, H, W].
    second: b_j of each image, [L, B, C, H, W].

  Returns:
    [windows, B, C, H, W].
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


def _forward(term, windows, border, first, second):
  perturbed = tuple(a.perturbed or b.perturbed for a, b in zip(first, second))
  first = tuple(a.value for a in first)
  second = tuple(b.value for b in second)
  total = sum_over_bins(term, windows, border, first, second)
  # Whether a gradient is wanted is static; a tuple's length carries it.
  wanted = tuple(() if p else None for p in perturbed)
  return total, (first, second, wanted)


def _backward(term, windows, border, residuals, cotangent):
  """Forms the planes again and pulls the cotangent through each."""
  first, second, wanted = residuals
  scales = _scales(first[0].shape[-2:], windows, border, first[0].dtype)
  chunk = _chunk(first[0].shape[0], first[0][0].size)
  which = [k for k, w in enumerate(wanted) if w is not None]

  def pick(xs):
    return tuple(xs[k] for k in which)

  def terms(rows, columns, all_rows, all_columns):
    # Only the images whose gradient is wanted are differentiated.
    rows_all, columns_all = list(all_rows), list(all_columns)
    for n, k in enumerate(which):
      rows_all[k], columns_all[k] = rows[n], columns[n]
    return _plane_terms(term, windows, scales, rows_all, columns_all)

  columns = tuple(_split(b, chunk) for b in second)

  def over_rows(g_columns, rows):
    def over_columns(g_rows, part):
      _, pull = jax.vjp(
        lambda a, b: terms(a, b, rows, part), pick(rows), pick(part)
      )
      g_a, g_b = pull(cotangent)
      return jax.tree.map(jnp.add, g_rows, g_a), g_b

    zero = jax.tree.map(jnp.zeros_like, pick(rows))
    g_rows, g_b = jax.lax.scan(over_columns, zero, columns)
    return jax.tree.map(jnp.add, g_columns, g_b), g_rows

  zero = jax.tree.map(jnp.zeros_like, pick(columns))
  g_columns, g_first = jax.lax.scan(over_rows, zero, first)
  g_second = [
    g.reshape(second[k].shape) for g, k in zip(g_columns, which, strict=True)
  ]

  def spread(gradients):
    out = [jnp.zeros_like(x) for x in first]
    for g, k in zip(gradients, which, strict=True):
      out[k] = g
    return tuple(out)

  return spread(g_first), spread(g_second)


sum_over_bins.defvjp(_forward, _backward, symbolic_zeros=True)


def _masses(samples, bandwidth, spec):
  """(a, b) of one image's (u, v), [L, B, C, H, W]."""
  u, v = samples
  index = jnp.arange(spec.levels, dtype=u.dtype).reshape(-1, 1, 1, 1, 1)
  first, _ = density.axis_masses(u[None], index, bandwidth, spec=spec)
  _, second = density.axis_masses(v[None], index, bandwidth, spec=spec)
  return first, second


def bin_sums(
  summand: Summand,
  samples: tuple[Samples, ...],
  bandwidth: Array,
  *,
  spec: EntropySpec,
) -> Array:
  """sum_{ij} of a summand, see `fused.bin_sums`."""
  h = bandwidth.reshape(1, -1, 1, 1, 1)
  first, second = zip(*(_masses(x, h, spec) for x in samples), strict=True)

  def sums(windows):
    return sum_over_bins(summand.term, windows, spec.border, first, second)

  return summand.totals(spec.windows, sums, (first, second))
