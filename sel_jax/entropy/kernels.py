"""One-dimensional kernels of the density estimate.

Contract: every kernel is a row of `KERNELS`, with a density that integrates to
one and its integral; both are elementwise, in float32 or float64, with finite
values and gradients everywhere.
"""

from collections.abc import Callable
import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
from jaxtyping import Float
from jaxtyping import Shaped

from sel_jax.arrays import AnyArray
from sel_jax.arrays import Array
from sel_jax.arrays import Floats


@dataclasses.dataclass(frozen=True)
class Kernel:
  """A symmetric smoothing kernel k(v) of unit bandwidth.

  Attributes:
    density: k(v), non-negative, integrates to one.
    cdf: K(v) = int_{-inf}^v k, for exact bin masses. Accurate in relative terms
      for v < 0; callers use K(v) = 1 - K(-v) for the other half.
    support: |v| beyond which k(v) < 1e-7.
    tail: accuracy -> |v| beyond which bins may be merged into one, because the
      kernel is an exponential there, or because that little is left of it.
    mass: K(v + d) - K(v - d), where (v, d, low, high) say that K stands for 1
      above or for 0 below instead; by `cdf` if left out.
  """

  density: Callable[[AnyArray], Array]
  cdf: Callable[[AnyArray], Array]
  support: float
  tail: Callable[[float], float]
  mass: Callable[..., Array] | None = None


def _logistic_density(v: AnyArray) -> Array:
  s = jax.nn.sigmoid(v)
  return s * (1.0 - s)


# Of bins: whether one is an end of the dictionary.
_Ends = Shaped[AnyArray, '...'] | bool


def _logistic_mass(
  v: AnyArray, d: AnyArray | float, low: _Ends, high: _Ends
) -> Array:
  """K(v + d) - K(v - d) by one exponential.

    (1 - e^-2d) t / ((t + e^-d) (1 + t e^-d)),     t = e^-|v|

  Nothing cancels. Where both exponentials are nothing, their ratio counts.
  """
  near = jnp.minimum(d, 80.0)
  # Not `abs` and `maximum`, which halve the slope of an end bin at its centre.
  far = jnp.where(v >= 0, v, -v) - (d - near)
  t = jnp.exp(-jnp.where(far < 0, 0.0, far))
  e = jnp.exp(-near)
  outer, inner = 1.0 + t * e, t + e
  # K(v + d) is 1 / outer for v > 0 and t / inner for v < 0, 1 - K(v - d) is the
  # other one.
  right = jnp.logical_xor(v >= 0, high)
  one_sided = jnp.where(right, 1.0, t), jnp.where(right, outer, inner)
  both_sided = -jnp.expm1(-2 * d) * t, outer * inner
  ends = jnp.logical_or(low, high)
  above, below = (
    jnp.where(ends, x, y) for x, y in zip(one_sided, both_sided, strict=True)
  )
  return jnp.where(jnp.logical_and(low, high), 1.0, above / below)


def _sech_density(v: AnyArray) -> Array:
  # 2 / pi / (e^v + e^-v), written so that neither exponential overflows.
  e = jnp.exp(jnp.where(v < 0, v, -v))
  return (2.0 / math.pi) * e / (1.0 + e * e)


def _sech_cdf(v: AnyArray) -> Array:
  tail = (2.0 / math.pi) * jnp.arctan(jnp.exp(jnp.where(v < 0, v, -v)))
  return jnp.where(v < 0, tail, 1.0 - tail)


def _gaussian_density(v: AnyArray) -> Array:
  return jnp.exp(-0.5 * v * v) / math.sqrt(2.0 * math.pi)


def _gaussian_cdf(v: AnyArray) -> Array:
  return 0.5 * jax.lax.erfc(-v / math.sqrt(2.0))


def _bspline_density(v: AnyArray) -> Array:
  r = jnp.minimum(jnp.abs(v), 2.0)
  inner = (4.0 - 6.0 * r * r + 3.0 * r * r * r) / 6.0
  outer = (2.0 - r) ** 3 / 6.0
  return jnp.where(r < 1.0, inner, outer)


def _bspline_cdf(v: AnyArray) -> Array:
  n = jnp.maximum(jnp.where(v < 0, v, -v), -2.0)
  outer = (n + 2.0) ** 4 / 24.0
  inner = 0.5 + n * (4.0 - n * n * (2.0 + 0.75 * n)) / 6.0
  tail = jnp.where(n < -1.0, outer, inner)
  return jnp.where(v < 0, tail, 1.0 - tail)


def _exponential_tail(accuracy: float) -> float:
  # k(v) = c e^-|v| (1 + O(e^-|v|)): the part e^-|v| of the mass that is merged
  # has log ratios p / q that differ by e^-|v|, and enters by their square.
  return -math.log(accuracy) / 3


def _gaussian_tail(accuracy: float) -> float:
  return math.sqrt(-2 * math.log(accuracy))


KERNELS: dict[str, Kernel] = {
  'logistic': Kernel(
    _logistic_density,
    jax.nn.sigmoid,
    16.2,
    _exponential_tail,
    _logistic_mass,
  ),
  'sech': Kernel(_sech_density, _sech_cdf, 15.7, _exponential_tail),
  'gaussian': Kernel(_gaussian_density, _gaussian_cdf, 5.6, _gaussian_tail),
  'bspline': Kernel(_bspline_density, _bspline_cdf, 2.0, lambda accuracy: 2.0),
}


def get_kernel(name: str) -> Kernel:
  """Looks a kernel up by name.

  Raises:
    ValueError: if there is no such kernel; the message lists those there are.
  """
  if name not in KERNELS:
    raise ValueError(f'unknown kernel {name!r}; choose one of {list(KERNELS)}')
  return KERNELS[name]


# Stands for infinity in kernel units: every cdf is 0 or 1 there, gradient 0.
_FAR = 1e4


def _mass_by_cdf(
  cdf: Callable[[AnyArray], Array],
  v: AnyArray,
  d: AnyArray | float,
  low: _Ends,
  high: _Ends,
) -> Array:
  """K(v + d) - K(v - d), from infinity or to it where `low` or `high`."""
  below, above = jnp.where(low, -_FAR, v - d), jnp.where(high, _FAR, v + d)
  # On the right half 1 - K cancels; by symmetry we stay on the left one.
  right = below + above > 0
  below, above = (
    jnp.where(right, -above, below),
    jnp.where(right, -below, above),
  )
  return jnp.maximum(cdf(above) - cdf(below), 0.0)


def bin_mass(
  u: Float[AnyArray, '...'] | float,
  index: Shaped[AnyArray, '...'] | int,
  *,
  levels: int,
  bandwidth: Float[AnyArray, '...'] | float,
  kernel: str = 'logistic',
  mass: str = 'exact',
  ends: tuple[Floats | float, Floats | float] | None = None,
) -> Float[Array, '...']:
  """Mass that a kernel centred at `u` puts into the bin `index`.

  exact:  K((i + 1/2 - u) / h) - K((i - 1/2 - u) / h), the outer edges of the
          first and last bin at infinity: sums to one over the bins for every h.
  point:  k((i - u) / h) / h, the density at the bin's centre.
  raw:    k((i - u) / h).

  Args:
    u: positions in bin units (0 is the centre of the first bin), any shape.
    index: bin numbers 0..levels-1, broadcastable against `u`.
    levels: number of bins L.
    bandwidth: h > 0 in bin units, scalar or broadcastable against `u`.
    kernel: a name in `KERNELS`.
    mass: 'exact', 'point' or 'raw'.
    ends: first and last bin of a shorter dictionary, for exact masses only:
      its ends take what lies beyond them, the bins outside are empty.

  Returns:
    Non-negative masses, shape of `u` broadcast against `index`.

  Raises:
    ValueError: if `kernel` or `mass` is not a known name, or `ends` are given
      for masses that have none.
  """
  k = get_kernel(kernel)
  if ends is not None and mass != 'exact':
    raise ValueError(f'ends shorten exact masses only, not mass={mass!r}')
  offset = jnp.asarray(index - u)
  if mass == 'raw':
    return k.density(offset / bandwidth)
  if mass == 'point':
    return k.density(offset / bandwidth) / bandwidth
  if mass != 'exact':
    raise ValueError(
      f"unknown bin mass {mass!r}; choose one of ['exact', 'point', 'raw']"
    )
  first, last = (0, levels - 1) if ends is None else ends
  mass_of = k.mass or functools.partial(_mass_by_cdf, k.cdf)
  found = mass_of(
    offset / bandwidth, 0.5 / bandwidth, index <= first, index >= last
  )
  if ends is None:
    return found
  # NaN stays, even in a dictionary of one bin that takes everything.
  found = jnp.where(jnp.isnan(offset), offset, found)
  return jnp.where((index < first) | (index > last), 0.0, found)
