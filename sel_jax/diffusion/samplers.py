"""Samplers: from the low-light image to a sample of the clean one.

Contract: `sample` is one `lax.scan` over coefficients that were computed before
it, for any decreasing subset of times T..0. All that depends on the schedule is
in the coefficients; the loop knows only a linear combination.
"""

from collections.abc import Callable

from flax import struct
import jax
import jax.numpy as jnp
from jaxtyping import Array
from jaxtyping import Float
from jaxtyping import Int
from jaxtyping import Key
import numpy as np

from sel_jax.diffusion.sde import DenoisingSDE
from sel_jax.diffusion.sde import IRSDE

Image = Float[Array, 'B H W C']
# (x_t, mu, t as a scalar integer array) -> e_hat.
Denoiser = Callable[[Array, Array, Array], Array]


@struct.dataclass
class Coefficients:
  """x_s = m + state (x_t - m) + clean (x0_hat - m) + noise e_hat + random z.

  m is mu, or x0_hat for the denoising diffusion. Leaves are [S].
  """

  state: Array
  clean: Array
  noise: Array
  random: Array


def _spans(sde: IRSDE, t: Array, s: Array):
  """Decays and 1 - decay^2 at both ends and of the step, by expm1."""
  end = sde.cumulative[t] * sde.dt
  start = sde.cumulative[s] * sde.dt

  def rest(x):
    return -jnp.expm1(-2 * x)

  return sde.decay[s], rest(end), rest(start), rest(end - start), end - start


def posterior(sde: IRSDE, t: Array, s: Array) -> Coefficients:
  """Ancestral step t -> s: the bridge of x_s given x_t and x0_hat.

    y_s = r (1-a_s^2)/(1-a_t^2) y_t + a_s (1-r^2)/(1-a_t^2) y0_hat
          + lambda sqrt((1-r^2) (1-a_s^2)/(1-a_t^2)) z,      r = a_t / a_s

  At s = t - 1 it is the release's posterior step (arXiv 2304.08291).
  """
  a_s, one_t, one_s, one_r, span = _spans(sde, t, s)
  return Coefficients(
    state=jnp.exp(-span) * one_s / one_t,
    clean=a_s * one_r / one_t,
    noise=jnp.zeros_like(one_t),
    random=sde.scale * jnp.sqrt(one_r * one_s / one_t),
  )


def _euler(sde: IRSDE, t: Array, s: Array, share: float) -> Coefficients:
  """Euler step over int theta = Theta_t - Theta_s, exact at unit steps."""
  span = (sde.cumulative[t] - sde.cumulative[s]) * sde.dt
  std = sde.marginal_std[t]
  random = -sde.scale * jnp.sqrt(2 * span) if share == 1.0 else 0 * span
  if isinstance(sde, DenoisingSDE):
    # The drift's centre is the clean image: part of the score is its pull.
    extra = 1.0 if share == 1.0 else 0.0
    pull = sde.scale**2 * span * (extra + sde.decay[t] ** 2)
    # x_t = m + s_t e_hat when m = x0_hat, so the state passes unchanged.
    state = jnp.ones_like(span)
  else:
    pull = 2 * sde.scale**2 * span * share
    state = 1 + span
  return Coefficients(
    state=state,
    clean=jnp.zeros_like(span),
    noise=-pull / std,
    random=random,
  )


def reverse_sde(sde: IRSDE, t: Array, s: Array) -> Coefficients:
  """Euler-Maruyama step of the reverse-time SDE (arXiv 2301.11699 eq. 8)."""
  return _euler(sde, t, s, 1.0)


def reverse_ode(sde: IRSDE, t: Array, s: Array) -> Coefficients:
  """Euler step of the probability-flow ODE (arXiv 2011.13456 eq. 13)."""
  return _euler(sde, t, s, 0.5)


SAMPLERS = {
  'posterior': posterior,
  'sde': reverse_sde,
  'ode': reverse_ode,
}


def time_grid(total: int, steps: int) -> np.ndarray:
  """Times T = t_0 > ... > t_S = 0, uniform in t: [S + 1] integers.

  Args:
    total: T.
    steps: S, network calls, 1..T.

  Raises:
    ValueError: if `steps` is not in 1..T.
  """
  if not 1 <= steps <= total:
    raise ValueError(
      f'steps={steps}: the diffusion has T={total} times, give 1 to {total}'
    )
  return np.rint(np.linspace(total, 0, steps + 1)).astype(np.int32)


def per_example_noise(key: Key[Array, ''], shape: tuple[int, ...]):
  """N -> standard normal [B, H, W, C], one stream for each example.

  Example b at draw n depends on (key, n, b) alone, not on the batch's size.
  """
  examples = jnp.arange(shape[0])

  def draw(n):
    at_n = jax.random.fold_in(key, n)
    one = lambda b: jax.random.normal(jax.random.fold_in(at_n, b), shape[1:])
    return jax.vmap(one)(examples)

  return draw


def _checked_times(sde: IRSDE, sampler: str, times) -> np.ndarray:
  if sampler not in SAMPLERS:
    raise ValueError(
      f'unknown sampler {sampler!r}; choose one of {list(SAMPLERS)}'
    )
  if times is None:
    times = time_grid(sde.steps, sde.steps)
  times = np.asarray(times, np.int32)
  if times[-1] != 0 or times[0] > sde.steps or np.any(np.diff(times) >= 0):
    raise ValueError(
      f'times must decrease from at most T={sde.steps} to 0, not {times}'
    )
  return times


def sample(
  denoise: Denoiser,
  sde: IRSDE,
  key: Key[Array, ''],
  mu: Image,
  *,
  sampler: str = 'posterior',
  times: Int[np.ndarray, ' S+1'] | None = None,
  clip: bool = True,
  noise_at: Callable[[Array], Array] | None = None,
  trajectory: bool = False,
) -> Image | tuple[Image, Float[Array, 'S+1 B H W C']]:
  """Runs the reverse process from x_T = mu + lambda e to a clean image.

  Args:
    denoise: (x_t, mu, t) -> e_hat.
    sde: the diffusion.
    key: draws the start and the steps' noise.
    mu: low-light images in [0, 1]; noisy ones for a denoising diffusion.
    sampler: a row of `SAMPLERS`.
    times: decreasing to 0, see `time_grid`; all T..0 if left out.
    clip: keep x0_hat, amplified by 1/a_t at large t, in [0, 1].
    noise_at: draw n -> noise instead of the key's; 0 is the start.
    trajectory: also return every state.

  Returns:
    The sample x_0, and with `trajectory` the states from x_T to x_0. Not
    clamped: the caller rounds.

  Raises:
    ValueError: for an unknown sampler or times that do not decrease to 0.
  """
  times = _checked_times(sde, sampler, times)
  draw = noise_at or per_example_noise(key, mu.shape)
  coefficients = SAMPLERS[sampler](sde, times[:-1], times[1:])
  denoising = isinstance(sde, DenoisingSDE)

  def body(x, inputs):
    c, t, n = inputs
    noise_hat = denoise(x, mu, t)
    clean = sde.clean_from_noise(x, noise_hat, mu, t)
    if clip:
      clean = jnp.clip(clean, 0, 1)
      noise_hat = sde.noise_from_clean(x, clean, mu, t)
    center = clean if denoising else mu
    x = center + (
      c.state * (x - center)
      + c.clean * (clean - center)
      + c.noise * noise_hat
      + c.random * draw(n)
    )
    return x, (x if trajectory else None)

  start = mu if denoising else sde.prior(mu, draw(0))
  draws = np.arange(1, len(times), dtype=np.int32)
  result, states = jax.lax.scan(body, start, (coefficients, times[:-1], draws))
  if not trajectory:
    return result
  return result, jnp.concatenate([start[None], states])
