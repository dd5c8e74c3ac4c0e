"""A part of the pixels instead of all: unbiased, whatever the sizes."""

import functools

from helpers.oracle import random_pair
import hypothesis
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sel_jax import entropy
from sel_jax.entropy import EntropySpec
from sel_jax.entropy.sampling import draw_part

SPEC = EntropySpec(
  levels=6, windows=(1, 5), neighbor_weights='uniform', sample=0.25
)
POINT = EntropySpec(**{**vars(SPEC), 'windows': (1,)})


def _keys(count):
  return jax.random.split(jax.random.key(0), count)


@hypothesis.settings(max_examples=15, deadline=None)
@hypothesis.given(
  height=st.integers(1, 40),
  width=st.integers(1, 40),
  share=st.floats(0.001, 1),
)
def test_rectangles_weigh_every_pixel_alike(height, width, share):
  draw = functools.partial(
    draw_part, index=np.arange(64), shape=(height, width), share=share
  )
  part = draw(jax.random.key(0))
  total = np.zeros((height, width))
  spans = [len(axis.starts) for axis in (part.rows, part.columns)]
  for n, y in enumerate(part.rows.starts):
    for m, x in enumerate(part.columns.starts):
      weights = np.outer(part.rows.weights[n], part.columns.weights[m])
      total[y : y + part.rows.side, x : x + part.columns.side] += weights
  pixels = part.rows.side * part.columns.side * np.prod(spans)
  np.testing.assert_allclose(total / pixels, 1 / (height * width))
  assert part.corners.shape == (64, 2)
  assert np.isin(part.corners[:, 0], part.rows.starts).all()


def _by_corner(loss, shape, count=80):
  """One value of the loss for each rectangle that was drawn."""
  found = {}
  for key in _keys(count):
    part = draw_part(key, np.arange(1), shape=shape, share=SPEC.sample)
    found[tuple(np.asarray(part.corners[0]))] = loss(key)
  return found


@pytest.mark.parametrize('form', ['tiles', 'rows'])
@pytest.mark.parametrize(
  ('height', 'width'),
  [pytest.param(12, 16, marks=pytest.mark.slow), (11, 17)],
)
def test_the_mean_over_all_rectangles_is_the_loss_of_all_pixels(
  height, width, form, x64
):
  del x64
  pred, target = random_pair((1, height, width, 2), np.float64)
  masked = np.random.default_rng(1).uniform(size=pred.shape) < 0.7
  spec = EntropySpec(**{**vars(SPEC), 'form': form})

  @jax.jit
  def loss(key, where):
    return jax.value_and_grad(
      lambda x: entropy.spatial_entropy_loss(
        x, target, spec=spec, key=key, where=where
      ).sum()
    )(pred)

  for where in masked, np.ones_like(masked):
    found = _by_corner(lambda key: loss(key, where), (height, width))
    spans = [-(-n // round(n / 2)) for n in (height, width)]
    assert len(found) == np.prod(spans)
    whole = loss(None, where)
    mean = jax.tree.map(lambda *x: sum(x) / len(x), *found.values())
    np.testing.assert_allclose(mean[0], whole[0], rtol=1e-10)
    np.testing.assert_allclose(mean[1], whole[1], atol=1e-12)
    values = [float(value) for value, _ in found.values()]
    assert len(set(values)) == len(values)


def test_a_part_is_drawn_by_key_and_number_not_by_place():
  pred, target = random_pair((4, 12, 12, 1))
  loss = functools.partial(
    entropy.spatial_entropy_loss, spec=POINT, key=jax.random.key(1)
  )
  loss = jax.jit(loss)
  whole = loss(pred, target)
  half = loss(pred[2:], target[2:], index=jnp.arange(2, 4))
  np.testing.assert_allclose(half, whole[2:], rtol=1e-6)
  numbers = jnp.array([9, 4, 2, 7])
  assert np.any(loss(pred, target, index=numbers) != whole)


def test_without_a_key_all_pixels_are_looked_at():
  pred, target = random_pair((2, 9, 8, 1))
  spec = EntropySpec(**{**vars(POINT), 'form': 'rows'})  # compiles sooner
  sampled = entropy.spatial_entropy_loss(pred, target, spec=spec)
  whole = EntropySpec(**{**vars(spec), 'sample': 1.0})
  everything = entropy.spatial_entropy_loss(pred, target, spec=whole)
  np.testing.assert_array_equal(sampled, everything)
  with_key = entropy.spatial_entropy_loss(
    pred, target, spec=whole, key=jax.random.key(0)
  )
  np.testing.assert_array_equal(with_key, everything)


def test_a_sixteenth_costs_a_fraction_of_the_work():
  shape = (1, 128, 128, 1)
  image = jax.ShapeDtypeStruct(shape, jnp.float32)

  def work(sample):
    spec = EntropySpec(levels=8, windows=(3,), sample=sample, form='rows')
    loss = functools.partial(entropy.spatial_entropy_loss, spec=spec)
    compiled = jax.jit(loss).lower(image, image, key=_keys(1)[0]).compile()
    return compiled.memory_analysis().temp_size_in_bytes

  assert work(1 / 16) < work(1.0) / 6
