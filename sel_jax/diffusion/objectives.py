"""What the network is trained on: a pair of images.

Contract: an objective turns a noise estimate into (pred, target), both
[B, H, W, C]; any loss of images goes with any objective.
"""

from sel_jax.arrays import Images
from sel_jax.arrays import Times
from sel_jax.diffusion.sde import IRSDE

Pair = tuple[Images, Images]  # (pred, target)


def optimum(
  sde: IRSDE,
  noise_hat: Images,
  x_t: Images,
  x_0: Images,
  mu: Images,
  t: Times,
  noise: Images,
) -> Pair:
  """Euler mean of x_{t-1} against the optimum x*_{t-1} (arXiv 2404.09735)."""
  del noise
  score = sde.score_from_noise(noise_hat, t)
  return sde.reverse_mean(x_t, score, mu, t), sde.optimum(x_t, x_0, mu, t)


def noise_matching(
  sde: IRSDE,
  noise_hat: Images,
  x_t: Images,
  x_0: Images,
  mu: Images,
  t: Times,
  noise: Images,
) -> Pair:
  """e_hat against e (arXiv 2006.11239 eq. 14)."""
  del sde, x_t, x_0, mu, t
  return noise_hat, noise


def score_matching(
  sde: IRSDE,
  noise_hat: Images,
  x_t: Images,
  x_0: Images,
  mu: Images,
  t: Times,
  noise: Images,
) -> Pair:
  """s_t-weighted score: lambda * score against its true value.

  Without the weight lambda the score is of order 1/s_t, out of any image's
  range; a distance by density would see nothing of it.
  """
  del x_t, x_0, mu
  pred = sde.score_from_noise(noise_hat, t)
  return sde.scale * pred, sde.scale * sde.score_from_noise(noise, t)


def clean_matching(
  sde: IRSDE,
  noise_hat: Images,
  x_t: Images,
  x_0: Images,
  mu: Images,
  t: Times,
  noise: Images,
) -> Pair:
  """x_0_hat against x_0."""
  del noise
  return sde.clean_from_noise(x_t, noise_hat, mu, t), x_0


OBJECTIVES = {
  'optimum': optimum,
  'noise': noise_matching,
  'score': score_matching,
  'clean': clean_matching,
}


def objective_pair(
  name: str,
  sde: IRSDE,
  noise_hat: Images,
  x_t: Images,
  x_0: Images,
  mu: Images,
  t: Times,
  noise: Images,
) -> Pair:
  """(pred, target) of the objective `name`.

  Args:
    name: a row of `OBJECTIVES`.
    sde: the diffusion.
    noise_hat: the network's estimate of `noise`.
    x_t: the perturbed image.
    x_0: the clean image.
    mu: the low-light image.
    t: times 1..T.
    noise: e, the noise in `x_t`.

  Raises:
    ValueError: for an unknown name.
  """
  if name not in OBJECTIVES:
    raise ValueError(
      f'unknown objective {name!r}; choose one of {list(OBJECTIVES)}'
    )
  return OBJECTIVES[name](sde, noise_hat, x_t, x_0, mu, t, noise)
