"""From settings to method, optimizer and data.

Contract: names become objects here and nowhere else.
"""

from collections.abc import Callable

import jax.numpy as jnp
import optax

from sel_jax import optimizers
from sel_jax.data import cache
from sel_jax.data import soundness
from sel_jax.data.pairs import open_pairs
from sel_jax.data.pipeline import TrainingData
from sel_jax.data.sequences import PairSource
from sel_jax.diffusion import SDES
from sel_jax.method import Density
from sel_jax.method import ENTROPY
from sel_jax.method import Method
from sel_jax.settings import Settings


def build_method(settings: Settings) -> Method:
  """Network, diffusion, objective and losses."""
  loss, model = settings.loss, settings.model
  entropy = {ENTROPY: loss.entropy} if loss.entropy else {}
  return Method(
    model=model.network.clone(dtype=jnp.dtype(model.dtype)),
    sde=SDES[settings.sde.name].create(settings.sde.spec),
    predicts=model.predicts,
    objective=loss.objective,
    weights=entropy | dict(loss.weights),
    entropy=settings.entropy,
    detail_sigma=loss.detail_sigma,
    at_prior=loss.at_prior,
    perturb=loss.perturb,
    unroll=loss.unroll,
    density=_density(settings),
    lpips_sample=loss.lpips_sample,
  )


def _density(settings: Settings) -> Density:
  """Where and when the spatial entropy counts."""
  loss, steps = settings.loss, settings.train.steps
  updates = round(loss.entropy_from * steps), round(loss.entropy_until * steps)
  return Density(
    objective=loss.entropy_objective,
    times=loss.entropy_times,
    bands=loss.bands,
    updates=None if updates == (0, steps) else updates,
  )


def build_bandwidth(settings: Settings) -> Callable[[int], float | None]:
  """Number of an update -> bandwidth of the spatial entropy, in bins.

    h(n) = from (to / from)^(n / N) for n < N, then `to`

  None where there is no spatial entropy, a rule finds its bandwidth, or it is
  learned.
  """
  loss, last = settings.loss, settings.entropy.bandwidth
  if not loss.entropy or isinstance(last, str) or loss.bandwidth_rate:
    return lambda number: None
  first = loss.bandwidth_from or last
  updates = loss.bandwidth_updates or settings.train.steps

  def bandwidth(number: int) -> float:
    return first * (last / first) ** min(1.0, number / updates)

  return bandwidth


def learned_bandwidth(settings: Settings) -> float | None:
  """Bandwidth that learning starts from, in bins; None: it is not learned."""
  loss, first = settings.loss, settings.entropy.bandwidth
  if not loss.entropy or isinstance(first, str) or not loss.bandwidth_rate:
    return None
  return first


def build_optimizer(settings: Settings) -> optax.GradientTransformation:
  """The optimizer with its learning rate over the run."""
  return optimizers.build_optimizer(settings.optim, settings.train.steps)


def validation_pairs(settings: Settings) -> PairSource:
  """The photographs of the validation split, kept as those of training are.

  Raises:
    InputError: if there are none, or a file is broken and none is to be left
      out.
  """
  pairs, spec = open_pairs(settings.data.pairs, 'val'), settings.data.cache
  if spec.cache == 'none' and spec.skip_broken:
    # Figures are means over each photograph once.
    return soundness.usable(pairs, range(len(pairs)), skip_broken=True)
  return cache.keep(pairs, spec)


def training_data(
  settings: Settings, *, process: tuple[int, int] = (0, 1)
) -> TrainingData:
  """Batches of the training split.

  Args:
    settings: the run's settings.
    process: which of how many processes share a batch.

  Raises:
    InputError: if there are no pairs, or a file is broken.
  """
  data = settings.data
  kept = cache.keep(open_pairs(data.pairs, 'train'), data.cache)
  return TrainingData(
    kept,
    seed=settings.seed,
    augment=data.augment,
    loader=data.loader,
    process=process,
  )
