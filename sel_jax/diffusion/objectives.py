"""What the network is trained on: a pair of images and weighted distances.

Contract: an objective turns a noise estimate into (pred, target), both
[B, H, W, C]; a distance maps such a pair to [B]. Any sum of weighted distances
goes with any objective.
"""

from collections.abc import Callable
from collections.abc import Mapping
import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array
from jaxtyping import Float
from jaxtyping import Int
import numpy as np

from sel_jax.diffusion.sde import IRSDE

Image = Float[Array, 'B H W C']
Distance = Callable[[Array, Array], Array]

_SSIM_SIDE = 11


def optimum(sde, noise_hat, x, clean, mu, t, noise):
  """Euler mean of x_{t-1} against the optimum x*_{t-1} (arXiv 2404.09735)."""
  del noise
  score = sde.score_from_noise(noise_hat, t)
  return sde.reverse_mean(x, score, mu, t), sde.optimum(x, clean, mu, t)


def noise_matching(sde, noise_hat, x, clean, mu, t, noise):
  """e_hat against e (arXiv 2006.11239 eq. 14)."""
  del sde, x, clean, mu, t
  return noise_hat, noise


def score_matching(sde, noise_hat, x, clean, mu, t, noise):
  """s_t-weighted score: lambda * score against its true value.

  Without the weight lambda the score is of order 1/s_t, out of any image's
  range; a distance by density would see nothing of it.
  """
  del x, clean, mu
  pair = (sde.score_from_noise(e, t) for e in (noise_hat, noise))
  return tuple(sde.scale * score for score in pair)


def clean_matching(sde, noise_hat, x, clean, mu, t, noise):
  """x0_hat against x_0."""
  del noise
  return sde.clean_from_noise(x, noise_hat, mu, t), clean


OBJECTIVES = {
  'optimum': optimum,
  'noise': noise_matching,
  'score': score_matching,
  'clean': clean_matching,
}


def objective_pair(
  name: str,
  sde: IRSDE,
  noise_hat: Image,
  x: Image,
  clean: Image,
  mu: Image,
  t: Int[Array, ' B'],
  noise: Image,
) -> tuple[Image, Image]:
  """(pred, target) of the objective `name`.

  Args:
    name: a row of `OBJECTIVES`.
    sde: the diffusion.
    noise_hat: the network's estimate of `noise`.
    x: perturbed image x_t.
    clean: x_0.
    mu: the low-light image.
    t: times 1..T.
    noise: e, the noise in `x`.

  Raises:
    ValueError: for an unknown name.
  """
  if name not in OBJECTIVES:
    raise ValueError(
      f'unknown objective {name!r}; choose one of {list(OBJECTIVES)}'
    )
  return OBJECTIVES[name](sde, noise_hat, x, clean, mu, t, noise)


def l1(pred: Image, target: Image) -> Float[Array, ' B']:
  """Mean absolute error of each image."""
  return jnp.mean(jnp.abs(pred - target), axis=(1, 2, 3))


def l2(pred: Image, target: Image) -> Float[Array, ' B']:
  """Mean squared error of each image."""
  return jnp.mean(jnp.square(pred - target), axis=(1, 2, 3))


def charbonnier(
  pred: Image, target: Image, *, eps: float = 1e-3
) -> Float[Array, ' B']:
  """Mean of sqrt(d^2 + eps^2), a smooth L1 (Lai et al., arXiv 1710.01992)."""
  squares = jnp.square(pred - target) + eps**2
  return jnp.mean(jnp.sqrt(squares), axis=(1, 2, 3))


@functools.cache
def _blurring(length: int) -> np.ndarray:
  """[length - 10, length]: Gaussian means over 11 samples, sigma 1.5."""
  if length < _SSIM_SIDE:
    raise ValueError(
      f'ssim needs images of at least {_SSIM_SIDE} pixels, not {length}'
    )
  offsets = np.arange(_SSIM_SIDE) - _SSIM_SIDE // 2
  weights = np.exp(-0.5 * (offsets / 1.5) ** 2)
  rows = np.zeros((length - _SSIM_SIDE + 1, length), np.float32)
  for row in range(len(rows)):
    rows[row, row : row + _SSIM_SIDE] = weights / weights.sum()
  return rows


def ssim(pred: Image, target: Image) -> Float[Array, ' B']:
  """One less structural similarity (Wang et al. 2004), for images in [0, 1].

  Gaussian 11x11 with sigma 1.5, valid area, mean over channels, as the metric
  `evaluation.metrics.ssim`.

  Raises:
    ValueError: if a side is below 11 pixels.
  """
  rows, columns = (_blurring(side) for side in pred.shape[1:3])

  def blur(x):  # products of matrices: quicker than 22 shifted sums
    x = jnp.einsum('ih,bhwc->biwc', rows, x)
    return jnp.einsum('jw,biwc->bijc', columns, x)

  mean_p, mean_q = blur(pred), blur(target)
  power = blur(jnp.square(pred) + jnp.square(target))
  means, squares = mean_p * mean_q, jnp.square(mean_p) + jnp.square(mean_q)
  covariance = blur(pred * target) - means
  light = (2 * means + 0.01**2) / (squares + 0.01**2)
  structure = (2 * covariance + 0.03**2) / (power - squares + 0.03**2)
  return 1 - jnp.mean(light * structure, axis=(1, 2, 3))


PIXEL_DISTANCES: dict[str, Distance] = {
  'l1': l1,
  'l2': l2,
  'charbonnier': charbonnier,
  'ssim': ssim,
}


def weighted_distances(
  pred: Image,
  target: Image,
  distances: Mapping[str, tuple[float, Distance]],
) -> tuple[Float[Array, ' B'], dict[str, Float[Array, ' B']]]:
  """Sum of weighted distances and its terms.

  Args:
    pred: prediction.
    target: shape of `pred`.
    distances: name -> (weight, distance).

  Returns:
    The weighted sum, and each distance before its weight, by name.

  Raises:
    ValueError: if there is no distance.
  """
  if not distances:
    raise ValueError('no distance to train on: give at least one weight > 0')
  terms = {name: d(pred, target) for name, (_, d) in distances.items()}
  weighted = [distances[name][0] * value for name, value in terms.items()]
  return jax.tree.reduce(jnp.add, weighted), terms
