import functools
import json

from conftest import nhwc
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sel_jax.diffusion import DenoisingSDE
from sel_jax.diffusion import IRSDE
from sel_jax.diffusion import sample
from sel_jax.diffusion import SAMPLERS
from sel_jax.diffusion import SDESpec
from sel_jax.diffusion import time_grid
from sel_jax.interop import torch_weights
from sel_jax.models import ConditionalNAFNet

MU = jnp.full((1, 6, 6, 3), 0.2)
CLEAN = jnp.linspace(0.1, 0.9, 108).reshape(1, 6, 6, 3)


@pytest.mark.parametrize('sampler', ['posterior', 'sde', 'ode'])
def test_unit_steps_match_the_reference(golden, sampler):
  numbers = golden('sampler')
  cfg = json.loads(str(numbers['cfg']))
  model = ConditionalNAFNet(
    cfg['width'],
    tuple(cfg['enc_blk_nums']),
    cfg['middle_blk_num'],
    tuple(cfg['dec_blk_nums']),
  )
  params = torch_weights.nafnet_params(
    {
      k.removeprefix('params/'): v
      for k, v in numbers.items()
      if k.startswith('params/')
    }
  )
  sde = IRSDE.create(
    SDESpec(
      steps=int(numbers['T']),
      max_sigma=float(numbers['max_sigma']),
      eps=float(numbers['eps']),
    )
  )
  draws = np.concatenate(
    [numbers[f'{sampler}/noise_init'][None], numbers[f'{sampler}/z']]
  )
  draws = jnp.asarray(nhwc(draws))
  run = jax.jit(
    lambda mu: sample(
      lambda x, mu, t: model.apply({'params': params}, x, mu, t),
      sde,
      jax.random.key(0),
      mu,
      sampler=sampler,
      clip=False,
      noise_at=lambda n: draws[n],
      trajectory=True,
    )
  )
  result, states = run(jnp.asarray(nhwc(numbers['mu'])))
  expected = nhwc(numbers[f'{sampler}/trajectory'])
  scale = np.abs(expected).max(axis=(1, 2, 3, 4), keepdims=True)
  np.testing.assert_allclose(
    states / scale, expected / scale, rtol=0, atol=1e-5
  )
  np.testing.assert_array_equal(result, states[-1])


def _exact(sde):
  """The denoiser that knows the clean image."""
  return lambda x, mu, t: sde.noise_from_clean(x, CLEAN, mu, t)


@pytest.mark.parametrize('sampler', SAMPLERS)
@pytest.mark.parametrize('steps', [1, 7, 100])
def test_a_perfect_denoiser_restores_the_image(sampler, steps):
  sde = IRSDE.create(SDESpec())
  result, states = sample(
    _exact(sde),
    sde,
    jax.random.key(1),
    MU,
    sampler=sampler,
    times=time_grid(sde.steps, steps),
    trajectory=True,
  )
  assert states.shape == (steps + 1, *MU.shape)
  error = float(jnp.abs(result - CLEAN).max())
  if sampler == 'posterior':  # the last step returns x0_hat, whatever the grid
    assert error < 1e-5
  elif steps == 100:  # Euler's own error
    assert error < 0.1


def test_posterior_skips_have_the_marginal_of_the_forward_process():
  """A step t -> s of any length: mean and variance of x_s given x_0."""
  sde = IRSDE.create(SDESpec())
  count = 4000
  mu = jnp.broadcast_to(MU[:, :1, :1], (count, 1, 1, 3))
  clean = jnp.full_like(mu, 0.8)
  result, states = sample(
    lambda x, mu, t: sde.noise_from_clean(x, clean, mu, t),
    sde,
    jax.random.key(2),
    mu,
    times=np.array([100, 61, 13, 0]),
    clip=False,
    trajectory=True,
  )
  for state, t in zip(states[1:3], (61, 13), strict=True):
    mean = mu[0] + sde.decay[t] * (clean[0] - mu[0])
    std = float(sde.marginal_std[t])
    assert float(jnp.abs(state.mean(0) - mean).max()) < 5 * std / count**0.5
    assert float(state.std()) == pytest.approx(std, rel=0.05)
  np.testing.assert_allclose(result, clean, atol=1e-5)


@pytest.mark.parametrize('sampler', ['sde', 'ode'])
def test_euler_converges_to_the_posterior_of_gaussian_data(sampler):
  """x_0 ~ N(m, c^2): the exact denoiser is linear, the result known."""
  sde = IRSDE.create(SDESpec(steps=1000))
  count, mean, spread = 4000, 0.6, 0.1
  mu = jnp.full((count, 1, 1, 1), 0.2)

  def denoise(x, mu, t):
    a, s = sde.decay[t], sde.marginal_std[t]
    gain = a * spread**2 / (a**2 * spread**2 + s**2)
    clean = mean + gain * (x - mu - a * (mean - mu))
    return sde.noise_from_clean(x, clean, mu, t)

  result = sample(
    denoise, sde, jax.random.key(0), mu, sampler=sampler, clip=False
  )
  assert float(result.mean()) == pytest.approx(mean, abs=0.015)
  assert float(result.std()) == pytest.approx(spread, rel=0.1)


@pytest.mark.parametrize('sampler', SAMPLERS)
def test_denoising_diffusion_removes_its_noise(sampler):
  sde = DenoisingSDE.create()
  noise = jax.random.normal(jax.random.key(0), CLEAN.shape)
  noisy = sde.perturb(CLEAN, CLEAN, jnp.asarray([sde.steps]), noise)
  result = sample(
    _exact(sde), sde, jax.random.key(1), noisy, sampler=sampler, clip=False
  )
  before = float(jnp.abs(noisy - CLEAN).mean())
  after = float(jnp.abs(result - CLEAN).mean())
  assert after < 0.1 * before


def test_denoising_starts_at_the_time_of_its_noise():
  sde = DenoisingSDE.create()
  start = sde.time_of_noise(25 / 255)
  assert float(sde.marginal_std[start]) == pytest.approx(25 / 255, rel=0.05)
  noisy = CLEAN + 25 / 255 * jax.random.normal(jax.random.key(0), CLEAN.shape)
  times = time_grid(start, 5)
  result = sample(_exact(sde), sde, jax.random.key(1), noisy, times=times)
  np.testing.assert_allclose(result, CLEAN, atol=1e-5)


def test_clipping_keeps_the_estimate_in_range():
  sde = IRSDE.create(SDESpec())
  wild = lambda x, mu, t: 50 * jnp.ones_like(x)
  run = functools.partial(sample, wild, sde, jax.random.key(0), MU)
  times = time_grid(sde.steps, 5)
  assert float(jnp.abs(run(times=times)).max()) <= 1
  assert float(jnp.abs(run(times=times, clip=False)).max()) > 1


def test_noise_of_an_example_does_not_depend_on_the_batch():
  sde = IRSDE.create(SDESpec(steps=10))
  keep = lambda x, mu, t: x - mu
  one = sample(keep, sde, jax.random.key(0), MU)
  three = sample(keep, sde, jax.random.key(0), jnp.repeat(MU, 3, axis=0))
  np.testing.assert_allclose(three[:1], one, atol=1e-6)
  assert float(jnp.abs(three[0] - three[1]).max()) > 1e-3


def test_bad_arguments_are_named():
  sde = IRSDE.create(SDESpec(steps=10))
  run = functools.partial(sample, _exact(sde), sde, jax.random.key(0), MU)
  with pytest.raises(ValueError, match="unknown sampler 'magic'"):
    run(sampler='magic')
  with pytest.raises(ValueError, match='times must decrease'):
    run(times=np.array([10, 4, 4, 0]))
  with pytest.raises(ValueError, match='times must decrease'):
    run(times=np.array([12, 0]))
  with pytest.raises(ValueError, match='steps=11'):
    time_grid(10, 11)
