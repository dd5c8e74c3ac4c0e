"""Mean-reverting stochastic differential equations in discrete time.

Contract: states are [B, H, W, C] floats; t is an integer array [B] (or a
scalar), 1..T, with t = 0 the clean end. Schedules are float32 arrays in a
pytree; every function is pure.
"""

import math

from flax import struct
import jax.numpy as jnp
from jaxtyping import Float
import numpy as np

from sel_jax import fields
from sel_jax.arrays import AnyArray
from sel_jax.arrays import Floats
from sel_jax.arrays import Same
from sel_jax.arrays import Times
from sel_jax.diffusion.schedules import SCHEDULES
from sel_jax.fields import key


@fields.spec
class SDESpec:
  """Hyper-parameters of a diffusion."""

  steps: int = key('T, the number of its times', default=100, ge=1, le=10_000)
  max_sigma: float = key(
    'stationary noise level in 8-bit units: lambda = max_sigma / 255',
    default=50.0,
    gt=0,
    le=1_000_000,
  )
  eps: float = key(
    'a_T, what is left of the clean image at t = T', default=0.005, gt=0, lt=1
  )
  schedule: str = key(
    'the mean-reversion speeds theta_t', default='cosine', choices=SCHEDULES
  )


def at_time(values: Float[AnyArray, ' T'], t: Times, like: Floats) -> Floats:
  """values[t], shaped to broadcast against a batch of images."""
  picked = values[t]
  return picked.reshape(picked.shape + (1,) * (like.ndim - picked.ndim))


@struct.dataclass
class IRSDE:
  """dx = theta_t (mu - x) dt + sigma_t dw, sigma_t^2 = 2 lambda^2 theta_t.

  Source: IR-SDE, arXiv 2301.11699 eq. 1 and 6; with y = x - mu it is a
  variance-preserving diffusion of y / lambda.

  A further SDE is a subclass and a row of `SDES`. Samplers, grids and tiles ask
  it for `start`, `first`, `condition`, `center`, `signal`, `damping`,
  `marginal_mean`, `clean_from_noise`, `bridge` and `euler`, the objective
  `optimum` also for `reverse_mean`, `optimum` and `noise_from_euler`. No code
  asks which it is.

  Attributes:
    thetas: theta_t, [T + 1].
    cumulative: Theta_t = sum_{s <= t} theta_s - theta_0, [T + 1].
    decay: a_t = exp(-Theta_t dt), [T + 1], from 1 to eps.
    marginal_std: s_t = lambda sqrt(1 - a_t^2), [T + 1].
    dt: step length, such that a_T = eps.
    scale: lambda, the stationary standard deviation in intensity.
    kind: the class, so that a program of one SDE is not taken for another's:
      to JAX trees of two dataclasses are equal if their fields are.
  """

  Spec = SDESpec
  # Whether sampling starts where the photograph's own noise is, see `first`.
  by_noise = False

  thetas: Float[AnyArray, ' T']
  cumulative: Float[AnyArray, ' T']
  decay: Float[AnyArray, ' T']
  marginal_std: Float[AnyArray, ' T']
  dt: Float[AnyArray, '']
  scale: Float[AnyArray, '']
  kind: type | None = struct.field(
    pytree_node=False, default=None, repr=False, kw_only=True
  )

  def __post_init__(self):
    object.__setattr__(self, 'kind', type(self))

  @classmethod
  def create(cls, spec: SDESpec) -> 'IRSDE':
    """Computes the schedule in float64 and keeps it in float32."""
    thetas = SCHEDULES[spec.schedule](spec.steps)
    cumulative = np.cumsum(thetas) - thetas[0]
    dt = -math.log(spec.eps) / cumulative[-1]
    scale = spec.max_sigma / 255
    # 1 - a^2 by expm1: exact near t = 0, where a rounds to one.
    std = scale * np.sqrt(-np.expm1(-2 * cumulative * dt))
    arrays = (thetas, cumulative, np.exp(-cumulative * dt), std, dt, scale)
    # Rounded on the host: JAX would compile a program for it.
    return cls(*(jnp.asarray(np.asarray(x, np.float32)) for x in arrays))

  @property
  def steps(self) -> int:
    """T."""
    return self.thetas.shape[0] - 1

  @property
  def sigmas(self) -> Float[AnyArray, ' T']:
    """sigma_t = lambda sqrt(2 theta_t), [T + 1]."""
    return self.scale * jnp.sqrt(2 * self.thetas)

  @property
  def signal(self) -> Float[AnyArray, ' T']:
    """What is left of x_0 in x_t - center, [T + 1]: a_t."""
    return self.decay

  @property
  def damping(self) -> Float[AnyArray, ' T']:
    """-ln `signal`, [T + 1], without the rounding of exp."""
    return self.cumulative * self.dt

  def start(self, mu: Same, noise: Same) -> Same:
    """The state where sampling begins, x_T = mu + lambda e."""
    return mu + self.scale * noise

  def first(self, std: float) -> int:
    """The time where sampling of a photograph starts: T.

    Args:
      std: deviation of the photograph's noise, in intensity.
    """
    del std
    return self.steps

  def condition(self, x_t: Same, mu: Same) -> Same:
    """What the network sees beside the state: mu."""
    del x_t
    return mu

  def center(self, x_0_hat: Same, mu: Same) -> Same:
    """What the state reverts to: mu."""
    del x_0_hat
    return mu

  def marginal_mean(self, x_0: Same, mu: Same, t: Times) -> Same:
    """E[x_t] = mu + a_t (x_0 - mu), with `center` for mu."""
    mu = self.center(x_0, mu)
    return mu + at_time(self.decay, t, x_0) * (x_0 - mu)

  def perturb(self, x_0: Same, mu: Same, t: Times, noise: Same) -> Same:
    """x_t = E[x_t] + s_t e; images [B, H, W, C], t [B]."""
    std = at_time(self.marginal_std, t, x_0)
    return self.marginal_mean(x_0, mu, t) + std * noise

  def score_from_noise(self, noise: Same, t: Times) -> Same:
    """-e / s_t."""
    return -noise / at_time(self.marginal_std, t, noise)

  def noise_from_clean(self, x_t: Same, x_0: Same, mu: Same, t: Times) -> Same:
    """The noise e = (x_t - E[x_t]) / s_t."""
    mean = self.marginal_mean(x_0, mu, t)
    return (x_t - mean) / at_time(self.marginal_std, t, x_t)

  def clean_from_noise(
    self, x_t: Same, noise: Same, mu: Same, t: Times
  ) -> Same:
    """x_0_hat = mu + (x_t - mu - s_t e) / a_t."""
    std = at_time(self.marginal_std, t, x_t)
    return mu + (x_t - mu - std * noise) / at_time(self.decay, t, x_t)

  def bridge(self, t: Times, s: Times) -> tuple[Floats, Floats, Floats]:
    """Factors of y_t, y_0 and z in x_s given x_t and x_0; y = x - center.

    y_s = r (1-a_s^2)/(1-a_t^2) y_t + a_s (1-r^2)/(1-a_t^2) y_0
          + lambda sqrt((1-r^2) (1-a_s^2)/(1-a_t^2)) z,      r = a_t / a_s
    """
    end, start = self.cumulative[t] * self.dt, self.cumulative[s] * self.dt
    span = end - start
    one_t, one_s, one_r = (-jnp.expm1(-2 * x) for x in (end, start, span))
    return (
      jnp.exp(-span) * one_s / one_t,
      self.decay[s] * one_r / one_t,
      self.scale * jnp.sqrt(one_r * one_s / one_t),
    )

  def elapsed(self, t: Times, s: Times) -> Floats:
    """The integral of theta from s to t, (Theta_t - Theta_s) dt."""
    return (self.cumulative[t] - self.cumulative[s]) * self.dt

  def euler(self, t: Times, s: Times, share: float) -> tuple[Floats, Floats]:
    """Factors of x_t - center and of e_hat in an Euler step t -> s.

    Args:
      t: where the step begins.
      s: where it ends.
      share: part of the score's pull: 1 in the reverse SDE, 1/2 in the
        probability-flow ODE.
    """
    span = self.elapsed(t, s)
    pull = 2 * self.scale**2 * span * share
    return 1 + span, -pull / self.marginal_std[t]

  def drift(self, x_t: Same, mu: Same, t: Times) -> Same:
    """theta_t (mu - x_t) dt."""
    return at_time(self.thetas, t, x_t) * (mu - x_t) * self.dt

  def reverse_mean(self, x_t: Same, score: Same, mu: Same, t: Times) -> Same:
    """Euler mean of the reverse SDE.

      x_t - [theta_t (mu - x_t) - sigma_t^2 score] dt

    Source: IR-SDE, arXiv 2301.11699 eq. 8.
    """
    variance = at_time(self.sigmas**2, t, x_t)
    return x_t - (self.drift(x_t, mu, t) - variance * score * self.dt)

  def reverse_ode_step(
    self, x_t: Same, score: Same, mu: Same, t: Times
  ) -> Same:
    """Euler step of the probability-flow ODE: half the score's pull."""
    variance = at_time(self.sigmas**2, t, x_t)
    return x_t - (self.drift(x_t, mu, t) - 0.5 * variance * score * self.dt)

  def reverse_sde_step(
    self, x_t: Same, score: Same, mu: Same, t: Times, noise: Same
  ) -> Same:
    """`reverse_mean` minus the dispersion sigma_t sqrt(dt) z."""
    dispersion = at_time(self.sigmas, t, x_t) * jnp.sqrt(self.dt) * noise
    return self.reverse_mean(x_t, score, mu, t) - dispersion

  def _unit_bridge(
    self, t: Times, like: Floats
  ) -> tuple[Floats, Floats, Floats]:
    """1 - A^2, 1 - C^2, 1 - B^2 of the optimum, by expm1."""
    unit = self.thetas[t] * self.dt
    total = self.cumulative[t] * self.dt
    before = self.cumulative[t - 1] * self.dt
    one_a, one_c, one_b = (
      x.reshape(x.shape + (1,) * (like.ndim - x.ndim))
      for x in (-jnp.expm1(-2 * x) for x in (unit, before, total))
    )
    return one_a, one_c, one_b

  def optimum(self, x_t: Same, x_0: Same, mu: Same, t: Times) -> Same:
    """x*_{t-1}, the likeliest state before x_t given x_0.

      mu + [A (1 - C^2) (x_t - mu) + C (1 - A^2) (x_0 - mu)] / (1 - B^2)
      A = exp(-theta_t dt),  B = a_t,  C = a_{t-1},  with `center` for mu

    Source: IR-SDE, arXiv 2301.11699 eq. 14.
    """
    mu = self.center(x_0, mu)
    one_a, one_c, one_b = self._unit_bridge(t, x_t)
    a = at_time(jnp.exp(-self.thetas * self.dt), t, x_t)
    c = at_time(self.decay, t - 1, x_t)
    return mu + (a * one_c * (x_t - mu) + c * one_a * (x_0 - mu)) / one_b

  def noise_from_euler(
    self, x_t: Same, noise: Same, mu: Same, t: Times
  ) -> Same:
    """The noise e that a perfect answer to the `optimum` objective stands for.

    The objective makes the Euler mean of e' equal x*_{t-1}, which e itself
    does not. With y = x - mu, u = theta_t dt and x* = mu + p y_t + q y_0,

      (1 + u) y_t - (2 lambda^2 u / s_t) e' = p y_t + q y_0

    is solved for y_0, and y_0 gives e. Linear in e', so it holds for the mean
    that a network learns as well. Derived in docs/decisions/diffusion.md.
    """
    one_a, one_c, one_b = self._unit_bridge(t, x_t)
    unit = at_time(self.thetas * self.dt, t, x_t)
    p = jnp.exp(-unit) * one_c / one_b
    q = at_time(self.decay, t - 1, x_t) * one_a / one_b
    pull = 2 * self.scale**2 * unit / at_time(self.marginal_std, t, x_t)
    x_0_hat = mu + ((1 + unit - p) * (x_t - mu) - pull * noise) / q
    return self.noise_from_clean(x_t, x_0_hat, mu, t)

  def posterior_std(self, t: Times, like: Floats) -> Floats:
    """Deviation of x_{t-1} given x_t and x_0; 0 at t = 1.

    lambda sqrt((1 - A^2) (1 - C^2) / (1 - B^2)),  A, B, C as in `optimum`
    """
    one_a, one_c, one_b = self._unit_bridge(t, like)
    return self.scale * jnp.sqrt(one_a * one_c / one_b)

  def posterior_step(
    self, x_t: Same, noise_hat: Same, mu: Same, t: Times, noise: Same
  ) -> Same:
    """One ancestral unit step: optimum of x_0_hat plus posterior noise."""
    x_0_hat = self.clean_from_noise(x_t, noise_hat, mu, t)
    std = self.posterior_std(t, x_t)
    return self.optimum(x_t, x_0_hat, mu, t) + std * noise


@struct.dataclass
class DenoisingSDE(IRSDE):
  """The same equation with mu = the clean image: Gaussian denoising.

    x_t = x_0 + s_t e,     s_t = lambda sqrt(1 - a_t^2)

  Methods keep `IRSDE`'s signatures; `mu` is ignored, because the process
  reverts to the clean image itself. Source: IR-SDE, arXiv 2301.11699 sec. 5.
  The network sees the state alone: a second look at the clean image, with other
  noise, is not to be had when a photograph is restored.
  """

  by_noise = True

  @classmethod
  def create(cls, spec: SDESpec = SDESpec(eps=0.04)) -> 'IRSDE':
    """As `IRSDE.create`; the release fixes eps = 0.04 here."""
    return super().create(spec)

  def first(self, std: float) -> int:
    """Time whose noise level s_t is nearest to a photograph's, 1..T."""
    levels = np.asarray(self.marginal_std)[1:]
    return int(np.abs(levels - std).argmin()) + 1

  def condition(self, x_t: Same, mu: Same) -> Same:
    """The state itself."""
    del mu
    return x_t

  @property
  def signal(self) -> Float[AnyArray, ' T']:
    """All of x_0 is left, [T + 1]: 1."""
    return jnp.ones_like(self.decay)

  @property
  def damping(self) -> Float[AnyArray, ' T']:
    """Nothing is damped, [T + 1]: 0."""
    return jnp.zeros_like(self.cumulative)

  def start(self, mu: Same, noise: Same) -> Same:
    """The noisy photograph itself."""
    del noise
    return mu

  def center(self, x_0_hat: Same, mu: Same) -> Same:
    """What the state reverts to: the clean image."""
    del mu
    return x_0_hat

  def marginal_mean(self, x_0: Same, mu: Same, t: Times) -> Same:
    """E[x_t] = x_0."""
    del mu, t
    return x_0

  def clean_from_noise(
    self, x_t: Same, noise: Same, mu: Same, t: Times
  ) -> Same:
    """x_0_hat = x_t - s_t e."""
    return x_t - at_time(self.marginal_std, t, x_t) * noise

  def euler(self, t: Times, s: Times, share: float) -> tuple[Floats, Floats]:
    """As `IRSDE.euler`; the pull to the clean image is part of the score's.

    x_t = center + s_t e_hat here, so the state passes unchanged.
    """
    span = self.elapsed(t, s)
    pull = self.scale**2 * span * (2 * share - 1 + self.decay[t] ** 2)
    return jnp.ones_like(span), -pull / self.marginal_std[t]

  def _pull(self, x_t: Same, score: Same, t: Times, share: float) -> Same:
    variance = at_time(self.sigmas**2, t, x_t)
    a = at_time(self.decay, t, x_t)
    return 0.5 * variance * (2 * share - 1 + a * a) * score * self.dt

  def reverse_mean(self, x_t: Same, score: Same, mu: Same, t: Times) -> Same:
    """Euler mean x_t + 1/2 sigma_t^2 (1 + a_t^2) score dt."""
    return x_t + self._pull(x_t, score, t, 1.0)

  def reverse_ode_step(
    self, x_t: Same, score: Same, mu: Same, t: Times
  ) -> Same:
    """Euler step x_t + 1/2 sigma_t^2 a_t^2 score dt."""
    return x_t + self._pull(x_t, score, t, 0.5)

  def noise_from_euler(
    self, x_t: Same, noise: Same, mu: Same, t: Times
  ) -> Same:
    """As `IRSDE.noise_from_euler`: x_t - r e' = x_0 + p s_t e, so e ~ e'."""
    del mu
    _, one_c, one_b = self._unit_bridge(t, x_t)
    std = at_time(self.marginal_std, t, x_t)
    p = at_time(jnp.exp(-self.thetas * self.dt), t, x_t) * one_c / one_b
    pull = -self._pull(x_t, -noise / std, t, 1.0)
    return pull / (std * (1 - p))


SDES = {'ir': IRSDE, 'denoising': DenoisingSDE}
