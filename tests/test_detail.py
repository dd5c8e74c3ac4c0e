import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from sel_jax.detail import detail_layer
from sel_jax.losses import detail_l1


@pytest.mark.parametrize('sigma', [0.4, 3.0, 8.0])
@pytest.mark.parametrize(
  'shape', [(1, 1, 1, 1), (2, 5, 7, 3), (1, 300, 130, 2)]
)
def test_detail_is_what_the_blur_of_scipy_takes_away(shape, sigma, x64):
  del x64
  image = np.random.default_rng(0).normal(size=shape)
  blurred = ndimage.gaussian_filter(image, (0, sigma, sigma, 0), mode='reflect')
  found = detail_layer(image, sigma=sigma)
  assert found.dtype == jnp.float64
  np.testing.assert_allclose(found, image - blurred, atol=1e-13)


def test_brightness_is_no_detail():
  image = np.random.default_rng(0).uniform(size=(1, 40, 30, 3))
  image = image.astype(np.float32)
  found = detail_layer(image, sigma=3.0)
  np.testing.assert_allclose(
    detail_layer(image + 0.3, sigma=3.0), found, atol=1e-6
  )
  flat = detail_layer(np.full_like(image, 0.7), sigma=3.0)
  np.testing.assert_allclose(flat, 0, atol=1e-6)
  assert np.abs(found).max() > 0.3


def test_l1_of_detail_is_blind_to_brightness_alone():
  target = np.random.default_rng(0).uniform(size=(2, 20, 24, 3))
  target = target.astype(np.float32)
  pred = target.copy()
  pred[0] += 0.25
  pred[1, 10, 10] += 0.25
  found = detail_l1(pred, target)
  assert found[0] < 1e-6 < 1e-4 < found[1]
  wide = detail_l1(pred, target, sigma=1.0)
  assert wide[1] < found[1]  # less of the difference is finer than one pixel
  gradient = jax.grad(lambda x: detail_l1(x, target).sum())(pred)
  assert np.isfinite(gradient).all()
