"""Which times a sampler visits.

Contract: times are decreasing integers [S + 1] that end at 0, because the
network was trained at integer times; S is the number of network calls.
"""

import jax.numpy as jnp
from jaxtyping import Float
from jaxtyping import Int
import numpy as np

from sel_jax.arrays import AnyArray
from sel_jax.diffusion.sde import IRSDE


def _check_steps(total: int, steps: int) -> None:
  if not 1 <= steps <= total:
    raise ValueError(
      f'steps={steps}: the diffusion has T={total} times, give 1 to {total}'
    )


def time_grid(total: int, steps: int) -> Int[np.ndarray, ' N']:
  """Times T = t_0 > ... > t_S = 0, uniform in t: [S + 1] integers.

  Args:
    total: T.
    steps: S, network calls, 1..T.

  Raises:
    ValueError: if `steps` is not in 1..T.
  """
  _check_steps(total, steps)
  return np.rint(np.linspace(total, 0, steps + 1)).astype(np.int32)


def log_snr(sde: IRSDE) -> Float[AnyArray, ' T']:
  """Half the log signal-to-noise ratio: [T + 1], inf at t = 0.

  It is ln(a_t / s_t), or -ln s_t where the SDE does not damp the signal.
  """
  return -sde.damping - jnp.log(sde.marginal_std)


def log_snr_grid(
  sde: IRSDE, steps: int, *, first: int | None = None
) -> Int[np.ndarray, ' N']:
  """Times t_0 > ... > t_S = 0, uniform in log-SNR from t_0 to 1.

  Source: DPM-Solver, arXiv 2206.00927 section 3.3. The step to 0, where the
  ratio is infinite, comes last. Where several fall on one integer time, they
  move to the next free ones.

  Args:
    sde: the diffusion.
    steps: S, network calls, 1..t_0.
    first: t_0; T if left out.

  Raises:
    ValueError: if `steps` is not in 1..t_0.
  """
  first = first or sde.steps
  _check_steps(first, steps)
  known = np.asarray(log_snr(sde))[1 : first + 1]  # increases towards t = 1
  wanted = np.linspace(known[-1], known[0], steps) if steps > 1 else known[-1:]
  exact = np.interp(wanted, known[::-1], np.arange(first, 0, -1))
  times = np.rint(exact).astype(np.int32)
  for i in range(1, steps):
    times[i] = min(times[i], times[i - 1] - 1)
  # Whatever is left after this step needs a time of its own.
  times = np.maximum(times, np.arange(steps, 0, -1))
  return np.append(times, 0).astype(np.int32)


GRIDS = {
  'time': lambda sde, steps, *, first=None: time_grid(
    first or sde.steps, steps
  ),
  'log_snr': log_snr_grid,
}
