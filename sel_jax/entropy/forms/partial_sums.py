"""Sums over wide windows from partial sums that windows are made of.

Contract: sums alone and no differences, so that what is made of numbers that
are not negative is not negative, and zero where all of them are zero.

Along one axis the partial sums P_n[k] = x[k] + ... + x[k + n - 1] triple in
length, and a window is a few of them side by side:

    P_1 = x,     P_3n[k] = P_n[k] + P_n[k + n] + P_n[k + 2n]

      |------- 9 -------|------- 9 -------|------- 9 -------|- 3 -|1|
      o o o o o o o o o o o o o o o o o o o o o o o o o o o o o o o o   31

So a window of 31 takes 8 additions, where one of 5 takes 4.
"""

from collections.abc import Iterable

from jax import lax
from jaxtyping import Array
from jaxtyping import Float

Parts = dict[int, Float[Array, '...']]  # length n -> P_n


def lengths(window: int) -> tuple[int, ...]:
  """1, 3, 9, ...: the partial sums that a window is made of.

  One that is read once only is not worth the memory it is written to.

  Args:
    window: size.
  """
  found = [1]
  while 2 * 3 * found[-1] <= window:
    found.append(3 * found[-1])
  return tuple(found)


def pieces(window: int, known: Iterable[int]) -> list[tuple[int, int]]:
  """How partial sums cover a window.

  Args:
    window: size.
    known: lengths of the partial sums, 1 among them.

  Returns:
    (length, offset) of each.
  """
  found, offset = [], 0
  for length in sorted(known, reverse=True):
    while offset + length <= window:
      found.append((length, offset))
      offset += length
  return found


def _shifted_sum(
  terms: list[tuple[Float[Array, '...'], int]], size: int, axis: int
) -> Float[Array, '...']:
  """Sum of x[start + k] over (x, start), for k < size along an axis."""
  parts = [
    lax.slice_in_dim(x, start, start + size, axis=axis) for x, start in terms
  ]
  return sum(parts[1:], parts[0])


def tripled(
  sums: Float[Array, '...'], length: int, *, axis: int = -1, step: int = 1
) -> Float[Array, '...']:
  """P_3n from P_n.

  Args:
    sums: P_n.
    length: n.
    axis: along which the windows lie.
    step: distance of neighbours on it.

  Returns:
    P_3n, shorter by 2n steps.
  """
  apart = length * step
  size = sums.shape[axis] - 2 * apart
  return _shifted_sum([(sums, k * apart) for k in range(3)], size, axis)


def window_sum(
  parts: Parts,
  window: int,
  *,
  reach: int,
  size: int,
  axis: int = -1,
  step: int = 1,
) -> Float[Array, '...']:
  """sum_{|d| <= window / 2} x[k + (reach + d) * step] for k < size.

  Args:
    parts: partial sums of x, x itself among them.
    window: odd size.
    reach: neighbours on either side that x has room for.
    size: length of the result along the axis.
    axis: along which the windows lie.
    step: distance of neighbours on it.

  Returns:
    The sums, `size` of them along the axis.
  """
  first = reach - window // 2
  terms = [
    (parts[length], (first + offset) * step)
    for length, offset in pieces(window, parts)
  ]
  return _shifted_sum(terms, size, axis)
