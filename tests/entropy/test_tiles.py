"""Geometry, box sums, closed form and fence of the form for CPUs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sel_jax.entropy import EntropySpec
from sel_jax.entropy.divergences import DIVERGENCES
from sel_jax.entropy.forms.rows import box_sums
from sel_jax.entropy.forms.tiles import closed
from sel_jax.entropy.forms.tiles.boxes import formed
from sel_jax.entropy.forms.tiles.boxes import grown
from sel_jax.entropy.forms.tiles.boxes import line_spread
from sel_jax.entropy.forms.tiles.boxes import line_sums
from sel_jax.entropy.forms.tiles.boxes import plan
from sel_jax.entropy.forms.tiles.boxes import reader
from sel_jax.entropy.forms.tiles.fence import apart
from sel_jax.entropy.forms.tiles.grid import Grid
from sel_jax.entropy.forms.tiles.masses import mass_functions
from sel_jax.entropy.forms.tiles.masses import Masses
from sel_jax.entropy.forms.tiles.masses import masses_of
from sel_jax.entropy.forms.tiles.masses import slopes_of
from sel_jax.entropy.forms.tiles.pairs import held_pairs
from sel_jax.entropy.forms.wanted import Wanted
from sel_jax.entropy.sampling import haloed

TRUE = jnp.asarray(True)
WINDOWS = [(1,), (1, 3, 5), (3, 5), (7,), (9,), (11,), (13,), (15,), (21,)]
WINDOWS += [(31,), (3, 7), (5, 7), (3, 7, 15), (21, 5, 31)]


def _planes(shape, seed=0):
  draws = np.random.default_rng(seed).uniform(0, 1, shape)
  return jnp.asarray(draws, jnp.float32)


def _whole(shape, seed=0):
  """Whole numbers, so that nothing is rounded."""
  draws = np.random.default_rng(seed).integers(0, 4, shape)
  return jnp.asarray(draws, jnp.float32)


def _tiles(grid, planes):
  """Every flat tile, [T, n]."""
  wide = grid.widened(haloed(planes[None], grid.halo)[0])
  cut = lambda k: grid.tile(wide, k // grid.places, k % grid.places)
  return jax.lax.map(cut, jnp.arange(len(planes) * grid.places))


@pytest.mark.parametrize('halo', [0, 1, 3])
@pytest.mark.parametrize('shape', [(4, 4), (9, 7), (1, 5), (2, 13)])
@pytest.mark.parametrize('bordered', [True, False])
def test_tiles_joined_are_the_planes_that_were_cut(shape, halo, bordered):
  planes = _planes((3, *shape))
  grid = Grid.over(shape, halo, 4, bordered=bordered)
  assert max(grid.height, grid.width) <= 4
  assert grid.stride % 8 == 0
  start, stop = grid.outputs
  tiles = jax.jit(lambda x: _tiles(grid, x))(planes)
  assert stop + halo * (grid.stride + 1) <= tiles.shape[1]
  np.testing.assert_array_equal(grid.join(tiles[:, start:stop]), planes)
  joined = grid.join(tiles[:, None, None, start:stop])
  np.testing.assert_array_equal(joined, planes[:, None, None])


@pytest.mark.parametrize('bordered', [True, False])
def test_what_is_beside_a_pixel_is_beside_it_in_its_tile(bordered):
  """Zeros that two rows share are zeros for both."""
  halo, shape = 3, (5, 7)
  planes = _whole((1, *shape)) + 1
  grid = Grid.over(shape, halo, 8, bordered=bordered)
  tile = _tiles(grid, planes)[0]
  padded = np.pad(planes[0], halo)
  for y in range(-halo, halo + 1):
    for x in range(-halo, halo + 1):
      start, stop = (k + y * grid.stride + x for k in grid.outputs)
      found = grid.join(tile[None, start:stop])[0]
      top, left = halo + y, halo + x
      expected = padded[top : top + shape[0], left : left + shape[1]]
      np.testing.assert_array_equal(found, expected)


def _naive(planes, window):
  """The sum over each square window, neighbour by neighbour."""
  half, (height, width) = window // 2, planes.shape
  padded = np.pad(planes, half)
  return sum(
    padded[y : y + height, x : x + width]
    for y in range(window)
    for x in range(window)
  )


@pytest.mark.parametrize('windows', WINDOWS)
def test_rows_sum_over_each_window(windows):
  planes = _whole((2, 13, 8))
  found = jax.jit(box_sums, static_argnums=1)(planes, windows)
  for sums, window in zip(found, windows, strict=True):
    expected = [_naive(plane, window) for plane in planes]
    np.testing.assert_array_equal(sums, expected)


@pytest.mark.parametrize('windows', WINDOWS)
def test_a_plan_covers_each_neighbour_of_a_window_once(windows):
  made = plan(windows)

  def covered(length, at):
    if length == 1:
      return [at]
    return [x for n, k in made[length] for x in covered(n, at + k)]

  for window in windows:
    assert sorted(covered(window, 0)) == list(range(window))


def _boxes(grid, windows, x):
  """Window -> box sums of a flat tile at the outputs."""
  spans = {w: grown(grid.outputs, w // 2) for w in windows}
  source = reader(x, 0)
  columns = line_sums(TRUE, source, spans, grid.stride, form=True)
  out = {w: grid.outputs for w in windows}
  lines = {
    w: line_sums(TRUE, columns[w], {w: out[w]}, 1, form=False)[w]
    for w in windows
  }
  return [lines[w](out[w]) for w in windows]


# Several tiles; one row or column of them, and one alone.
SHAPES = [(w, (9, 7)) for w in WINDOWS] + [
  ((3, 7, 15), shape) for shape in ((3, 9), (9, 3), (4, 4))
]


@pytest.mark.parametrize(('windows', 'shape'), SHAPES)
def test_box_sums_cross_the_border_of_a_tile(windows, shape):
  grid = Grid.over(shape, max(windows) // 2, 4)
  plane = _whole(shape)
  tiles = _tiles(grid, plane[None])
  one = jax.jit(lambda x: jnp.stack(_boxes(grid, windows, x)))
  found = grid.join(jnp.stack([one(x) for x in tiles]))[0]
  expected = [_naive(np.asarray(plane), window) for window in windows]
  np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize('windows', WINDOWS)
def test_spread_is_the_transpose_of_the_box_sums(windows):
  """<box x, y> = <x, spread y> for every x and y."""
  shape, reach = (6, 5), max(windows) // 2
  grid = Grid.over(shape, 2 * reach, 8)
  x, *y = _whole((1 + len(windows), *shape), 1)

  @jax.jit
  def both(x, *y):
    flat = [_tiles(grid, z[None])[0] for z in (x, *y)]
    boxes = _boxes(grid, windows, flat[0])
    reads = {}
    for window, slopes in zip(windows, flat[1:], strict=True):
      span = grown(grid.outputs, window // 2 * grid.stride)
      read = line_spread(TRUE, {window: reader(slopes, 0)}, span, 1)
      reads[window] = formed(TRUE, read, span)
    back = line_spread(TRUE, reads, grid.outputs, grid.stride)
    return grid.join(jnp.stack(boxes)[None])[0], grid.join(
      back(grid.outputs)[None]
    )[0]

  boxes, back = (np.asarray(z, np.float64) for z in both(x, *y))
  assert back.shape == x.shape
  assert np.vdot(x, back) == np.vdot(boxes, y) > 0


@pytest.mark.parametrize('levels', [5, 8, 19])
def test_the_closed_form_of_a_tile_is_that_of_whole_axes(levels, x64):
  product = DIVERGENCES['hellinger'].product
  draws = np.random.default_rng(0).uniform(0, 1, (2, levels + 1, 2, 9))
  masses = Masses(*map(jnp.asarray, draws))
  span = (2, 7)

  def whole(first, second):
    return product(
      *(tuple(x[:levels, k, 2:7] for k in (0, 1)) for x in (first, second))
    )

  sums = closed.moments(product, masses, span)
  np.testing.assert_allclose(product.finish(*sums), whole(*masses), rtol=1e-12)
  weight = jnp.arange(5.0)
  cotangents = jax.vjp(product.finish, *sums)[1](weight)
  slopes = Masses(*(jnp.cos(x[:, 1:]) for x in masses))
  found = closed.pulled(product, masses, slopes, Wanted((1,)), cotangents, span)
  gradients = jax.vjp(whole, *masses)[1](weight)
  for (got,), gradient, slope in zip(found, gradients, slopes, strict=True):
    expected = jnp.sum(gradient[:levels, 1] * slope[:levels, 0], axis=0)
    np.testing.assert_allclose(got, expected[2:7], rtol=1e-12)


@pytest.mark.parametrize('mass', ['exact', 'point', 'reference'])
def test_slopes_are_the_derivatives_of_the_masses(mass, x64):
  spec = EntropySpec(levels=6, mass=mass)
  draws = np.random.default_rng(0).uniform(0, 5, (2, 2, 9))
  samples, h = tuple(map(jnp.asarray, draws)), jnp.float64(0.7)
  inside = jnp.ones(9).at[3].set(0)
  functions = mass_functions(samples, h, inside, spec, merge=False)
  by_samples, by_h = slopes_of(functions, samples, h)
  step = 1e-6

  def difference(du, dh):
    moved = [
      masses_of(functions, tuple(x + k * du for x in samples), h + k * dh)
      for k in (step, -step)
    ]
    return jax.tree.map(lambda x, y: (x - y) / (2 * step), *moved)

  for found, expected in ((by_samples, (1, 0)), (by_h, (0, 1))):
    for x, y in zip(found, difference(*expected), strict=True):
      np.testing.assert_allclose(x, y, atol=1e-8)
      assert (x[:, :, 3] == 0).all() and (x[-1] == 0).all()


def test_the_compiler_keeps_the_fence():
  """Neither folded, nor fused away: a branch is left in the machine's code."""
  masses = jnp.ones((4, 1, 4))

  def run(masses, x):
    return apart(held_pairs(masses, masses, 8).always, jnp.exp, x) + 1

  x = jnp.arange(4.0)
  program = jax.jit(run).lower(masses, x).compile()
  assert 'conditional' in program.as_text()
  np.testing.assert_allclose(program(masses, x), np.exp(x) + 1, rtol=1e-6)


def test_every_pair_with_mass_is_listed_once_by_rows():
  first = jnp.zeros((5, 2, 6)).at[1, 0, 2].set(1).at[3, 1, 4].set(1)
  second = jnp.zeros((5, 2, 6)).at[0, 0, 2].set(1).at[2, 1, 4].set(1)
  second = second.at[3, 1, 4].set(1)
  pairs = held_pairs(first, second, room=3)
  listed = list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
  assert listed[:3] == [(1, 0), (3, 2), (3, 3)]
  assert int(pairs.count) == 3 and len(listed) == 18
  assert set(listed[3:]) == {(4, 4)}


def test_what_is_not_a_number_is_not_skipped():
  masses = jnp.zeros((4, 1, 4)).at[1, 0, 2].set(jnp.nan)
  assert int(held_pairs(masses, masses, 8).count) == 9
