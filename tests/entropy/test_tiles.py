"""Geometry, box sums and fence of the form for CPUs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sel_jax.entropy.forms.rows import box_sums
from sel_jax.entropy.forms.tiles.boxes import box_means
from sel_jax.entropy.forms.tiles.boxes import spread
from sel_jax.entropy.forms.tiles.boxes import with_margin
from sel_jax.entropy.forms.tiles.fence import apart
from sel_jax.entropy.forms.tiles.grid import Grid
from sel_jax.entropy.forms.tiles.intervals import Intervals
from sel_jax.entropy.forms.tiles.intervals import reached
from sel_jax.entropy.sampling import haloed

TRUE = jnp.asarray(True)


def _planes(shape, seed=0):
  draws = np.random.default_rng(seed).uniform(0, 1, shape)
  return jnp.asarray(draws, jnp.float32)


def _cut(grid, planes):
  return grid.cut(haloed(planes[None], grid.reach)[0])


@pytest.mark.parametrize('reach', [0, 1, 3])
@pytest.mark.parametrize('shape', [(4, 4), (9, 7), (1, 5), (2, 13)])
def test_tiles_joined_are_the_planes_that_were_cut(shape, reach):
  planes = _planes((3, *shape))
  grid = Grid.over(shape, reach, 4)
  assert max(grid.height, grid.width) <= 4
  tiles = jax.jit(lambda x: grid.centre(_cut(grid, x)))(planes)
  assert tiles.shape == (3 * grid.places, grid.outputs)
  joined = jax.jit(lambda x: grid.join(x[:, None], shape))(tiles)
  np.testing.assert_array_equal(joined, planes[None])


def test_used_outputs_are_the_tile_without_its_halo():
  grid = Grid.over((3, 5), 2, 8)
  used = grid.used().reshape(grid.height, grid.stride)
  assert used[:, :5].all() and not used[:, 5:].any()


def _whole(shape, seed=0):
  """Whole numbers, so that nothing is rounded."""
  draws = np.random.default_rng(seed).integers(0, 4, shape)
  return jnp.asarray(draws, jnp.float32)


def _naive(planes, window):
  """The sum over each square window, neighbour by neighbour."""
  half, (height, width) = window // 2, planes.shape
  padded = np.pad(planes, half)
  return sum(
    padded[y : y + height, x : x + width]
    for y in range(window)
    for x in range(window)
  )


WINDOWS = [(1,), (1, 3, 5), (7,), (9,), (11,), (13,), (15,), (21,), (31,)]
WINDOWS += [(3, 7, 15), (21, 5, 31)]


@pytest.mark.parametrize('windows', WINDOWS)
def test_rows_sum_over_each_window(windows):
  planes = _whole((2, 13, 8))
  found = jax.jit(box_sums, static_argnums=1)(planes, windows)
  for sums, window in zip(found, windows, strict=True):
    expected = [_naive(plane, window) for plane in planes]
    np.testing.assert_array_equal(sums, expected)


# Several tiles; one row or column of them, and one alone.
SHAPES = [(w, (9, 7)) for w in WINDOWS] + [
  ((3, 7, 15), shape) for shape in ((3, 9), (9, 3), (4, 4))
]


@pytest.mark.parametrize(('windows', 'shape'), SHAPES)
def test_box_means_cross_the_border_of_a_tile(windows, shape):
  grid = Grid.over(shape, max(windows) // 2, 4)
  a, b = _whole((2, *shape))
  tiles = [_cut(grid, x[None]) for x in (a, b)]
  scales = jnp.full((len(windows), grid.outputs), 0.5)

  def one(x, y):
    return jnp.stack(box_means(TRUE, windows, grid, [x], [y], scales)[0])

  found = grid.join(jax.jit(jax.vmap(one))(*tiles), shape)[:, 0]
  expected = [0.5 * _naive(np.asarray(a * b), window) for window in windows]
  np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize('windows', WINDOWS)
def test_spread_is_the_transpose_of_the_box_sums(windows):
  """<box x, y> = <x, spread y> for every x and y."""
  grid = Grid.over((6, 5), max(windows) // 2, 8)
  n = _cut(grid, jnp.zeros((1, 6, 5))).shape[1]
  x = _whole((n,), 1)
  y = _whole((len(windows), grid.outputs), 2)
  one = jnp.ones_like(y)

  @jax.jit
  def both(x, y):
    boxes = box_means(TRUE, windows, grid, [x], [jnp.ones(n)], one)[0]
    slopes = [with_margin(z, grid) for z in y]
    return jnp.stack(boxes), spread(TRUE, windows, grid, slopes)

  boxes, back = (np.asarray(z, np.float64) for z in both(x, y))
  assert back.shape == x.shape
  assert np.vdot(x, back) == np.vdot(boxes, y) > 0


def test_the_compiler_keeps_the_fence():
  """Neither folded, nor fused away: a branch is left in the machine's code."""
  factors = ((jnp.ones((3, 4)), jnp.ones((3, 4))),)

  def run(factors, x):
    return apart(reached(factors).always, jnp.exp, x) + 1

  x = jnp.arange(4.0)
  program = jax.jit(run).lower(factors, x).compile()
  assert 'conditional' in program.as_text()
  np.testing.assert_allclose(program(factors, x), np.exp(x) + 1, rtol=1e-6)


def test_every_pair_of_an_interval_is_visited_once():
  intervals = Intervals(jnp.asarray([0, 1, 2]), jnp.asarray([0, 4, 3]))

  @jax.jit
  def visited(i):
    return intervals.over_columns(i, lambda j, x: x.at[j].add(1), jnp.zeros(5))

  rows = [visited(i).tolist() for i in range(3)]
  assert rows == [[0, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 0, 1, 0, 0]]


def test_what_is_not_a_number_is_not_skipped():
  masses = jnp.zeros((3, 4)).at[1, 2].set(jnp.nan)
  low, high = reached(((masses, masses),))
  assert (low == 0).all() and (high == 3).all()
