"""Rules for the kernel bandwidth.

Contract: a rule maps samples to one bandwidth per image, in the samples' own
unit, positive even where the samples are constant.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from sel_jax.arrays import AnyArray
from sel_jax.arrays import Array
from sel_jax.arrays import Images

# One for all images, or one for each.
Bandwidth = Float[AnyArray, '*h'] | float

# Below this many bins a kernel is narrower than float32 resolves usefully.
MIN_BANDWIDTH = 0.05


def _spread(
  samples: Float[AnyArray, 'B ...'],
) -> tuple[Float[Array, ' B'], int]:
  axes = tuple(range(1, samples.ndim))
  n = (
    samples.shape[1] * samples.shape[2] if samples.ndim > 2 else samples[0].size
  )
  variance = jnp.var(samples, axis=axes, ddof=1 if samples[0].size > 1 else 0)
  positive = variance > 0
  return jnp.where(positive, jnp.sqrt(jnp.where(positive, variance, 1)), 0), n


def silverman(samples: Float[AnyArray, 'B ...']) -> Float[Array, ' B']:
  """Silverman's rule of thumb, h = 1.06 * std * n^(-1/5).

  Source: Silverman, Density Estimation for Statistics and Data Analysis, 1986,
  eq. 3.28; n counts pixels and the deviation is over pixels and channels, as
  the paper's release does.

  Args:
    samples: [B, H, W, C].

  Returns:
    [B] bandwidths in the unit of `samples`; 0 for constant samples.
  """
  std, n = _spread(samples)
  return 1.06 * std * n ** (-1 / 5)


def scott(samples: Float[AnyArray, 'B ...']) -> Float[Array, ' B']:
  """Scott's rule for d = 2 dimensions, h = std * n^(-1/(d + 4)).

  Source: Scott, Multivariate Density Estimation, 1992, section 6.3; the density
  here is that of (own value, neighbour mean), hence d = 2.

  Args:
    samples: [B, H, W, C].

  Returns:
    [B] bandwidths in the unit of `samples`; 0 for constant samples.
  """
  std, n = _spread(samples)
  return std * n ** (-1 / 6)


RULES = {'silverman': silverman, 'scott': scott}


def per_image(given: Bandwidth | str, samples: Images) -> Float[Array, ' B']:
  """The bandwidth of each image.

  Args:
    given: h in bin units, a number or one for each image; or the name of a rule
      in `RULES`, whose bandwidths are at least `MIN_BANDWIDTH` and have no
      gradient.
    samples: own values in bin units; only rules look at them.

  Raises:
    ValueError: for an unknown rule, or if `given` is neither one number nor one
      for each image.
  """
  if isinstance(given, str):
    if given not in RULES:
      raise ValueError(
        f'unknown bandwidth rule {given!r}; give a number or one of '
        f'{list(RULES)}'
      )
    h = jax.lax.stop_gradient(RULES[given](samples))
    return jnp.maximum(h, MIN_BANDWIDTH)
  h = jnp.ravel(jnp.asarray(given, samples.dtype))
  if h.size not in (1, len(samples)):
    raise ValueError(
      f'bandwidth has {h.size} values for {len(samples)} images: give one, or '
      'one for each image'
    )
  return jnp.broadcast_to(h, samples.shape[:1])
