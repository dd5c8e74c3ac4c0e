"""An SDE of one's own is a class and a row: nothing else knows which it is."""

import itertools

from flax import struct
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sel_jax import build
from sel_jax.diffusion import GRIDS
from sel_jax.diffusion import IRSDE
from sel_jax.diffusion import log_snr
from sel_jax.diffusion import sample
from sel_jax.diffusion import SAMPLERS
from sel_jax.diffusion import SDES
from sel_jax.diffusion import SDESpec
from sel_jax.diffusion.sde import at_time
from sel_jax.settings import Settings

MU = jnp.full((1, 6, 6, 3), 0.2)
CLEAN = jnp.linspace(0.1, 0.9, 108).reshape(1, 6, 6, 3)


def _brighter(mu):
  return 0.5 * mu + 0.3


@struct.dataclass
class Shifted(IRSDE):
  """Reverts to a brighter image instead of mu."""

  def start(self, mu, noise):
    return super().start(_brighter(mu), noise)

  def center(self, x_0_hat, mu):
    return _brighter(mu)

  def clean_from_noise(self, x_t, noise, mu, t):
    return super().clean_from_noise(x_t, noise, _brighter(mu), t)


def test_a_program_of_one_sde_is_never_that_of_another():
  sdes = [IRSDE.create(SDESpec(steps=4))]
  for number in range(60):

    @struct.dataclass
    class Own(IRSDE):
      added = number

      def center(self, x_0_hat, mu):
        return mu + self.added

    sdes.append(Own.create(SDESpec(steps=4)))
  center = jax.jit(lambda sde, mu: sde.center(mu, mu))
  found = [float(center(sde, 0.0)) for sde in sdes]
  assert found == [0.0, *range(60)]
  trees = [jax.tree.structure(sde) for sde in sdes]
  assert all(a != b for a, b in itertools.combinations(trees, 2))
  moved = jax.tree.map(lambda leaf: leaf, sdes[1])
  assert jax.tree.structure(moved) == trees[1] and type(moved) is type(sdes[1])


@struct.dataclass
class Exploding(IRSDE):
  """Reverts to nothing, dx = sigma_t dw: x_t = x_0 + s_t e."""

  @classmethod
  def create(cls, spec):
    made = super().create(spec)
    variance = 2 * made.scale**2 * made.cumulative * made.dt
    return made.replace(marginal_std=jnp.sqrt(variance))

  @property
  def signal(self):
    return jnp.ones_like(self.decay)

  @property
  def damping(self):
    return jnp.zeros_like(self.decay)

  def start(self, mu, noise):
    return mu + self.marginal_std[-1] * noise

  def center(self, x_0_hat, mu):
    return x_0_hat

  def clean_from_noise(self, x_t, noise, mu, t):
    return x_t - at_time(self.marginal_std, t, x_t) * noise

  def bridge(self, t, s):
    kept = (self.marginal_std[s] / self.marginal_std[t]) ** 2
    random = self.marginal_std[s] * jnp.sqrt(1 - kept)
    return kept, 1 - kept, random

  def euler(self, t, s, share):
    pull = 2 * self.scale**2 * self.elapsed(t, s) * share
    return jnp.ones_like(pull), -pull / self.marginal_std[t]


THIRD = {'shifted': Shifted, 'exploding': Exploding}
# The start of Exploding forgets mu only where noise is far above intensity.
SIGMAS = {'shifted': 50.0, 'exploding': 5000.0}


def _configured(monkeypatch, name, **changes):
  """The SDE that a configuration names, once it has its row."""
  monkeypatch.setitem(SDES, name, THIRD[name])
  settings = Settings.parse({'sde': {'name': name, **changes}})
  sde = build.build_method(settings).sde
  assert type(sde) is THIRD[name]
  return sde


def _exact(sde, clean):
  """The denoiser that knows the clean image."""
  return lambda x_t, mu, t: sde.noise_from_clean(x_t, clean, mu, t)


def _first_then_slow(rows, count):
  """Names of rows, those after the first few for the slow suite."""
  names = list(rows)
  rest = [pytest.param(name, marks=pytest.mark.slow) for name in names[count:]]
  return names[:count] + rest


def _perfect_cases():
  """In the quick suite each sampler with the stranger of the two."""
  for name, sampler, grid in itertools.product(THIRD, SAMPLERS, GRIDS):
    quick = grid == next(iter(GRIDS)) and (
      name == 'exploding' or sampler in ('posterior', 'ode')
    )
    marks = () if quick else pytest.mark.slow
    yield pytest.param(name, sampler, grid, marks=marks)


@pytest.mark.parametrize(('name', 'sampler', 'grid'), list(_perfect_cases()))
def test_a_perfect_denoiser_restores_the_image(
  monkeypatch, name, sampler, grid
):
  sde = _configured(monkeypatch, name)
  run = jax.jit(
    lambda times: sample(
      _exact(sde, CLEAN),
      sde,
      jax.random.key(1),
      MU,
      sampler=sampler,
      times=times,
    ),
    static_argnums=0,
  )
  euler = sampler in ('sde', 'ode')
  for steps in (sde.steps,) if euler else (1, 7):
    result = run(tuple(GRIDS[grid](sde, steps)))
    # Euler's own error is what one step leaves of the noise.
    close = 2 * float(sde.marginal_std[2]) if euler else 1e-4
    assert float(jnp.abs(result - CLEAN).max()) < close, steps


@pytest.mark.parametrize('name', THIRD)
@pytest.mark.parametrize('sampler', _first_then_slow(SAMPLERS, 2))
def test_states_have_the_marginal_of_the_forward_process(
  monkeypatch, name, sampler
):
  """Mean and variance of x_s given x_0, by drawing."""
  sde = _configured(monkeypatch, name, steps=400, max_sigma=SIGMAS[name])
  count, clean, mu = 4000, 0.8, jnp.full((4000, 1, 1, 1), 0.2)
  euler = sampler in ('sde', 'ode')
  times = None if euler else np.array([400, 300, 150, 50, 0])
  _, states = sample(
    _exact(sde, jnp.full_like(mu, clean)),
    sde,
    jax.random.key(2),
    mu,
    sampler=sampler,
    times=times,
    clip=False,
    trajectory=True,
  )
  chosen = (100, 250, 350) if euler else (1, 2, 3)
  for n, t in zip(chosen, (300, 150, 50), strict=True):
    mean = sde.marginal_mean(jnp.full((1, 1, 1, 1), clean), mu[:1], t)
    std = float(sde.marginal_std[t])
    error = float(jnp.abs(states[n].mean() - mean).max())
    assert error < 5 * std / count**0.5, t
    wide = 0.15 if euler else 0.05
    assert float(states[n].std()) == pytest.approx(std, rel=wide), t


@pytest.mark.parametrize('name', [*SDES, *THIRD])
@pytest.mark.parametrize('grid', GRIDS)
def test_grids_go_by_the_signal_to_noise_of_the_sde(monkeypatch, name, grid):
  kind = {**SDES, **THIRD}[name]
  sde = kind.create(SDESpec(steps=1000))
  ratio = np.asarray(log_snr(sde))
  np.testing.assert_allclose(
    np.exp(ratio[1:]), sde.signal[1:] / sde.marginal_std[1:], rtol=1e-4
  )
  times = GRIDS[grid](sde, 8)
  assert len(times) == 9 and times[0] == 1000 and times[-1] == 0
  steps = np.diff(ratio[times[:-1]])
  assert np.all(steps > 0)
  assert (steps.max() / steps.min() < 1.3) == (grid == 'log_snr')
