"""Mean-reverting stochastic differential equations in discrete time.

Contract: states are [B, H, W, C] floats; t is an integer array [B] (or a
scalar), 1..T, with t = 0 the clean end. Schedules are float32 arrays in a
pytree; every function is pure.
"""

import dataclasses
import math

from flax import struct
import jax
import jax.numpy as jnp
import numpy as np

from sel_jax.diffusion.schedules import SCHEDULES

Array = jax.Array


@dataclasses.dataclass(frozen=True)
class SDESpec:
  """Hyper-parameters of a diffusion.

  Attributes:
    steps: T.
    max_sigma: stationary noise level in 8-bit units; lambda = max_sigma / 255.
    eps: a_T, what is left of the clean image at t = T, in (0, 1).
    schedule: a row of `SCHEDULES`.
  """

  steps: int = 100
  max_sigma: float = 50.0
  eps: float = 0.005
  schedule: str = 'cosine'

  def __post_init__(self):
    if self.schedule not in SCHEDULES:
      raise ValueError(
        f'unknown schedule {self.schedule!r}; choose one of {list(SCHEDULES)}'
      )
    if self.steps < 1:
      raise ValueError(f'SDESpec.steps={self.steps}: must be at least 1')
    if not self.max_sigma > 0:
      raise ValueError(f'SDESpec.max_sigma={self.max_sigma}: must be > 0')
    if not 0 < self.eps < 1:
      raise ValueError(f'SDESpec.eps={self.eps}: must lie in (0, 1)')


def at_time(values: Array, t: Array, like: Array) -> Array:
  """values[t], shaped to broadcast against a batch of images."""
  picked = values[t]
  return picked.reshape(picked.shape + (1,) * (like.ndim - picked.ndim))


@struct.dataclass
class IRSDE:
  """dx = theta_t (mu - x) dt + sigma_t dw, sigma_t^2 = 2 lambda^2 theta_t.

  Source: IR-SDE, arXiv 2301.11699 eq. 1 and 6; with y = x - mu it is a
  variance-preserving diffusion of y / lambda.

  Attributes:
    thetas: theta_t, [T + 1].
    cumulative: Theta_t = sum_{s <= t} theta_s - theta_0, [T + 1].
    decay: a_t = exp(-Theta_t dt), [T + 1], from 1 to eps.
    marginal_std: s_t = lambda sqrt(1 - a_t^2), [T + 1].
    dt: step length, such that a_T = eps.
    scale: lambda, the stationary standard deviation in intensity.
  """

  thetas: Array
  cumulative: Array
  decay: Array
  marginal_std: Array
  dt: Array
  scale: Array

  @classmethod
  def create(cls, spec: SDESpec):
    """Computes the schedule in float64 and keeps it in float32."""
    thetas = SCHEDULES[spec.schedule](spec.steps)
    cumulative = np.cumsum(thetas) - thetas[0]
    dt = -math.log(spec.eps) / cumulative[-1]
    scale = spec.max_sigma / 255
    # 1 - a^2 by expm1: exact near t = 0, where a rounds to one.
    std = scale * np.sqrt(-np.expm1(-2 * cumulative * dt))
    arrays = (thetas, cumulative, np.exp(-cumulative * dt), std, dt, scale)
    return cls(*(jnp.asarray(x, jnp.float32) for x in arrays))

  @property
  def steps(self) -> int:
    """T."""
    return self.thetas.shape[0] - 1

  @property
  def sigmas(self) -> Array:
    """sigma_t = lambda sqrt(2 theta_t), [T + 1]."""
    return self.scale * jnp.sqrt(2 * self.thetas)

  def marginal_mean(self, clean: Array, mu: Array, t: Array) -> Array:
    """E[x_t] = mu + a_t (x_0 - mu)."""
    return mu + at_time(self.decay, t, clean) * (clean - mu)

  def perturb(self, clean: Array, mu: Array, t: Array, noise: Array) -> Array:
    """x_t = mu + a_t (x_0 - mu) + s_t e; images [B, H, W, C], t [B]."""
    std = at_time(self.marginal_std, t, clean)
    return self.marginal_mean(clean, mu, t) + std * noise

  def prior(self, mu: Array, noise: Array) -> Array:
    """Start of sampling, x_T = mu + lambda e."""
    return mu + self.scale * noise

  def score_from_noise(self, noise: Array, t: Array) -> Array:
    """-e / s_t."""
    return -noise / at_time(self.marginal_std, t, noise)

  def noise_from_clean(
    self, x: Array, clean: Array, mu: Array, t: Array
  ) -> Array:
    """E = (x_t - E[x_t]) / s_t."""
    mean = self.marginal_mean(clean, mu, t)
    return (x - mean) / at_time(self.marginal_std, t, x)

  def clean_from_noise(
    self, x: Array, noise: Array, mu: Array, t: Array
  ) -> Array:
    """x0_hat = mu + (x_t - mu - s_t e) / a_t."""
    std = at_time(self.marginal_std, t, x)
    return mu + (x - mu - std * noise) / at_time(self.decay, t, x)

  def drift(self, x: Array, mu: Array, t: Array) -> Array:
    """theta_t (mu - x) dt."""
    return at_time(self.thetas, t, x) * (mu - x) * self.dt

  def reverse_mean(self, x: Array, score: Array, mu: Array, t: Array) -> Array:
    """Euler mean of the reverse SDE, x - [theta (mu - x) - sigma^2 score] dt.

    Source: IR-SDE, arXiv 2301.11699 eq. 8.
    """
    variance = at_time(self.sigmas**2, t, x)
    return x - (self.drift(x, mu, t) - variance * score * self.dt)

  def reverse_ode_step(
    self, x: Array, score: Array, mu: Array, t: Array
  ) -> Array:
    """Euler step of the probability-flow ODE: half the score's pull."""
    variance = at_time(self.sigmas**2, t, x)
    return x - (self.drift(x, mu, t) - 0.5 * variance * score * self.dt)

  def reverse_sde_step(
    self, x: Array, score: Array, mu: Array, t: Array, noise: Array
  ) -> Array:
    """`reverse_mean` minus the dispersion sigma_t sqrt(dt) z."""
    dispersion = at_time(self.sigmas, t, x) * jnp.sqrt(self.dt) * noise
    return self.reverse_mean(x, score, mu, t) - dispersion

  def _bridge(self, t: Array, like: Array) -> tuple[Array, Array, Array]:
    """1 - A^2, 1 - C^2, 1 - B^2 of the optimum, by expm1."""
    unit = self.thetas[t] * self.dt
    total = self.cumulative[t] * self.dt
    before = self.cumulative[t - 1] * self.dt
    parts = (-jnp.expm1(-2 * x) for x in (unit, before, total))
    return tuple(
      p.reshape(p.shape + (1,) * (like.ndim - p.ndim)) for p in parts
    )

  def optimum(self, x: Array, clean: Array, mu: Array, t: Array) -> Array:
    """x*_{t-1}, the likeliest state before x_t given x_0.

      mu + [A (1 - C^2) (x_t - mu) + C (1 - A^2) (x_0 - mu)] / (1 - B^2)
      A = exp(-theta_t dt),  B = a_t,  C = a_{t-1}

    Source: IR-SDE, arXiv 2301.11699 eq. 14.
    """
    one_a, one_c, one_b = self._bridge(t, x)
    a = at_time(jnp.exp(-self.thetas * self.dt), t, x)
    c = at_time(self.decay, t - 1, x)
    return mu + (a * one_c * (x - mu) + c * one_a * (clean - mu)) / one_b

  def noise_from_euler(
    self, x: Array, noise: Array, mu: Array, t: Array
  ) -> Array:
    """The noise e that a perfect answer to the `optimum` objective stands for.

    The objective makes the Euler mean of e' equal x*_{t-1}, which e itself
    does not. With y = x - mu, u = theta_t dt and x* = mu + p y_t + q y_0,

      (1 + u) y_t - (2 lambda^2 u / s_t) e' = p y_t + q y_0

    is solved for y_0, and y_0 gives e. Linear in e', so it holds for the mean
    that a network learns as well. Derived in docs/decisions.md.
    """
    one_a, one_c, one_b = self._bridge(t, x)
    unit = at_time(self.thetas * self.dt, t, x)
    p = jnp.exp(-unit) * one_c / one_b
    q = at_time(self.decay, t - 1, x) * one_a / one_b
    pull = 2 * self.scale**2 * unit / at_time(self.marginal_std, t, x)
    clean = mu + ((1 + unit - p) * (x - mu) - pull * noise) / q
    return self.noise_from_clean(x, clean, mu, t)

  def posterior_std(self, t: Array, like: Array) -> Array:
    """Lambda sqrt((1 - A^2) (1 - C^2) / (1 - B^2)); 0 at t = 1."""
    one_a, one_c, one_b = self._bridge(t, like)
    return self.scale * jnp.sqrt(one_a * one_c / one_b)

  def posterior_step(
    self, x: Array, noise_hat: Array, mu: Array, t: Array, noise: Array
  ) -> Array:
    """One ancestral unit step: optimum of x0_hat plus posterior noise."""
    clean = self.clean_from_noise(x, noise_hat, mu, t)
    return self.optimum(x, clean, mu, t) + self.posterior_std(t, x) * noise


@struct.dataclass
class DenoisingSDE(IRSDE):
  """The same equation with mu = the clean image: Gaussian denoising.

    x_t = x_0 + s_t e,     s_t = lambda sqrt(1 - a_t^2)

  Methods keep `IRSDE`'s signatures; `mu` is ignored, because the process
  reverts to the clean image itself. Source: IR-SDE, arXiv 2301.11699 sec. 5.
  """

  @classmethod
  def create(cls, spec: SDESpec = SDESpec(eps=0.04)):
    """As `IRSDE.create`; the release fixes eps = 0.04 here."""
    return super().create(spec)

  def time_of_noise(self, std: float) -> int:
    """Time whose noise level s_t is nearest to a photograph's, 1..T.

    Sampling a photograph with noise of deviation `std` (in intensity) starts
    there: `times=time_grid(sde.time_of_noise(std), steps)`.
    """
    return int(jnp.argmin(jnp.abs(self.marginal_std[1:] - std))) + 1

  def marginal_mean(self, clean: Array, mu: Array, t: Array) -> Array:
    """E[x_t] = x_0."""
    del mu, t
    return clean

  def clean_from_noise(
    self, x: Array, noise: Array, mu: Array, t: Array
  ) -> Array:
    """x0_hat = x_t - s_t e."""
    return x - at_time(self.marginal_std, t, x) * noise

  def _pull(self, x: Array, score: Array, t: Array, share: float) -> Array:
    variance = at_time(self.sigmas**2, t, x)
    a = at_time(self.decay, t, x)
    return 0.5 * variance * (share + a * a) * score * self.dt

  def reverse_mean(self, x: Array, score: Array, mu: Array, t: Array) -> Array:
    """X + 1/2 sigma^2 (1 + a_t^2) score dt."""
    return x + self._pull(x, score, t, 1.0)

  def reverse_ode_step(
    self, x: Array, score: Array, mu: Array, t: Array
  ) -> Array:
    """X + 1/2 sigma^2 a_t^2 score dt."""
    return x + self._pull(x, score, t, 0.0)

  def optimum(self, x: Array, clean: Array, mu: Array, t: Array) -> Array:
    """`IRSDE.optimum` with mu = x_0."""
    return super().optimum(x, clean, clean, t)

  def noise_from_euler(
    self, x: Array, noise: Array, mu: Array, t: Array
  ) -> Array:
    """As `IRSDE.noise_from_euler`: x_t - r e' = x_0 + p s_t e, so e ~ e'."""
    del mu
    _, one_c, one_b = self._bridge(t, x)
    std = at_time(self.marginal_std, t, x)
    p = at_time(jnp.exp(-self.thetas * self.dt), t, x) * one_c / one_b
    pull = -self._pull(x, -noise / std, t, 1.0)
    return pull / (std * (1 - p))

  def posterior_step(
    self, x: Array, noise_hat: Array, mu: Array, t: Array, noise: Array
  ) -> Array:
    """As `IRSDE.posterior_step` with mu = x0_hat."""
    clean = self.clean_from_noise(x, noise_hat, mu, t)
    return self.optimum(x, clean, clean, t) + self.posterior_std(t, x) * noise


SDES = {'ir': IRSDE, 'denoising': DenoisingSDE}
