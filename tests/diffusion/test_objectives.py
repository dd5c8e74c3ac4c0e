import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sel_jax.diffusion import IRSDE
from sel_jax.diffusion import objective_pair
from sel_jax.diffusion import OBJECTIVES
from sel_jax.diffusion import PREDICTIONS
from sel_jax.diffusion import SDESpec


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


def test_unknown_objective_is_refused(unchecked):
  with pytest.raises(ValueError, match="unknown objective 'magic'"):
    objective_pair('magic', *[None] * 7)
