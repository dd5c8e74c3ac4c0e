import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sel_jax.evaluation import metrics
from sel_jax.losses import LOSSES
from sel_jax.losses import weighted_sum


def test_losses_have_their_definitions():
  pred, target = jnp.zeros((2, 2, 2, 1)), jnp.ones((2, 2, 2, 1))
  pred = pred.at[1].set(3.0)
  for name, expected in (('l1', [1, 2]), ('l2', [1, 4])):
    np.testing.assert_allclose(LOSSES[name](pred, target), expected)
  np.testing.assert_allclose(
    LOSSES['charbonnier'](pred, target), [1, 2], rtol=1e-5
  )
  plain = jnp.ones((2, 12, 11, 3))
  for name, loss in LOSSES.items():
    if name == 'lpips':  # see test_perceptual.py
      continue
    slope = jax.grad(lambda x, loss=loss: loss(x, plain).sum())(plain)
    assert np.isfinite(slope).all(), name


def test_a_gain_of_the_whole_image_is_no_error_of_gt_mean():
  rng = np.random.default_rng(0)
  pred, target = rng.uniform(0.05, 0.5, (2, 3, 8, 7, 3)).astype(np.float32)
  loss, gains = LOSSES['gt_mean'], np.array([0.5, 1.0, 2.0], np.float32)
  scaled = gains[:, None, None, None] * pred
  expected = [
    np.abs(p * (t.mean() / p.mean()) - t).mean()
    for p, t in zip(pred, target, strict=True)
  ]
  np.testing.assert_allclose(loss(scaled, target), expected, rtol=1e-5)
  np.testing.assert_allclose(loss(target / 3, target), 0, atol=1e-6)
  black = jnp.zeros_like(target)
  slope = jax.grad(lambda x: loss(x, target).sum())(black)
  assert np.isfinite(slope).all()
  assert (slope < 0).all()  # brighter is better
  along = jax.grad(lambda x: loss(x, target).sum())(pred) * pred
  np.testing.assert_allclose(along.sum((1, 2, 3)), 0, atol=1e-5)


def test_the_ssim_trained_on_is_the_ssim_measured():
  images = np.random.default_rng(0).integers(0, 256, (2, 2, 14, 19, 3))
  images[0, 1] = images[0, 0] // 3
  images = images.astype(np.uint8)
  found = LOSSES['ssim'](images[:, 0] / 255.0, images[:, 1] / 255.0)
  expected = [1 - metrics.ssim(restored=a, clean=b) for a, b in images]
  np.testing.assert_allclose(found, expected, atol=1e-5)
  with pytest.raises(ValueError, match='at least 11 pixels, not 10'):
    LOSSES['ssim'](*jnp.zeros((2, 1, 10, 20, 3)))


@pytest.mark.parametrize('name', sorted(LOSSES.keys() - {'lpips'}))
def test_accelerators_do_not_round_products(name):
  """Their default has 8 to 11 bits; variances are small differences."""
  image = jnp.ones((1, 16, 16, 3))
  program = jax.jit(jax.grad(lambda x: LOSSES[name](x, image).sum()))
  for line in program.lower(image).as_text().splitlines():
    if 'dot_general' in line:
      assert 'precision = [HIGHEST, HIGHEST]' in line, line


def test_weighted_sum_and_its_terms():
  pred, target = jnp.zeros((2, 2, 2, 1)), jnp.full((2, 2, 2, 1), 2.0)
  chosen = {n: (w, LOSSES[n]) for n, w in (('l1', 0.5), ('l2', 2.0))}
  total, terms = weighted_sum(pred, target, chosen)
  np.testing.assert_allclose(total, 0.5 * 2 + 2 * 4)
  assert set(terms) == {'l1', 'l2'}
  with pytest.raises(ValueError, match='no loss to train on'):
    weighted_sum(pred, target, {})
