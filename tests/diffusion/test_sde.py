from conftest import nhwc
import jax.numpy as jnp
import numpy as np
import pytest

from sel_jax.diffusion import DenoisingSDE
from sel_jax.diffusion import IRSDE
from sel_jax.diffusion import SCHEDULES
from sel_jax.diffusion import SDESpec


def _make(numbers, kind, schedule):
  eps = numbers['eps'] if kind == 'ir' else numbers['denoise_eps']
  spec = SDESpec(
    steps=int(numbers['T']),
    max_sigma=float(numbers['max_sigma']),
    eps=float(eps),
    schedule=schedule,
  )
  return (IRSDE if kind == 'ir' else DenoisingSDE).create(spec)


def _cases(numbers):
  return sorted({tuple(k.split('/')[:2]) for k in numbers if '/step/' in k})


def test_schedules_match_the_reference(golden):
  numbers = golden('sde')
  for kind, schedule in _cases(numbers):
    sde = _make(numbers, kind, schedule)
    for key, found in (
      ('thetas', sde.thetas),
      ('sigmas', sde.sigmas),
      ('thetas_cumsum', sde.cumulative),
      ('sigma_bars', sde.marginal_std),
      ('dt', sde.dt),
    ):
      expected = numbers[f'{kind}/{schedule}/{key}']
      np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def _assert_close(found, expected, sde, t, key):
  """Equal to 1e-5 and to what float32 leaves of 1 - a^2 in the reference.

  It computes 1 - exp(-2x) by subtraction, which loses digits at small t; ours
  is exact there. Large values are amplified by 1/a_t or 1/s_t: relative.
  """
  found, expected = np.asarray(found), np.asarray(expected)
  early = np.maximum(np.asarray(t) - 1, 1)
  kept = -np.expm1(2 * np.log(np.asarray(sde.decay[early], np.float64)))
  tolerance = 1e-5 + 2 * 6e-8 / kept
  for n, allowed in enumerate(tolerance):
    scale = max(1.0, np.abs(expected[n]).max())
    error = np.abs(found[n] - expected[n]).max()
    assert error <= allowed * scale, (key, int(t[n]), error, scale)


def test_every_step_function_matches_the_reference(golden):
  numbers = golden('sde')
  compared = set()
  for kind, schedule in _cases(numbers):
    sde = _make(numbers, kind, schedule)
    step = f'{kind}/{schedule}/step/'
    get = lambda k, s=step: jnp.asarray(nhwc(numbers[s + k]))
    clean, noise, noise_hat, t = (
      get('x0'),
      get('noise'),
      get('noise_pred'),
      jnp.asarray(numbers[step + 't']),
    )
    mu = get('mu') if kind == 'ir' else clean
    x = get('xt')
    score = sde.score_from_noise(noise_hat, t)
    found = {
      'mu_bar': lambda: sde.marginal_mean(clean, mu, t),
      'sigma_bar': lambda: sde.marginal_std[t].reshape(-1, 1, 1, 1),
      'xt': lambda: sde.perturb(clean, mu, t, noise),
      'score': lambda: score,
      'drift': lambda: sde.drift(x, mu, t),
      'reverse_sde_mean': lambda: sde.reverse_mean(x, score, mu, t),
      'reverse_ode_step': lambda: sde.reverse_ode_step(x, score, mu, t),
      'reverse_sde_step': lambda: sde.reverse_sde_step(
        x, score, mu, t, get('z')
      ),
      'optimum': lambda: sde.optimum(x, clean, mu, t),
      'posterior_std': lambda: sde.posterior_std(t, x),
      'x0_from_noise': lambda: sde.clean_from_noise(x, noise_hat, mu, t),
      'posterior_step': lambda: sde.posterior_step(
        x, noise_hat, mu, t, get('z')
      ),
      'real_noise': lambda: sde.noise_from_clean(x, clean, mu, t),
      'real_score': lambda: sde.score_from_noise(
        sde.noise_from_clean(x, clean, mu, t), t
      ),
    }
    for key in numbers:
      name = key.removeprefix(step)
      if key.startswith(step) and name in found:
        expected = get(name)
        _assert_close(found[name](), expected, sde, t, key)
        compared.add(name)
  assert compared == set(found)


@pytest.mark.parametrize('schedule', SCHEDULES)
@pytest.mark.parametrize('steps', [1, 10, 1000])
def test_process_runs_from_clean_to_eps(schedule, steps):
  sde = IRSDE.create(SDESpec(steps=steps, eps=0.01, schedule=schedule))
  assert sde.steps == steps
  assert float(sde.decay[0]) == 1
  assert float(sde.decay[-1]) == pytest.approx(0.01, rel=1e-5)
  assert float(sde.marginal_std[0]) == 0
  assert np.all(np.diff(sde.marginal_std) >= 0)
  # s_T = lambda sqrt(1 - a_T^2); constant speed leaves eps^(t/T).
  std = 50 / 255 * np.sqrt(1 - 0.01**2)
  assert float(sde.marginal_std[-1]) == pytest.approx(std, rel=1e-5)
  assert np.all(np.asarray(sde.thetas[1:]) > 0) and float(sde.dt) > 0
  if schedule == 'constant':
    shares = np.arange(steps + 1) / steps
    np.testing.assert_allclose(sde.decay, 0.01**shares, rtol=1e-4)


@pytest.mark.parametrize('make', [IRSDE, DenoisingSDE])
def test_noise_and_clean_estimates_invert_each_other(make):
  sde = make.create(SDESpec())
  rng = np.random.default_rng(0)
  clean, mu, x = (
    jnp.asarray(rng.uniform(size=(3, 4, 4, 3)), jnp.float32) for _ in range(3)
  )
  t = jnp.asarray([1, 50, 90])
  noise = sde.noise_from_clean(x, clean, mu, t)
  np.testing.assert_allclose(
    sde.clean_from_noise(x, noise, mu, t), clean, atol=2e-5
  )
  np.testing.assert_allclose(sde.perturb(clean, mu, t, noise), x, atol=1e-5)


@pytest.mark.parametrize(
  ('field', 'value'),
  [('schedule', 'spiral'), ('steps', 0), ('max_sigma', 0.0), ('eps', 1.0)],
)
def test_bad_hyper_parameters_are_named(field, value):
  with pytest.raises(ValueError, match=f'{value}'):
    SDESpec(**{field: value})
