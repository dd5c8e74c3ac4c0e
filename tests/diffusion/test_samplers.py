import functools
import json

from conftest import nhwc
import hypothesis
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.lib import analytic
from sel_jax.diffusion import DenoisingSDE
from sel_jax.diffusion import GRIDS
from sel_jax.diffusion import IRSDE
from sel_jax.diffusion import log_snr
from sel_jax.diffusion import log_snr_grid
from sel_jax.diffusion import sample
from sel_jax.diffusion import SAMPLERS
from sel_jax.diffusion import SCHEDULES
from sel_jax.diffusion import SDESpec
from sel_jax.diffusion import time_grid
from sel_jax.diffusion.samplers import dynamic_limit
from sel_jax.diffusion.samplers import per_example_noise
from sel_jax.diffusion.samplers import restrict
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
@pytest.mark.parametrize(
  'steps', [1, pytest.param(7, marks=pytest.mark.slow), 100]
)
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
  if sampler not in ('sde', 'ode'):  # the last step returns x0_hat
    assert error < 1e-5
  elif steps == 100:  # Euler's own error
    assert error < 0.1


@pytest.mark.parametrize('sampler', ['posterior', 'ddim', 'sde_dpm2m'])
def test_skips_have_the_marginal_of_the_forward_process(sampler):
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
    sampler=sampler,
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


DATA = analytic.GaussianData()


def _draws(sde, sampler, count, times=None):
  """Samples of Gaussian data by its exact denoiser."""
  mu = jnp.full((count, 1, 1, 1), DATA.mu)
  key = jax.random.key(0)
  options = {'sampler': sampler, 'times': times, 'clip': False}
  return sample(DATA.denoise(sde), sde, key, mu, **options)


@pytest.mark.parametrize('sampler', SAMPLERS)
def test_many_steps_end_at_the_posterior_of_gaussian_data(sampler):
  """x_0 ~ N(m, c^2): the exact denoiser is linear, the result known."""
  result = _draws(IRSDE.create(SDESpec(steps=1000)), sampler, 4000)
  assert float(result.mean()) == pytest.approx(DATA.mean, abs=0.015)
  assert float(result.std()) == pytest.approx(DATA.spread, rel=0.1)


@pytest.mark.parametrize('sampler', SAMPLERS)
@pytest.mark.parametrize(
  'grid', ['log_snr', pytest.param('time', marks=pytest.mark.slow)]
)
def test_propagated_moments_are_those_of_draws(sampler, grid):
  sde = IRSDE.create(SDESpec())
  times = GRIDS[grid](sde, 12)
  result = _draws(sde, sampler, 20_000, times)
  drawn = np.hypot(
    float(result.mean()) - DATA.mean, float(result.std()) - DATA.spread
  )
  exact = analytic.error(DATA, sde, sampler, times)
  assert drawn == pytest.approx(exact, abs=0.003)


def _order(sampler, *, coarse=16, stop=200):
  """log2 of the error's fall when steps double, on the exact flow."""
  sde = IRSDE.create(SDESpec(steps=1000))
  known = np.asarray(log_snr(sde))
  errors = []
  for steps in (coarse, 2 * coarse):
    wanted = np.linspace(known[-1], known[stop], steps + 1)
    exact = np.interp(wanted, known[:0:-1], np.arange(1000, 0, -1))
    times = np.append(np.rint(exact).astype(int), 0)
    _, states = sample(
      DATA.denoise(sde),
      sde,
      jax.random.key(0),
      jnp.full((64, 1, 1, 1), DATA.mu),
      sampler=sampler,
      times=times,
      clip=False,
      trajectory=True,
    )
    truth = DATA.flow(sde, np.asarray(states[0]), stop)
    errors.append(float(jnp.sqrt(jnp.mean((states[-2] - truth) ** 2))))
  return np.log2(errors[0] / errors[1])


def test_orders_of_convergence():
  assert _order('ode') == pytest.approx(1, abs=0.15)
  assert _order('ddim') == pytest.approx(1, abs=0.15)
  assert 1.8 < _order('dpm2m') < 3


@pytest.mark.parametrize('spread', [0.02, 0.1, 0.2])
def test_ten_second_order_steps_halve_the_error(spread):
  data = analytic.GaussianData(spread=spread)
  sde = IRSDE.create(SDESpec())
  times = {name: grid(sde, 10) for name, grid in GRIDS.items()}
  ours = analytic.error(data, sde, 'dpm2m', times['log_snr'])
  for grid in GRIDS:
    assert ours <= 0.5 * analytic.error(data, sde, 'posterior', times[grid])


def test_few_steps_approach_a_thousand_on_data_of_two_kinds():
  """A mixture of two normals: the denoiser is not linear."""
  sde = IRSDE.create(SDESpec(steps=1000))
  kinds = [analytic.GaussianData(m, 0.05) for m in (0.4, 0.8)]

  def denoise(x, mu, t):
    a, s = sde.decay[t], sde.marginal_std[t]
    wide = jnp.sqrt((a * 0.05) ** 2 + s**2)
    logits = jnp.stack(
      [-0.5 * ((x - mu - a * (k.mean - mu)) / wide) ** 2 for k in kinds]
    )
    noises = jnp.stack([k.denoise(sde)(x, mu, t) for k in kinds])
    return jnp.sum(jax.nn.softmax(logits, axis=0) * noises, axis=0)

  def run(sampler, steps):
    return sample(
      denoise,
      sde,
      jax.random.key(0),
      jnp.full((500, 1, 1, 1), 0.2),
      sampler=sampler,
      times=log_snr_grid(sde, steps),
      clip=False,
    )

  fine = run('dpm2m', 1000)
  errors = {
    (name, steps): float(jnp.sqrt(jnp.mean((run(name, steps) - fine) ** 2)))
    for name, steps in (('dpm2m', 10), ('dpm2m', 20), ('ddim', 20))
  }
  assert errors['dpm2m', 20] < 0.5 * errors['dpm2m', 10]
  assert errors['dpm2m', 20] < 0.5 * errors['ddim', 20]


@hypothesis.settings(max_examples=20, deadline=None)
@hypothesis.given(
  total=st.integers(1, 60),
  share=st.floats(0, 1),
  schedule=st.sampled_from(sorted(SCHEDULES)),
)
def test_grids_have_the_asked_number_of_decreasing_times(
  total, share, schedule
):
  sde = IRSDE.create(SDESpec(steps=total, schedule=schedule))
  steps = max(1, round(share * total))
  for grid in GRIDS.values():
    times = grid(sde, steps)
    assert len(times) == steps + 1
    assert times[0] == total and times[-1] == 0
    assert np.all(np.diff(times) < 0)


def test_log_snr_grid_is_even_where_integers_allow():
  sde = IRSDE.create(SDESpec(steps=1000))
  ratios = np.asarray(log_snr(sde))[log_snr_grid(sde, 8)[:-1]]
  steps = np.diff(ratios)
  assert steps.max() / steps.min() < 1.1


@pytest.mark.parametrize('kind', [IRSDE, DenoisingSDE])
def test_the_bias_of_the_optimum_objective_is_undone_exactly(kind):
  """e' whose Euler mean is x*_{t-1} gives back the e that made x_t."""
  sde = kind.create(SDESpec(steps=20, eps=0.04))
  for t in range(1, 21):
    t = jnp.asarray([t])
    noise = jax.random.normal(jax.random.key(0), CLEAN.shape)
    mu = jnp.broadcast_to(MU, CLEAN.shape)
    x = sde.perturb(CLEAN, mu, t, noise)
    start = sde.reverse_mean(x, jnp.zeros_like(x), mu, t)
    pull = sde.reverse_mean(x, sde.score_from_noise(jnp.ones_like(x), t), mu, t)
    biased = (sde.optimum(x, CLEAN, mu, t) - start) / (pull - start)
    np.testing.assert_allclose(
      sde.noise_from_euler(x, biased, mu, t), noise, atol=2e-3
    )
    if int(t[0]) == 20:  # what is undone is not small
      assert float(jnp.abs(biased - noise).max()) > 0.05


def _noisy(sde, t):
  """A photograph with the noise of time t, and that noise."""
  noise = jax.random.normal(jax.random.key(0), CLEAN.shape)
  dark = jnp.zeros_like(CLEAN)  # a low image must not matter
  return sde.perturb(CLEAN, dark, jnp.asarray([t]), noise), noise


@pytest.mark.parametrize('sampler', SAMPLERS)
def test_denoising_gives_the_clean_image_for_the_exact_noise(sampler):
  sde = DenoisingSDE.create()
  noisy, _ = _noisy(sde, sde.steps)
  result, states = sample(
    _exact(sde),
    sde,
    jax.random.key(1),
    noisy,
    sampler=sampler,
    clip=False,
    trajectory=True,
  )
  np.testing.assert_array_equal(states[0], noisy)  # nothing is added to it
  error = np.abs(result - CLEAN)
  if sampler in ('sde', 'ode'):  # Euler's own error
    assert error.max() < 2 * float(sde.marginal_std[2])
    assert error.mean() < 0.1 * float(jnp.abs(noisy - CLEAN).mean())
  else:
    assert error.max() < 1e-5


def test_denoising_begins_with_the_noise_of_its_time():
  """x_t = x_0 + s_t e, s_t = lambda sqrt(1 - a_t^2), whatever is low."""
  sde = DenoisingSDE.create(SDESpec(max_sigma=40, eps=0.1))
  known = np.exp(-np.asarray(sde.cumulative, np.float64) * float(sde.dt))
  for t in (1, 50, 100):
    noisy, noise = _noisy(sde, t)
    std = 40 / 255 * np.sqrt(1 - known[t] ** 2)
    np.testing.assert_allclose(noisy, CLEAN + std * noise, atol=1e-6)
    # One step with that noise leaves the clean image.
    found = sample(
      lambda x, mu, t, e=noise: e,
      sde,
      jax.random.key(1),
      noisy,
      times=np.array([t, 0]),
    )
    np.testing.assert_allclose(found, CLEAN, atol=1e-5)


def test_denoising_starts_at_the_time_of_its_noise():
  sde = DenoisingSDE.create()
  start = sde.first(25 / 255)
  stds = np.asarray(sde.marginal_std)
  assert abs(stds[start] - 25 / 255) == np.abs(stds - 25 / 255).min()
  assert stds[start] == pytest.approx(25 / 255, rel=0.05)
  assert sde.first(1.0) == sde.steps and sde.first(0.0) == 1
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


def test_dynamic_thresholding_scales_what_overshoots():
  clean = jnp.linspace(-0.5, 1.5, 101).reshape(1, 101, 1, 1)
  limit = dynamic_limit(clean, 0.9)
  assert float(limit[0]) == pytest.approx(1.8, rel=0.02)
  found = restrict(clean, limit[:, None, None, None])
  assert float(found.min()) == 0 and float(found.max()) == 1
  inside = jnp.linspace(0.2, 0.7, 11).reshape(1, 11, 1, 1)
  assert float(dynamic_limit(inside, 0.9)[0]) == 1
  np.testing.assert_allclose(restrict(inside, 1.0), inside, atol=1e-6)
  np.testing.assert_allclose(
    restrict(clean, 1.0), jnp.clip(clean, 0, 1), atol=1e-6
  )


def test_noise_of_a_pixel_does_not_depend_on_the_image_around_it():
  draw = lambda shape: per_example_noise(jax.random.key(0), shape)(3)
  large = draw((2, 40, 50, 3))
  np.testing.assert_array_equal(draw((2, 32, 41, 3)), large[:, :32, :41])
  assert abs(float(large.mean())) < 0.05
  assert float(large.std()) == pytest.approx(1, abs=0.05)
  flat = large.reshape(-1, 150)
  correlations = np.corrcoef(flat)[~np.eye(len(flat), dtype=bool)]
  assert np.abs(correlations).max() < 0.45


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
  for times in ([10, 4, 4, 0], [12, 0]):
    with pytest.raises(ValueError, match='times must decrease'):
      run(times=np.array(times))
  with pytest.raises(ValueError, match='steps=11'):
    time_grid(10, 11)
