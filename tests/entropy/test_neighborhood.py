from conftest import nhwc
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sel_jax import entropy
from sel_jax.entropy import extract_patches
from sel_jax.entropy import neighbor_mean
from sel_jax.entropy import positive_weights
from sel_jax.entropy import reference_weights
from sel_jax.entropy import uniform_weights


def test_patches_are_the_windows_and_their_mask():
  image = jnp.arange(12.0).reshape(3, 4)
  patches, inside = extract_patches(image, 3)
  assert patches.shape == inside.shape == (3, 4, 3, 3)
  np.testing.assert_array_equal(patches[1, 1], image[:3, :3])
  np.testing.assert_array_equal(inside[1, 1], np.ones((3, 3)))
  np.testing.assert_array_equal(inside[0, 0], [[0, 0, 0], [0, 1, 1], [0, 1, 1]])
  assert float(patches[0, 0].sum()) == float(image[:2, :2].sum())


@pytest.mark.parametrize('name', ['none', 'uniform', 'normal'])
def test_reference_neighbours(golden, name, x64):
  numbers = golden('kde')
  weights = np.ones((3, 3)) if name == 'none' else numbers[f'w_{name}'][0, 0]
  mean = neighbor_mean(
    jnp.asarray(nhwc(numbers['x']).clip(0, 1)),  # the release clamps first
    jnp.asarray(weights),
    normalization='image',
    border='zero',
  )
  expected = nhwc(numbers[f'neighbor_{name}'])
  np.testing.assert_allclose(mean, expected, rtol=0, atol=1e-10)


def test_weights_are_positive_and_sum_to_one():
  for seed in range(20):
    weights = positive_weights(jax.random.key(seed))
    assert float(weights[1, 1]) == 0
    assert float(weights.min()) >= 0
    assert float(weights.sum()) == pytest.approx(1, abs=1e-6)
  assert float(uniform_weights().sum()) == 1
  assert float(reference_weights(jax.random.key(0)).min()) < 0


@pytest.mark.parametrize('seed', range(3))
def test_means_stay_within_the_image_at_valid_borders(seed):
  image = jax.random.uniform(jax.random.key(seed), (2, 5, 6, 3))
  weights = positive_weights(jax.random.key(seed))
  mean = neighbor_mean(image, weights)
  assert float(mean.min()) >= float(image.min()) - 1e-6
  assert float(mean.max()) <= float(image.max()) + 1e-6
  flat = neighbor_mean(jnp.full((1, 4, 4, 3), 0.7), weights)
  np.testing.assert_allclose(flat, 0.7, rtol=1e-6)


def test_a_single_pixel_is_its_own_neighbourhood():
  image = jnp.full((1, 1, 1, 3), 0.4)
  np.testing.assert_allclose(neighbor_mean(image, uniform_weights()), 0.4)


def test_weights_of_another_shape_are_refused():
  with pytest.raises(ValueError, match=r'\(3, 3\), not \(5, 5\)'):
    neighbor_mean(jnp.zeros((1, 4, 4, 1)), jnp.ones((5, 5)))


@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize('mass', ['exact', 'reference'])
def test_a_whole_image_is_the_mean_of_its_pixels(mass, channels, x64):
  """The release's density of a window that holds everything."""
  spec = entropy.EntropySpec(
    levels=8, mass=mass, border='zero', neighbor_normalization='image'
  )
  image = np.random.default_rng(0).random((2, 5, 7, channels))
  ring = np.random.default_rng(1).normal(size=(3, 3))
  found = entropy.global_density(image, spec=spec, neighbor_weights=ring)
  each = entropy.local_density(
    image, spec=spec, neighbor_weights=ring, window=1
  )
  assert found.shape == (2, channels, 8, 8)
  np.testing.assert_allclose(found, each.mean((1, 2)), rtol=1e-12, atol=1e-15)
  if mass == 'exact':
    np.testing.assert_allclose(found.sum((2, 3)), 1, rtol=1e-12)
