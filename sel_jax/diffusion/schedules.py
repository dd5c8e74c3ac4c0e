"""Mean-reversion speeds theta_t of the diffusion.

Contract: a schedule maps the number of steps T to theta_0..theta_T as float64
NumPy; adding one is adding a row to `SCHEDULES`.
"""

import math

from jaxtyping import Float
import numpy as np


def constant(steps: int) -> Float[np.ndarray, ' T']:
  """theta_t = 1; [T + 1]."""
  return np.ones(steps + 1)


def linear(steps: int) -> Float[np.ndarray, ' T']:
  """Linear in t, the DDPM range scaled to T steps; [T + 1]."""
  scale = 1000 / (steps + 1)
  return np.linspace(scale * 1e-4, scale * 2e-2, steps + 1)


def cosine(steps: int, *, offset: float = 0.008) -> Float[np.ndarray, ' T']:
  """1 - alpha_bar of the cosine schedule; [T + 1].

  Source: IR-SDE, arXiv 2301.11699 appendix, with alpha_bar of arXiv 2102.09672
  eq. 17 on T + 2 intervals, both ends dropped.
  """
  intervals = steps + 2
  x = np.arange(intervals + 1) / intervals
  alpha_bar = np.cos((x + offset) / (1 + offset) * math.pi / 2) ** 2
  return 1 - (alpha_bar / alpha_bar[0])[1:-1]


SCHEDULES = {'constant': constant, 'linear': linear, 'cosine': cosine}
