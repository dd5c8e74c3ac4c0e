"""What the forms of the fused loss promise: accuracy, work, memory."""

import dataclasses
import functools

from helpers.oracle import random_pair
from helpers.oracle import relative_error
from helpers.oracle import value_and_slope
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.data

from benchmarks.entropy import dense_loss
from sel_jax import entropy
from sel_jax.entropy import EntropySpec
from sel_jax.entropy import fused
from sel_jax.entropy.forms import rows
from sel_jax.entropy.forms import tiles
from sel_jax.entropy.forms.tiles import sums
from sel_jax.entropy.forms.tiles.masses import mass_functions
from sel_jax.entropy.forms.tiles.masses import masses_of
from sel_jax.entropy.forms.tiles.pairs import held_pairs


def _photographs(side):
  """Flat, textured and noisy parts of a photograph, and a darker copy."""
  photo = skimage.data.coffee()[100 : 100 + side, 200 : 200 + side] / 255
  noise = np.random.default_rng(0).normal(0, 0.05, photo.shape)
  return photo[None], np.clip(0.8 * photo + noise, 0, 1)[None]


@pytest.mark.parametrize(
  ('distance', 'changes'),
  [
    # Other kernels and windows are beside the distances in the quick suite.
    pytest.param('hellinger', {}, marks=pytest.mark.slow),
    ('hellinger', {'kernel': 'bspline', 'levels': 40, 'windows': (1, 7)}),
    ('relative', {'bandwidth': 0.25, 'value_range': (0.0, 1.0)}),
    pytest.param(
      'cross', {'kernel': 'gaussian', 'bandwidth': 1.0}, marks=pytest.mark.slow
    ),
    ('jensen_shannon', {'kernel': 'sech', 'mass': 'point', 'border': 'zero'}),
  ],
)
def test_tiles_skip_nothing_that_counts(distance, changes, x64):
  """Single precision, skipping, merging; against double, doing neither."""
  spec = EntropySpec(**{'levels': 24} | changes | {'distance': distance})
  images = _photographs(24)

  def run(form, dtype):
    loss = functools.partial(
      entropy.spatial_entropy_loss, spec=dataclasses.replace(spec, form=form)
    )
    return value_and_slope(loss, *(jnp.asarray(x, dtype) for x in images))

  exact, slope = run('rows', jnp.float64)
  value, gradient = run('tiles', jnp.float32)
  np.testing.assert_allclose(value, exact, rtol=1e-5)
  assert relative_error(gradient, slope) < 1e-4


def _inner(equation):
  """The programs inside an equation: branches, bodies of loops."""
  parts = jax.tree.leaves(
    list(equation.params.values()),
    is_leaf=lambda x: hasattr(x, 'eqns') or hasattr(x, 'jaxpr'),
  )
  parts = [getattr(part, 'jaxpr', part) for part in parts]
  return [part for part in parts if hasattr(part, 'eqns')]


WIDE = [(7,), (9,), (11,), (13,), (15,), (21,), (31,), (9, 21), (3, 15, 31)]


@pytest.mark.parametrize('form', fused.FORMS)
@pytest.mark.parametrize(
  'windows',
  [
    pytest.param(w, marks=() if w == (3, 15, 31) else pytest.mark.slow)
    for w in WIDE
  ],
)
def test_wide_windows_equal_the_oracle(windows, form, x64, monkeypatch):
  """On an image that is smaller than most of them, in several tiles."""
  monkeypatch.setattr(tiles, '_SIDE', 4)
  spec = EntropySpec(levels=5, windows=windows, form=form)
  weights = entropy.uniform_weights(dtype=jnp.float64)
  images = random_pair((1, 9, 14, 1), dtype=np.float64)
  oracle = functools.partial(dense_loss, spec=spec, weights=weights)
  exact, slope = value_and_slope(oracle, *images)
  loss = functools.partial(
    entropy.spatial_entropy_loss, spec=spec, neighbor_weights=weights
  )
  value, gradient = value_and_slope(loss, *images)
  np.testing.assert_allclose(value, exact, rtol=1e-10)
  np.testing.assert_allclose(gradient, slope, rtol=1e-8, atol=1e-12)
  value, gradient = value_and_slope(loss, images[0], images[0])
  assert (value == 0).all() and (gradient == 0).all()


@pytest.mark.parametrize('form', fused.FORMS)
def test_a_window_given_twice_counts_twice(form):
  pred, target = random_pair((1, 6, 6, 1))

  def run(windows):
    spec = EntropySpec(levels=4, windows=windows, form=form)
    loss = functools.partial(entropy.spatial_entropy_loss, spec=spec)
    return value_and_slope(loss, pred, target)

  (once, slope), (twice, doubled) = run((3,)), run((3, 3))
  np.testing.assert_allclose(twice, once, rtol=1e-6)
  np.testing.assert_allclose(doubled, slope, rtol=1e-4, atol=1e-7)


def _additions(jaxpr):
  """Numbers that a program adds, its loops counted once."""
  added = 0
  for equation in jaxpr.eqns:
    if equation.primitive.name == 'add':
      added += int(np.prod(equation.outvars[0].aval.shape))
    added += sum(map(_additions, _inner(equation)))
  return added


@pytest.mark.parametrize('form', fused.FORMS)
def test_a_wide_window_takes_little_more_work_than_a_narrow_one(form):
  image = jnp.zeros((1, 64, 64, 1))

  def work(window):
    spec = EntropySpec(levels=2, windows=(window,), form=form)
    loss = lambda x: entropy.spatial_entropy_loss(x, image, spec=spec).sum()
    return _additions(jax.make_jaxpr(jax.value_and_grad(loss))(image).jaxpr)

  assert work(31) < 3 * work(5)


def test_tiles_reach_few_bins_where_a_picture_is_flat():
  """The work follows the local range, not L."""
  levels, pixels = 64, 100
  spec = EntropySpec(levels=levels)
  u = jnp.linspace(20, 22, pixels)
  samples = jnp.stack([u, u + 0.1]), jnp.stack([u, u + 0.1])
  h = jnp.float32(0.5)
  functions = mass_functions(samples, h, jnp.ones(pixels), spec, merge=True)
  masses = masses_of(functions, samples, h)
  pairs = held_pairs(*masses, room=8)
  assert 50 < int(pairs.count) < 150  # of 4096 pairs
  assert (np.asarray(pairs.first)[int(pairs.count) :] == levels).all()
  for axis in masses:
    np.testing.assert_allclose(axis.sum(0), 1, atol=1e-6)
    assert (axis[levels] == 0).all()


def test_a_broken_image_does_not_look_sound():
  pred, target = random_pair((1, 6, 6, 1))
  pixel = pred.at[0, 3, 3, 0].set(jnp.nan)
  far = jnp.full_like(pred, 9.0)  # all in the last bin
  for form in fused.FORMS:
    spec = EntropySpec(levels=6, form=form)
    loss = jax.jit(functools.partial(entropy.spatial_entropy_loss, spec=spec))
    assert np.isnan(loss(pixel, target)[0])
    assert np.isnan(loss(jnp.full_like(pred, jnp.nan), target)[0])
    assert np.isnan(loss(far.at[0, 3, 3, 0].set(jnp.nan), far)[0])


def _largest_array(jaxpr):
  """Elements of the largest array anywhere in a program."""
  largest = 0
  for equation in jaxpr.eqns:
    for variable in equation.outvars:
      largest = max(largest, int(np.prod(variable.aval.shape)))
    for inner in _inner(equation):
      largest = max(largest, _largest_array(inner))
  return largest


@pytest.mark.parametrize('form', fused.FORMS)
def test_no_array_holds_all_bins_of_all_pixels(form):
  levels, shape = 64, (1, 100, 100, 3)
  spec = EntropySpec(levels=levels, neighbor_weights='uniform', form=form)
  image = jnp.zeros(shape)
  loss = lambda x: entropy.spatial_entropy_loss(x, image, spec=spec).sum()
  program = jax.make_jaxpr(jax.value_and_grad(loss))(image)
  largest = _largest_array(program.jaxpr)
  # Rows hold the masses of all pixels, tiles those of one tile.
  pixels = int(np.prod(shape)) if form == 'rows' else 54**2
  assert largest >= levels * pixels  # the walk does look inside
  assert largest <= 4 * levels * pixels


def test_memory_of_tiles_is_linear_in_pixels_and_small():
  spec = EntropySpec(levels=256, neighbor_weights='uniform', form='tiles')

  def megabytes(side):
    image = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
    loss = lambda x, y: entropy.spatial_entropy_loss(x, y, spec=spec).sum()
    compiled = jax.jit(jax.value_and_grad(loss)).lower(image, image).compile()
    return compiled.memory_analysis().temp_size_in_bytes / 2**20

  small, large = megabytes(64), megabytes(512)
  assert large < 150 + small < 300


@pytest.mark.parametrize('chunk', [1, 10**9])
def test_the_size_of_a_chunk_changes_nothing(chunk, monkeypatch):
  monkeypatch.setattr(rows, '_CHUNK', chunk)
  pred, target = random_pair()
  spec = EntropySpec(levels=6, neighbor_weights='uniform', form='rows')
  loss = functools.partial(entropy.spatial_entropy_loss, spec=spec)
  oracle = functools.partial(
    dense_loss, spec=spec, weights=entropy.uniform_weights()
  )
  np.testing.assert_allclose(
    jax.jit(loss)(pred, target), jax.jit(oracle)(pred, target), rtol=1e-5
  )


@pytest.mark.parametrize(('most', 'shares'), [(32, 8), (20, 7)])
def test_how_many_pairs_are_taken_at_a_time_changes_nothing(
  most, shares, monkeypatch
):
  spec = EntropySpec(levels=6, neighbor_weights='uniform', form='tiles')
  loss = functools.partial(entropy.spatial_entropy_loss, spec=spec)
  expected = value_and_slope(loss, *random_pair())
  monkeypatch.setattr(sums, '_MOST', most)
  monkeypatch.setattr(sums, '_SHARES', shares)
  loss = functools.partial(entropy.spatial_entropy_loss, spec=spec)
  found = value_and_slope(loss, *random_pair())
  for x, y in zip(found, expected, strict=True):
    np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)


def test_the_platform_chooses_and_a_spec_may_insist(monkeypatch):
  assert fused.choose_form('rows') == 'rows'
  assert fused.choose_form('auto') == 'tiles'  # the tests run on a CPU
  monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
  assert fused.choose_form('auto') == 'rows'
