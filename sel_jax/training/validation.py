"""How good the averaged parameters are, during a run.

Contract: the photographs are shared among the processes and the figures are
means over all of them, the same in every process.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any

import numpy as np

from sel_jax import build
from sel_jax import evaluation
from sel_jax.errors import InputError
from sel_jax.evaluation import evaluator
from sel_jax.evaluation import text_report
from sel_jax.evaluation.text_report import GIVEN
from sel_jax.evaluation.text_report import GT_MEAN
from sel_jax.inference import Enhancer
from sel_jax.inference.exposure import Predictor
from sel_jax.models.exposure import takes_exposure
from sel_jax.settings import Settings
from sel_jax.training import parallel

METRICS = ('psnr', 'ssim', 'psnr_gt_mean')


def best_figure(settings: Settings) -> str:
  """The figure that chooses checkpoints; plain ones with exposure given.

  What a network that is told the exposure has without it is luck.
  """
  best = settings.train.best
  told = takes_exposure(settings.model.network)
  return best + GIVEN if told and best in evaluation.METRICS else best


def check(settings: Settings) -> None:
  """Checks that what `train.best` names can be measured.

  Args:
    settings: the run's settings.

  Raises:
    InputError: if there is no such figure, or its weights are missing.
  """
  best = settings.train.best
  name = text_report.plain(best)
  told = takes_exposure(settings.model.network)
  if name not in evaluation.METRICS or (best.endswith(GIVEN) and not told):
    raise InputError(
      f'config.train.best={best!r}: no such figure; choose one of '
      f'{list(evaluation.METRICS)}, or one with {GT_MEAN} after it, or with '
      f'{GIVEN} where config.model.exposure is on'
    )
  if available := evaluation.METRICS[name].available:
    available()


class Validation:
  """Restores the validation split with whatever parameters there are."""

  def __init__(self, settings: Settings, *, share: tuple[int, int] = (0, 1)):
    """Decodes the split, so that a broken file is named before the first step.

    Args:
      settings: the run's settings.
      share: which of how many processes this one is.

    Raises:
      InputError: if there are no pairs, a file is broken, or what `best` means
        cannot be measured.
    """
    self._best = best_figure(settings)
    check(settings)
    told = ['psnr_given'] if takes_exposure(settings.model.network) else []
    self._names = tuple(dict.fromkeys((*METRICS, *told, self._best)))
    self._pairs = build.validation_pairs(settings)
    self._enhancer = Enhancer.create(settings)
    self._limit = settings.eval.images
    self._share = share

  def __call__(
    self, params: Any, *, predictor: Predictor | None = None
  ) -> tuple[dict[str, float], np.ndarray | None]:
    """Restores and measures; every process must call it.

    Args:
      params: whole, on the host.
      predictor: says which exposures are plausible.

    Returns:
      The means of `METRICS` and of what `best` means, and a low | restored |
      clean strip of the first photograph of this process, if it has any.
    """
    picture = None

    def keep_first(name, *, low, restored, clean):
      nonlocal picture
      del name
      if picture is None:
        picture = np.concatenate([low, restored, clean], axis=1)

    plain = {text_report.plain(name): None for name in self._names}
    matched = [n.removesuffix(GT_MEAN) for n in self._names if GT_MEAN in n]
    enhancer = self._enhancer.with_params(params)
    rows = evaluator.evaluate(
      dataclasses.replace(enhancer, predictor=predictor),
      self._pairs,
      names=tuple(plain),
      matched=matched,
      limit=self._limit,
      share=self._share,
      on_image=keep_first,
    )
    values = [[row[name] for name in self._names] for row in rows]
    return self._means(np.array(values).reshape(-1, len(self._names))), picture

  def score(self, means: Mapping[str, float]) -> float:
    """What checkpoints are ranked by: higher is better.

    Args:
      means: figures that a call gave.
    """
    metric = evaluation.METRICS[text_report.plain(self._best)]
    return means[self._best] * (1 if metric.higher else -1)

  def _means(self, values: np.ndarray) -> dict[str, float]:
    """Means over the rows of every process; what is undefined is left out."""
    count = len(evaluator.chosen(len(self._pairs), self._limit))
    processes = self._share[1]
    counts = [len(range(p, count, processes)) for p in range(processes)]
    values = parallel.gather_rows(values, counts)
    values[~np.isfinite(values)] = np.nan
    return dict(zip(self._names, np.nanmean(values, 0).tolist(), strict=True))
