"""How a run learns which exposures are plausible.

Contract: from the training pairs alone, and the same numbers whenever it is
asked; `inference.exposure` uses what comes out.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
import dataclasses
import math
from pathlib import Path

import numpy as np

from sel_jax.checkpoints import Checkpoints
from sel_jax.data import cameras
from sel_jax.data.augment import AugmentSpec
from sel_jax.data.augment import relit
from sel_jax.data.sequences import Pair
from sel_jax.data.sequences import PairSource
from sel_jax.errors import InputError
from sel_jax.images import codec
from sel_jax.inference import exposure
from sel_jax.inference.exposure import Plausible
from sel_jax.inference.exposure import Predictor

# Pairs that are looked at, evenly spread: more of them tell no more.
_PAIRS = 500
# Below so many there is nothing to learn.
_FEWEST = 8
# Longest side of what the model of a camera is given, pixels.
_SIDE = 400


def stored(workdir: str | Path) -> Predictor | None:
  """The predictor of a run, from its newest checkpoint; None if it has none.

  Raises:
    InputError: if the folder holds no run.
  """
  checkpoints = Checkpoints.open(workdir)
  try:
    found = checkpoints.newest_exposure()
  finally:
    checkpoints.close()
  return Predictor.from_json(found) if found else None


def fit(pairs: PairSource, spec: AugmentSpec) -> Predictor | None:
  """A predictor of the exposure from training pairs.

  Each pair is looked at as it is, and relit and taken by another camera where
  training does so.

  Args:
    pairs: decoded, or quickly decoded.
    spec: what training draws for each pair.

  Returns:
    None of fewer than eight pairs: too few to tell anything from.
  """
  count = min(len(pairs), _PAIRS)
  chosen = np.linspace(0, len(pairs) - 1, count).round().astype(int)
  if count < _FEWEST:
    return None

  def look(index: np.integer) -> tuple[list[np.ndarray], float] | None:
    try:
      pair = pairs[int(index)]
    except InputError:  # told, or allowed, where the photograph is used
      return None
    rng = np.random.default_rng(int(index))
    lows = _variants(rng, spec, low=pair.low, clean=pair.clean)
    found = [exposure.features(low) for low in lows]
    return found, codec.mean_intensity(pair.clean)

  with ThreadPoolExecutor(2) as pool:
    looked = [one for one in pool.map(look, chosen) if one]
  x = np.array([row for rows, _ in looked for row in rows])
  e = np.array([clean for rows, clean in looked for _ in rows])
  return _regress(x, e) if len(looked) >= _FEWEST else None


def _variants(
  rng: np.random.Generator,
  spec: AugmentSpec,
  *,
  low: np.ndarray,
  clean: np.ndarray,
) -> list[np.ndarray]:
  """The low photographs that training may make of a pair."""
  lows = [low]
  if spec.relight:
    both = {'low': codec.to_float(low), 'clean': codec.to_float(clean)}
    lows.append(relit(rng, **both))
  if spec.cameras:
    step = -(-max(clean.shape[:2]) // _SIDE)
    small = np.ascontiguousarray(clean[::step, ::step])
    lows.append(cameras.take(rng, codec.to_float(small)))
  return lows


def _regress(x: np.ndarray, e: np.ndarray) -> Predictor:
  """Evidence maximisation (MacKay 1992), by scikit-learn."""
  from sklearn.linear_model import BayesianRidge  # half a second

  center, scale = x.mean(0), np.maximum(x.std(0), 1e-6)
  found = BayesianRidge().fit((x - center) / scale, exposure.logit(e))
  return Predictor(
    center=center,
    scale=scale,
    weights=found.coef_,
    covariance=found.sigma_,
    bias=float(found.intercept_),
    noise=float(1 / found.alpha_),
  )


@dataclasses.dataclass(frozen=True)
class Calibration:
  """How honest a predictor is on photographs that it was not made from.

  Attributes:
    r2: share of the exposure's variance that its medians explain.
    error: mean absolute error of the medians.
    coverage: central intervals of 50, 80 and 95 % and, of each, the share of
      photographs that are within.
  """

  r2: float
  error: float
  coverage: tuple[float, float, float]


def calibration(predictor: Predictor, pairs: PairSource) -> Calibration:
  """Measures a predictor.

  Args:
    predictor: made from pairs of other scenes.
    pairs: those to measure on.
  """
  every = [pairs[n] for n in range(len(pairs))]
  return measured([predictor(pair.low) for pair in every], every)


def measured(found: Sequence[Plausible], pairs: Sequence[Pair]) -> Calibration:
  """Measures what was predicted.

  Args:
    found: what is plausible of each low photograph.
    pairs: the pairs that they are of.
  """
  e = np.array([codec.mean_intensity(pair.clean) for pair in pairs])
  medians = np.array([one.quantile(0.5) for one in found])

  def within(share: float) -> float:
    tail = (1 - share) / 2
    ends = np.array([[p.quantile(q) for q in (tail, 1 - tail)] for p in found])
    return float(np.mean((ends[:, 0] <= e) & (e <= ends[:, 1])))

  spread = ((e - e.mean()) ** 2).sum()
  return Calibration(
    r2=float(1 - ((medians - e) ** 2).sum() / spread) if spread else math.nan,
    error=float(np.abs(medians - e).mean()),
    coverage=(within(0.5), within(0.8), within(0.95)),
  )
