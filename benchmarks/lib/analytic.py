"""Samplers on data whose denoiser is known: x_0 ~ N(mean, spread^2).

Contract: nothing is drawn; the denoiser is linear and so is every sampler, so
mean and variance of the result follow step by step, in float64.
"""

import dataclasses

import jax
import numpy as np

from sel_jax.diffusion import IRSDE
from sel_jax.diffusion.samplers import coefficients_of


@dataclasses.dataclass(frozen=True)
class GaussianData:
  """One pixel: low light `mu`, clean N(mean, spread^2), all in intensity."""

  mean: float = 0.6
  spread: float = 0.1
  mu: float = 0.2

  def denoise(self, sde: IRSDE):
    """(x_t, mu, t) -> E[e | x_t]."""

    def run(x, mu, t):
      a, s = sde.decay[t], sde.marginal_std[t]
      gain = a * self.spread**2 / (a**2 * self.spread**2 + s**2)
      clean = self.mean + gain * (x - mu - a * (self.mean - mu))
      return sde.noise_from_clean(x, clean, mu, t)

    return run

  def flow(self, sde: IRSDE, start: np.ndarray, t: int) -> np.ndarray:
    """The probability-flow ODE's exact x_t from x_T = start."""

    def moments(time):
      a = float(sde.decay[time])
      s = float(sde.marginal_std[time])
      center = self.mu + a * (self.mean - self.mu)
      return center, np.hypot(a * self.spread, s)

    first, wide = moments(sde.steps)
    center, narrow = moments(t)
    return center + (start - first) * narrow / wide


def _step_matrix(step, i, gain, offset, a, s):
  """(y, previous y0_hat) -> (next y, y0_hat) as a matrix and a shift."""
  state = step.state[i] + step.noise[i] / s
  own = step.clean[i] - step.noise[i] * a / s + step.change[i]
  matrix = np.array([[state + own * gain, -step.change[i]], [gain, 0.0]])
  return matrix, np.array([own * offset, offset])


def error(
  data: GaussianData, sde: IRSDE, sampler: str, times: np.ndarray
) -> float:
  """Wasserstein-2 distance between a sampler's result and the data.

  sqrt((mean - mean*)^2 + (std - std*)^2), both being normal.
  """
  step, times = coefficients_of(sde, sampler, times)
  step = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), step)
  target = data.mean - data.mu
  mean = np.zeros(2)
  covariance = np.diag([float(sde.scale) ** 2, 0.0])
  for i, t in enumerate(times[:-1]):
    a, s = float(sde.decay[t]), float(sde.marginal_std[t])
    gain = a * data.spread**2 / (a**2 * data.spread**2 + s**2)
    offset = target * (1 - gain * a)
    matrix, shift = _step_matrix(step, i, gain, offset, a, s)
    mean = matrix @ mean + shift
    covariance = matrix @ covariance @ matrix.T
    covariance[0, 0] += step.random[i] ** 2
  return float(
    np.hypot(mean[0] - target, np.sqrt(covariance[0, 0]) - data.spread)
  )
