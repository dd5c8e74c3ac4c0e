import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sel_jax.diffusion import IRSDE
from sel_jax.diffusion import objective_pair
from sel_jax.diffusion import OBJECTIVES
from sel_jax.diffusion import PREDICTIONS
from sel_jax.diffusion import SDESpec
from sel_jax.evaluation import metrics
from sel_jax.losses import LOSSES
from sel_jax.losses import weighted_sum


def _draw(seed=0, shape=(4, 5, 4, 3)):
  keys = jax.random.split(jax.random.key(seed), 3)
  clean, mu = (jax.random.uniform(k, shape) for k in keys[:2])
  noise = jax.random.normal(keys[2], shape)
  return clean, mu, noise, jnp.asarray([1, 30, 60, 99])


@pytest.mark.parametrize('name', OBJECTIVES)
def test_the_true_noise_is_optimal(name):
  """The pair agrees at e_hat = e, exactly or up to Euler's error."""
  sde = IRSDE.create(SDESpec())
  clean, mu, noise, t = _draw()
  x = sde.perturb(clean, mu, t, noise)
  pred, target = objective_pair(name, sde, noise, x, clean, mu, t, noise)
  assert pred.shape == target.shape == clean.shape
  close = 0.02 if name == 'optimum' else 1e-4
  # t = 1: one Euler step over a fast change of scale is the worst case.
  np.testing.assert_allclose(pred[1:], target[1:], atol=close)
  worse, _ = objective_pair(name, sde, noise + 1, x, clean, mu, t, noise)
  error = lambda p: float(jnp.abs(p - target)[1:].mean())
  assert error(worse) > 3 * error(pred)


@pytest.mark.parametrize('name', PREDICTIONS)
def test_predictions_are_one_model_in_other_coordinates(name):
  sde = IRSDE.create(SDESpec())
  clean, mu, noise, t = _draw(1)
  x = sde.perturb(clean, mu, t, noise)
  decay = sde.decay[t].reshape(-1, 1, 1, 1)
  std = sde.marginal_std[t].reshape(-1, 1, 1, 1)
  output = {
    'noise': noise,
    'clean': clean - mu,
    'velocity': decay * noise - std * (clean - mu) / sde.scale**2,
  }[name]
  found = PREDICTIONS[name](sde, output, x, mu, t)
  np.testing.assert_allclose(found, noise, atol=2e-4)


def test_distances_have_their_definitions():
  pred, target = jnp.zeros((2, 2, 2, 1)), jnp.ones((2, 2, 2, 1))
  pred = pred.at[1].set(3.0)
  for name, expected in (('l1', [1, 2]), ('l2', [1, 4])):
    np.testing.assert_allclose(LOSSES[name](pred, target), expected)
  np.testing.assert_allclose(
    LOSSES['charbonnier'](pred, target), [1, 2], rtol=1e-5
  )
  plain = jnp.ones((2, 12, 11, 3))
  for name, distance in LOSSES.items():
    slope = jax.grad(lambda x, d=distance: d(x, plain).sum())(plain)
    assert np.isfinite(slope).all(), name


def test_the_ssim_trained_on_is_the_ssim_measured():
  images = np.random.default_rng(0).integers(0, 256, (2, 2, 14, 19, 3))
  images[0, 1] = images[0, 0] // 3
  images = images.astype(np.uint8)
  found = LOSSES['ssim'](images[:, 0] / 255.0, images[:, 1] / 255.0)
  expected = [1 - metrics.ssim(restored=a, clean=b) for a, b in images]
  np.testing.assert_allclose(found, expected, atol=1e-5)
  with pytest.raises(ValueError, match='at least 11 pixels, not 10'):
    LOSSES['ssim'](*jnp.zeros((2, 1, 10, 20, 3)))


def test_weighted_sum_and_its_terms():
  pred, target = jnp.zeros((2, 2, 2, 1)), jnp.full((2, 2, 2, 1), 2.0)
  chosen = {n: (w, LOSSES[n]) for n, w in (('l1', 0.5), ('l2', 2.0))}
  total, terms = weighted_sum(pred, target, chosen)
  np.testing.assert_allclose(total, 0.5 * 2 + 2 * 4)
  assert set(terms) == {'l1', 'l2'}
  with pytest.raises(ValueError, match='no loss to train on'):
    weighted_sum(pred, target, {})


def test_unknown_objective_is_refused():
  with pytest.raises(ValueError, match="unknown objective 'magic'"):
    objective_pair('magic', *[None] * 7)
