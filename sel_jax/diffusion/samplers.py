"""Samplers: from the low-light image to a sample of the clean one.

Contract: `sample` is one `lax.scan` over coefficients that were computed before
it, for any decreasing subset of times T..0. All that depends on the schedule is
in the coefficients; the loop knows only a linear combination.
"""

from collections.abc import Callable
from collections.abc import Sequence

from flax import struct
import jax
import jax.numpy as jnp
from jaxtyping import Bool
from jaxtyping import Float
from jaxtyping import Int
import numpy as np

from sel_jax.arrays import AnyArray
from sel_jax.arrays import Array
from sel_jax.arrays import Floats
from sel_jax.arrays import Images
from sel_jax.arrays import Length
from sel_jax.arrays import Mask
from sel_jax.arrays import RandomKey
from sel_jax.arrays import Same
from sel_jax.arrays import Times
from sel_jax.diffusion.sde import IRSDE
from sel_jax.diffusion.times import log_snr
from sel_jax.diffusion.times import time_grid

# Times where the steps begin or end.
Steps = Int[AnyArray, ' S']
# T, ..., 0: those of all steps.
Grid = Int[AnyArray, ' N'] | Sequence[int | np.integer]
# (x_t, mu, t as a scalar integer array) -> e_hat.
Denoiser = Callable[[Images, Images, Times], Images]


@struct.dataclass
class Coefficients:
  """One step t -> s as a linear combination; leaves are [S].

    x_s = m + state (x_t - m) + clean (x_0_hat - m) + noise e_hat
          + change (x_0_hat - x_0_hat of the step before) + random z

  m is the SDE's `center`.
  """

  state: Float[AnyArray, '*S']
  clean: Float[AnyArray, '*S']
  noise: Float[AnyArray, '*S']
  change: Float[AnyArray, '*S']
  random: Float[AnyArray, '*S']


def _coefficients(like: AnyArray, **given: AnyArray) -> Coefficients:
  """Zero, but for those given."""
  names = ('state', 'clean', 'noise', 'change', 'random')
  zero = jnp.zeros_like(like)
  return Coefficients(**{name: given.get(name, zero) for name in names})


def posterior(sde: IRSDE, t: Steps, s: Steps) -> Coefficients:
  """Ancestral step t -> s: the bridge of x_s given x_t and x_0_hat.

  At s = t - 1 it is the release's posterior step (arXiv 2304.08291).
  """
  state, clean, random = sde.bridge(t, s)
  return _coefficients(state, state=state, clean=clean, random=random)


def _euler(sde: IRSDE, t: Steps, s: Steps, share: float) -> Coefficients:
  """Euler step over int theta = Theta_t - Theta_s, exact at unit steps."""
  span = sde.elapsed(t, s)
  random = -sde.scale * jnp.sqrt(2 * span) if share == 1.0 else 0 * span
  state, noise = sde.euler(t, s, share)
  return _coefficients(span, state=state, noise=noise, random=random)


def reverse_sde(sde: IRSDE, t: Steps, s: Steps) -> Coefficients:
  """Euler-Maruyama step of the reverse-time SDE (arXiv 2301.11699 eq. 8)."""
  return _euler(sde, t, s, 1.0)


def reverse_ode(sde: IRSDE, t: Steps, s: Steps) -> Coefficients:
  """Euler step of the probability-flow ODE (arXiv 2011.13456 eq. 13)."""
  return _euler(sde, t, s, 0.5)


def ddim(sde: IRSDE, t: Steps, s: Steps) -> Coefficients:
  """Deterministic step y_s = a_s y_0_hat + s_s e_hat (arXiv 2010.02502 eq. 12).

  The first-order exponential integrator of the probability-flow ODE.
  """
  del t
  std = sde.marginal_std[s]
  return _coefficients(std, clean=sde.signal[s], noise=std)


def _log_snr_steps(
  sde: IRSDE, t: Steps, s: Steps
) -> tuple[Floats, Floats, Floats, Bool[AnyArray, ' S']]:
  """(h, h of the step before, whether a second-order step is possible).

  h = ln(a_s / s_s) - ln(a_t / s_t). The first step has nothing before it, and
  the step to s = 0 is infinitely long: both are of first order.
  """
  known = log_snr(sde)
  ends = known[s] - known[t]
  before = jnp.concatenate([jnp.full(1, jnp.inf), ends[:-1]])
  possible = jnp.isfinite(ends) & jnp.isfinite(before)
  h, before = (jnp.where(possible, x, 1.0) for x in (ends, before))
  return ends, h, before, possible


def dpm2m(sde: IRSDE, t: Steps, s: Steps) -> Coefficients:
  """Second-order multistep solver of the probability-flow ODE.

    y_s = (s_s/s_t) y_t - a_s [(e^-h - 1) y_0_hat - ((e^-h - 1)/h + 1) D]
    D = (y_0_hat - y_0_hat_prev) h / h_prev

  Source: DPM-Solver++ 2M, arXiv 2211.01095 algorithm 2, with the exact
  integral of the linear term. Best on the log-SNR grid.
  """
  whole, h, before, possible = _log_snr_steps(sde, t, s)
  signal = sde.signal[s]
  change = signal * (1 + jnp.expm1(-h) / h) * h / before
  return _coefficients(
    h,
    state=sde.marginal_std[s] / sde.marginal_std[t],
    clean=-signal * jnp.expm1(-whole),
    change=change * possible,
  )


def sde_dpm2m(sde: IRSDE, t: Steps, s: Steps) -> Coefficients:
  """Second-order multistep solver of the reverse-time SDE.

    y_s = (s_s/s_t) e^-h y_t + a_s (1 - e^-2h) y_0_hat
          + a_s (1 - (1 - e^-2h)/(2h)) D + s_s sqrt(1 - e^-2h) z

  Source: SDE-DPM-Solver++ 2M, arXiv 2211.01095 appendix; D as in `dpm2m`.
  """
  whole, h, before, possible = _log_snr_steps(sde, t, s)
  signal, std = sde.signal[s], sde.marginal_std[s]
  fresh = -jnp.expm1(-2 * whole)
  change = signal * (1 + jnp.expm1(-2 * h) / (2 * h)) * h / before
  return _coefficients(
    h,
    state=std / sde.marginal_std[t] * jnp.exp(-whole),
    clean=signal * fresh,
    change=change * possible,
    random=std * jnp.sqrt(fresh),
  )


SAMPLERS = {
  'posterior': posterior,
  'sde': reverse_sde,
  'ode': reverse_ode,
  'ddim': ddim,
  'dpm2m': dpm2m,
  'sde_dpm2m': sde_dpm2m,
}


# The steps of a sampler, leaves [S], and the times that they join, [S + 1].
Way = tuple[Coefficients, Int[np.ndarray, ' N']]


def coefficients_of(sde: IRSDE, sampler: str, times: Grid | None) -> Way:
  """The steps of a sampler over times, leaves [S], and the times [S + 1].

  Args:
    sde: the diffusion.
    sampler: a row of `SAMPLERS`.
    times: decreasing to 0; None is all of T..0.

  Raises:
    ValueError: for an unknown sampler or times that do not decrease to 0.
  """
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
  return SAMPLERS[sampler](sde, times[:-1], times[1:]), times


def row_noise(
  key: RandomKey, rows: Int[AnyArray, ' R'], width: Length, channels: int
) -> Float[Array, 'R W C']:
  """Standard normal rows of an image; row i depends on (key, i) alone.

  So a band of a photograph, or the same one with a wider margin, gets the
  noise of the whole.
  """

  def one(row):
    return jax.random.normal(jax.random.fold_in(key, row), (width, channels))

  return jax.vmap(one)(rows)


def draw_key(key: RandomKey, n: Times, example: Times) -> RandomKey:
  """Key of draw n (0 is the start) for one example of a batch."""
  return jax.random.fold_in(jax.random.fold_in(key, n), example)


def per_example_noise(
  key: RandomKey, shape: tuple[Length, ...]
) -> Callable[[Times], Float[Array, 'B H W C']]:
  """The draw n -> standard normal [B, H, W, C], one stream per example.

  Example b at draw n depends on (key, n, b) alone, not on the batch's size,
  and its pixels not on the size of the image.
  """
  batch, height, width, channels = shape

  def draw(n):
    def one(example):
      own = draw_key(key, n, example)
      return row_noise(own, jnp.arange(height), width, channels)

    return jax.vmap(one)(jnp.arange(batch))

  return draw


def dynamic_limit(
  x_0_hat: Images, quantile: float, *, mask: Mask | None = None
) -> Float[Array, ' B']:
  """How far x_0_hat overshoots: the quantile of |2 x_0_hat - 1|, at least 1.

  Source: dynamic thresholding, Imagen, arXiv 2205.11487 section 2.3.

  Args:
    x_0_hat: the estimate.
    quantile: 0 to 1.
    mask: pixels of images on a larger canvas; None is all.
  """
  size, find = jnp.abs(2 * x_0_hat - 1), jnp.quantile
  if mask is not None:
    size, find = jnp.where(mask, size, jnp.nan), jnp.nanquantile
  flat = size.reshape(x_0_hat.shape[0], -1)
  return jnp.maximum(find(flat, quantile, axis=1), 1.0)


def _limit_by(
  quantile: float, mask: Mask | None
) -> Callable[[Images], Float[Array, 'B 1 1 1'] | float]:
  """What `restrict` clamps to: the dynamic limit, or 1 if quantile is 0."""
  if not quantile:
    return lambda x_0_hat: 1.0

  def limit(x_0_hat):
    return dynamic_limit(x_0_hat, quantile, mask=mask)[:, None, None, None]

  return limit


def restrict(x_0_hat: Same, limit: Float[AnyArray, '...'] | float) -> Same:
  """Clamps 2 x_0_hat - 1 to +-limit and divides by it; limit 1 is a clip.

  Args:
    x_0_hat: the estimate.
    limit: broadcasts against `x_0_hat`, at least 1.

  Returns:
    In [0, 1], shape of `x_0_hat`.
  """
  centered = jnp.clip(2 * x_0_hat - 1, -limit, limit) / limit
  return 0.5 * (centered + 1)


def combine(
  sde: IRSDE,
  step: Coefficients,
  t: Times,
  x_t: Same,
  mu: Same,
  x_0_hat: Same,
  previous: Same,
  random: Same | float,
) -> Same:
  """x_s from x_t, x_0_hat, the x_0_hat before it and noise; pixel by pixel."""
  center = sde.center(x_0_hat, mu)
  return center + (
    step.state * (x_t - center)
    + step.clean * (x_0_hat - center)
    + step.noise * sde.noise_from_clean(x_t, x_0_hat, mu, t)
    + step.change * (x_0_hat - previous)
    + step.random * random
  )


def _noise_of(
  step: Coefficients,
  draw: Callable[[Times], Images],
  n: Times,
  *,
  like: Images,
) -> Images:
  """Draw n; the last step of most samplers, or each, takes none."""
  quiet = lambda n: jnp.zeros_like(like)
  return jax.lax.cond(step.random != 0, draw, quiet, n)


def sample(
  denoise: Denoiser,
  sde: IRSDE,
  key: RandomKey,
  mu: Images,
  *,
  sampler: str = 'posterior',
  times: Grid | None = None,
  way: tuple[Coefficients, Int[AnyArray, ' N']] | None = None,
  clip: bool = True,
  dynamic: float = 0.0,
  noise_at: Callable[[Times], Images] | None = None,
  trajectory: bool = False,
  mask: Mask | None = None,
) -> Images | tuple[Images, Float[Array, 'N B H W C']]:
  """Runs the reverse process from the SDE's `start` to a clean image.

  Args:
    denoise: (x_t, mu, t) -> e_hat.
    sde: the diffusion.
    key: draws the start and the steps' noise.
    mu: low-light images in [0, 1]; noisy ones for a denoising diffusion.
    sampler: a row of `SAMPLERS`.
    times: decreasing to 0, see `GRIDS`; all T..0 if left out.
    way: what `coefficients_of` gives, instead of both.
    clip: keep x_0_hat, amplified by 1/a_t at large t, in [0, 1].
    dynamic: quantile of dynamic thresholding instead of the plain clip, such
      as 0.995; 0 is off.
    noise_at: draw n -> noise instead of the key's; 0 is the start.
    trajectory: also return every state.
    mask: pixels of images on a larger canvas; None is all. What lies beside
      them is not for use.

  Returns:
    The sample x_0, and with `trajectory` the states from x_T to x_0. Not
    clamped: the caller rounds.

  Raises:
    ValueError: for an unknown sampler or times that do not decrease to 0.
  """
  steps, times = coefficients_of(sde, sampler, times) if way is None else way
  draw = noise_at or per_example_noise(key, mu.shape)
  limit = _limit_by(dynamic, mask)

  def body(carry, inputs):
    x_t, previous = carry
    step, t, n = inputs
    x_0_hat = sde.clean_from_noise(x_t, denoise(x_t, mu, t), mu, t)
    if clip:
      x_0_hat = restrict(x_0_hat, limit(x_0_hat))
    random = _noise_of(step, draw, n, like=x_t)
    x_s = combine(sde, step, t, x_t, mu, x_0_hat, previous, random)
    return (x_s, x_0_hat), (x_s if trajectory else None)

  start = sde.start(mu, draw(0))
  inputs = (steps, times[:-1], np.arange(1, len(times), dtype=np.int32))
  (result, _), states = jax.lax.scan(body, (start, start), inputs)
  if states is None:
    return result
  return result, jnp.concatenate([start[None], states])
