"""Entropy of a density and distances between two densities.

Contract: every distance is a row of `DIVERGENCES`: a term that is summed over
the bins and a function of that sum. The readable forms below and the fused
training loss use the same rows. Values and gradients are finite for every
non-negative input, zeros and equal densities included.
"""

from collections.abc import Callable
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float

from sel_jax.arrays import AnyArray
from sel_jax.arrays import Array
from sel_jax.arrays import Floats
from sel_jax.arrays import Same

Axes = int | tuple[int, ...]
Pair = tuple[Floats, ...]  # prediction's and target's


def _floor(dtype: Any) -> float:
  # Far below any density that matters, far enough above the smallest normal
  # number that its reciprocal and a sum of those stay finite.
  return float(jnp.finfo(dtype).tiny) * 1e8


def safe_log(p: Same, eps: float) -> Same:
  """log(p + eps), finite with a finite gradient at p = eps = 0."""
  return jnp.log(jnp.maximum(p + eps, _floor(p.dtype)))


def _safe_sqrt(p: AnyArray) -> Array:
  return jnp.sqrt(jnp.maximum(p, _floor(p.dtype)))


def _identity(total: Floats) -> Floats:
  return total


def _root(total: Floats) -> Floats:
  # Zero with a zero (sub)gradient where the densities are equal; NaN stays.
  positive = jnp.logical_not(total <= _floor(total.dtype))
  return jnp.where(positive, jnp.sqrt(jnp.where(positive, total, 1)), 0)


def entropy_term(p: Same, eps: float) -> Same:
  """-p ln p, the summand of the spatial entropy."""
  return -p * safe_log(p, eps)


def _relative_term(p: AnyArray, q: AnyArray, eps: float) -> AnyArray:
  return q * (safe_log(q, eps) - safe_log(p, eps))


def _cross_term(p: AnyArray, q: AnyArray, eps: float) -> AnyArray:
  return -q * safe_log(p, eps)


@jax.custom_jvp
def _root_gap(p: AnyArray, q: AnyArray) -> AnyArray:
  return 0.5 * jnp.square(_safe_sqrt(p) - _safe_sqrt(q))


@_root_gap.defjvp
def _root_gap_slope(primals, tangents):
  # 1/2 - 1/2 sqrt(q / p): one root and one division where the two roots and
  # their derivatives take three and more.
  p, q = primals
  floor = _floor(p.dtype)
  x, y = jnp.maximum(p, floor), jnp.maximum(q, floor)

  def slope(own, other, value, tangent):
    # Not a number stays that.
    by_value = 0.5 - 0.5 * jnp.sqrt(other / own)
    return jnp.where(value <= floor, 0, by_value) * tangent

  tangent = slope(x, y, p, tangents[0]) + slope(y, x, q, tangents[1])
  return _root_gap(p, q), tangent


def _hellinger_term(p: AnyArray, q: AnyArray, eps: float) -> AnyArray:
  del eps
  return _root_gap(p, q)


def _jensen_shannon_term(p: AnyArray, q: AnyArray, eps: float) -> AnyArray:
  log_m = safe_log(0.5 * (p + q), eps)
  return 0.5 * (p * (safe_log(p, eps) - log_m) + q * (safe_log(q, eps) - log_m))


@dataclasses.dataclass(frozen=True)
class Product:
  """A sum over all bin pairs in closed form, of densities p = a (x) b.

  Attributes:
    moments: (a_i, a'_i) of both images -> what is summed over an axis' bins,
      elementwise.
    finish: these sums, of both axes -> the sum over all pairs.
  """

  moments: Callable[[Floats, Floats], tuple[Floats, ...]]
  finish: Callable[[tuple[Floats, ...], tuple[Floats, ...]], Floats]

  def __call__(self, first: Pair, second: Pair) -> Floats:
    """The sum from both axes' factors (a, a') and (b, b'), each [L, ...]."""
    sums = [
      tuple(jnp.sum(x, axis=0) for x in self.moments(*axis))
      for axis in (first, second)
    ]
    return self.finish(*sums)


def _hellinger_moments(x: Floats, y: Floats) -> tuple[Floats, ...]:
  return _hellinger_term(x, y, 0.0), 0.5 * (x + y), x - y


def _hellinger_product(
  first: tuple[Floats, ...], second: tuple[Floats, ...]
) -> Floats:
  """Sum of the Hellinger terms where p = a (x) b and q = a' (x) b'.

    sum_ij (sqrt p - sqrt q)^2 / 2 = (Sp + Sq) / 2 - (M_a - D_a)(M_b - D_b),
    M_a = sum_i (a_i + a'_i) / 2,  D_a = sum_i (sqrt a_i - sqrt a'_i)^2 / 2

  multiplied out, so that nothing cancels where the densities are nearly equal.
  """
  d_a, mean_a, gap_a = first
  d_b, mean_b, gap_b = second
  return mean_a * d_b + mean_b * d_a - d_a * d_b + 0.25 * gap_a * gap_b


@dataclasses.dataclass(frozen=True)
class Divergence:
  """A distance between densities that is a function of a sum over bins.

  Attributes:
    term: (p, q, eps) -> summand, elementwise; p prediction, q target.
    finish: sum over the bins -> distance, elementwise.
    product: the sum where both densities are products, if there is a closed
      form.
    merges: term(s p, s q) = s term(p, q), so that bins of equal p / q may be
      merged into one.
  """

  term: Callable[[AnyArray, AnyArray, float], AnyArray]
  finish: Callable[[Floats], Floats] = _identity
  product: Product | None = None
  merges: bool = False


DIVERGENCES: dict[str, Divergence] = {
  'relative': Divergence(_relative_term, merges=True),
  'cross': Divergence(_cross_term),
  'hellinger': Divergence(
    _hellinger_term,
    _root,
    Product(_hellinger_moments, _hellinger_product),
    merges=True,
  ),
  'jensen_shannon': Divergence(_jensen_shannon_term, merges=True),
}


@dataclasses.dataclass(frozen=True)
class Summand:
  """What is summed over the bins, for one image or two.

  Attributes:
    term: densities of each image -> summand, elementwise; hashable.
    product: see `Divergence`.
    merges: see `Divergence`.
  """

  term: Callable[..., AnyArray]
  product: Product | None = None
  merges: bool = False

  def looped(self, windows: tuple[int, ...]) -> tuple[int, ...]:
    """The window sizes that have no closed form."""
    return tuple(w for w in windows if w > 1 or self.product is None)

  def totals(
    self,
    windows: tuple[int, ...],
    sums: Callable[[tuple[int, ...]], Float[Array, 'K ...']],
    factors: tuple[Pair, Pair],
  ) -> Float[Array, 'K ...']:
    """Sums over the bins for every window: by a loop, or in closed form.

    Args:
      windows: odd sizes.
      sums: windows without a closed form -> their totals, stacked.
      factors: a and b of each image where a 1x1 window sees them, [L, ...].

    Returns:
      [windows, ...].
    """
    product = self.product
    if product is None:
      return sums(windows)
    looped = self.looped(windows)
    found = dict(zip(looped, sums(looped), strict=True)) if looped else {}
    return jnp.stack(
      [found[w] if w in found else product(*factors) for w in windows]
    )


def divergence(
  name: str,
  p: Same,
  q: Same,
  *,
  axis: Axes = -1,
  eps: float = 1e-10,
) -> Floats:
  """A distance by name.

  Args:
    name: a row of `DIVERGENCES`.
    p: prediction, non-negative, any shape.
    q: target, shape of `p`.
    axis: the bins' axis or axes.
    eps: added inside logarithms.

  Returns:
    Distances, shape of `p` without `axis`.

  Raises:
    ValueError: for an unknown name, or if the shapes differ.
  """
  if name not in DIVERGENCES:
    raise ValueError(
      f'unknown distance {name!r}; choose one of {list(DIVERGENCES)}'
    )
  if p.shape != q.shape:
    raise ValueError(f'densities differ in shape: {p.shape} and {q.shape}')
  row = DIVERGENCES[name]
  return row.finish(jnp.sum(row.term(p, q, eps), axis=axis))


def entropy(p: Same, *, axis: Axes = -1, eps: float = 1e-10) -> Floats:
  """Shannon entropy -sum p ln p in nats.

  Args:
    p: densities, non-negative, any shape.
    axis: the bins' axis or axes.
    eps: added inside the logarithm.

  Returns:
    Shape of `p` without `axis`.
  """
  return jnp.sum(entropy_term(p, eps), axis=axis)


def relative_entropy(
  p: Same, q: Same, *, axis: Axes = -1, eps: float = 1e-10
) -> Floats:
  """Relative entropy (Kullback-Leibler) sum q ln(q / p); see `divergence`."""
  return divergence('relative', p, q, axis=axis, eps=eps)


def cross_entropy(
  p: Same, q: Same, *, axis: Axes = -1, eps: float = 1e-10
) -> Floats:
  """Cross entropy -sum q ln p; see `divergence`."""
  return divergence('cross', p, q, axis=axis, eps=eps)


def hellinger(p: Same, q: Same, *, axis: Axes = -1) -> Floats:
  """Hellinger distance sqrt(1/2 sum (sqrt p - sqrt q)^2); see `divergence`.

  In [0, 1] for densities that sum to one. Zero gradient where p = q.
  """
  return divergence('hellinger', p, q, axis=axis)


def jensen_shannon(
  p: Same, q: Same, *, axis: Axes = -1, eps: float = 1e-10
) -> Floats:
  """Jensen-Shannon divergence, in [0, ln 2] nats; see `divergence`.

  1/2 sum p ln(p / m) + 1/2 sum q ln(q / m),     m = (p + q) / 2
  """
  return divergence('jensen_shannon', p, q, axis=axis, eps=eps)
