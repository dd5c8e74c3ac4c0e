"""What wide windows are made of."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sel_jax.entropy.forms.partial_sums import lengths
from sel_jax.entropy.forms.partial_sums import pieces
from sel_jax.entropy.forms.partial_sums import tripled
from sel_jax.entropy.forms.partial_sums import window_sum

WINDOWS = range(1, 100, 2)


def _parts(x, window, **along):
  parts = {1: x}
  for length, longer in itertools.pairwise(lengths(window)):
    parts[longer] = tripled(parts[length], length, **along)
  return parts


def test_pieces_cover_each_neighbour_once():
  for window, widest in itertools.product(WINDOWS, (7, 31, 99)):
    found = pieces(window, lengths(max(window, widest)))
    covered = [at + k for length, at in found for k in range(length)]
    assert covered == list(range(window))


def test_narrow_windows_are_sums_of_neighbours():
  for window in (1, 3, 5):
    assert lengths(window) == (1,)
    assert pieces(window, (1,)) == [(1, k) for k in range(window)]


def test_work_grows_as_the_logarithm_of_the_window():
  for window in WINDOWS[3:]:
    known = lengths(window)
    terms = 3 * len(known[1:]) + len(pieces(window, known))
    assert terms < 5 * np.log2(window) - 3


@pytest.mark.parametrize(('axis', 'step'), [(-1, 1), (-2, 1), (-1, 4)])
def test_sums_are_those_of_the_definition(axis, step):
  """In whole numbers, so that nothing is rounded."""
  size, room = 9, 2

  @functools.partial(jax.jit, static_argnums=1)
  def sums(x, window):
    parts = _parts(x, window, axis=axis, step=step)
    along = {'size': size, 'axis': axis, 'step': step}
    return window_sum(parts, window, reach=window // 2 + room, **along)

  for window in (1, 5, 7, 13, 15, 31, 63):
    shape = [2, 3, 4]
    shape[axis] = size + (room + window - 1) * step
    x = np.random.default_rng(window).integers(0, 9, shape).astype(np.float32)
    places = np.arange(size) + room * step
    expected = sum(np.take(x, places + d * step, axis) for d in range(window))
    np.testing.assert_array_equal(sums(x, window), expected)


@pytest.mark.parametrize('window', [7, 9, 15, 21, 31])
def test_nothing_is_left_of_what_lies_outside_the_window(window):
  """A difference of running sums would keep a rounding of the peak."""
  x = jnp.full(99, 1e-9).at[40:50].set(1e9).at[60:].set(0)
  size = x.size - window + 1

  @jax.jit
  def sums(x):
    return window_sum(_parts(x, window), window, reach=window // 2, size=size)

  found = np.asarray(sums(x))
  expected = np.convolve(np.asarray(x, np.float64), np.ones(window), 'valid')
  np.testing.assert_allclose(found[: 40 - window], window * 1e-9, rtol=1e-6)
  np.testing.assert_allclose(found[:60], expected[:60], rtol=1e-6)
  assert (found[60:] == 0).all()
