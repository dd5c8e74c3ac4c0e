"""The same run many times, one thing changed: which settings matter.

Contract: all variants of one seed see the same batches in the same order for as
many steps, unless they change the steps, and what is measured is the average at
the last step, so nothing is chosen. A trial that is done is not done again; one
that was stopped goes on.
"""

from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import json
from pathlib import Path
import re
import time
from typing import Any

from jaxtyping import Float
import numpy as np
import scipy.stats

from sel_jax.data import soundness
from sel_jax.data.pairs import open_pairs
from sel_jax.errors import InputError
from sel_jax.evaluation import evaluator
from sel_jax.evaluation import text_report
from sel_jax.inference import Enhancer
from sel_jax.settings import Settings
from sel_jax.training import exposures
from sel_jax.training import train

RESULTS = 'results.json'


@dataclasses.dataclass(frozen=True)
class Trial:
  """One training run of an ablation.

  Attributes:
    variant: its name.
    seed: decides everything that is drawn.
    settings: all of them, the seed included.
    calls: numbers of calls of the network that it is measured at; that of the
      settings if empty.
  """

  variant: str
  seed: int
  settings: Settings
  calls: tuple[int, ...] = ()

  @property
  def labels(self) -> dict[str, int]:
    """What its results are called -> the calls that they are measured at."""
    if not self.calls:
      return {self.variant: self.settings.eval.steps}
    return {
      f'{self.variant}, {n} call{"s" if n > 1 else ""}': n for n in self.calls
    }

  @property
  def folder(self) -> str:
    """Name of its folder: the variant's, as a file system likes it."""
    name = re.sub(r'[^\w.]+', '-', self.variant).strip('-')
    return f'{name}_seed{self.seed}'


def _trial(
  base: Mapping[str, Any],
  variant: str,
  changes: Mapping[str, Any],
  seed: int,
  calls: tuple[int, ...],
) -> Trial:
  if 'seed' in changes:
    raise InputError(
      f'variant {variant!r}: changes the seed, which every variant has in '
      'common; list it among the seeds'
    )
  try:
    settings = Settings.parse(base, changes={**changes, 'seed': seed})
    for n in calls:
      settings.changed({'eval.steps': n})  # which says if they are too many
    return Trial(variant, seed, settings, calls)
  except InputError as error:
    raise InputError(f'variant {variant!r}: {error}') from error


def every_trial(
  base: Mapping[str, Any],
  variants: Mapping[str, Mapping[str, Any]],
  seeds: Sequence[int],
  *,
  calls: tuple[int, ...] = (),
) -> list[Trial]:
  """Every variant with every seed, seed by seed.

  Args:
    base: nested sections that variants change, as of a configuration.
    variants: name -> {'section.key': value}; the first is the baseline.
    seeds: one per run.
    calls: see `Trial`.

  Raises:
    InputError: for a key or value that does not fit, or names that clash.
  """
  found = [
    _trial(base, name, changes, seed, calls)
    for seed in seeds
    for name, changes in variants.items()
  ]
  owners: dict[str, Trial] = {}
  for trial in found:
    owner = owners.setdefault(trial.folder, trial)
    if owner is not trial:
      raise InputError(
        f'variant {owner.variant!r}, seed {owner.seed} and variant '
        f'{trial.variant!r}, seed {trial.seed} would share the folder '
        f'{trial.folder!r}; rename one, or list each seed once'
      )
  return found


def _measured(
  trial: Trial,
  workdir: Path,
  split: str,
  names: Sequence[str],
) -> list[dict[str, Any]]:
  """Trains and measures; nothing if the run was asked to stop."""
  settings, folder = trial.settings, workdir / trial.folder
  skip = settings.data.cache.skip_broken
  pairs = open_pairs(settings.data.pairs, split)
  pairs = soundness.usable(pairs, range(len(pairs)), skip_broken=skip)
  fresh, began = not folder.exists(), time.perf_counter()
  state = train(settings, folder)
  if int(state.step) < settings.train.steps:
    return []
  seconds = time.perf_counter() - began
  enhancer = Enhancer.create(
    settings, params=state.ema, predictor=exposures.stored(folder)
  )
  return [
    {
      'variant': label,
      'seed': trial.seed,
      'steps': settings.train.steps,
      'seconds': seconds if fresh else None,  # it went on: a part of them
      'config': settings.to_dict(),
      'images': evaluator.evaluate(
        enhancer.with_settings(steps=calls),
        pairs,
        names=names,
        matched=names[:1],
      ),
    }
    for label, calls in trial.labels.items()
  ]


def _same(stored: Mapping[str, Any], settings: Settings) -> bool:
  """Whether a stored configuration, of before too, says the same."""
  try:
    return Settings.parse(stored).to_dict() == settings.to_dict()
  except InputError:
    return False


def load_results(path: str | Path) -> list[dict]:
  """Trials that are done, of an earlier start; none if there is no file.

  Raises:
    InputError: if the file cannot be read.
  """
  path = Path(path)
  if not path.exists():
    return []
  try:
    return json.loads(path.read_text())['trials']
  except (ValueError, KeyError) as error:
    raise InputError(
      f'{path}: not the results of an ablation ({error}); remove it'
    ) from error


def earlier(
  todo: Sequence[Trial], workdir: str | Path
) -> dict[tuple[str, int], dict]:
  """Results that earlier starts left.

  Args:
    todo: from `every_trial`.
    workdir: the folder that `run` gets.

  Returns:
    (label, seed) -> its result.

  Raises:
    InputError: if an earlier start had other settings.
  """
  path = Path(workdir) / RESULTS
  done = {(r['variant'], r['seed']): r for r in load_results(path)}
  for trial in todo:
    for label in trial.labels:
      found = done.get((label, trial.seed))
      if found and not _same(found['config'], trial.settings):
        raise InputError(
          f'{path}: {label!r}, seed {trial.seed} was run with other settings; '
          'use another --workdir'
        )
  return done


def is_done(trial: Trial, done: Collection[tuple[str, int]]) -> bool:
  """Whether all results of a trial are there.

  Args:
    trial: one of those that `earlier` got.
    done: what it found.
  """
  return all((label, trial.seed) in done for label in trial.labels)


def run(
  todo: Sequence[Trial],
  workdir: str | Path,
  *,
  split: str,
  names: Sequence[str],
) -> Iterator[dict]:
  """Does trials one after another, and keeps their results in one file.

  Args:
    todo: from `every_trial`.
    workdir: a folder for each trial, and `results.json`.
    split: to measure on.
    names: rows of `evaluation.METRICS`; the first with GT-mean too.

  Yields:
    Each trial's results, one for each of its labels, those of earlier starts
    first; ends early where a signal stopped a run.

  Raises:
    InputError: if an earlier start had other settings.
  """
  workdir = Path(workdir)
  done = earlier(todo, workdir)
  finished = [trial for trial in todo if is_done(trial, done)]
  for trial in finished:
    yield from (done[label, trial.seed] for label in trial.labels)
  for trial in todo:
    if trial in finished:
      continue
    found = _measured(trial, workdir, split, names)
    if not found:
      return
    done |= {(result['variant'], result['seed']): result for result in found}
    text_report.write_json(
      workdir / RESULTS, {'split': split, 'trials': list(done.values())}
    )
    yield from found


def figure(row: Mapping[str, Any], key: str) -> Any:
  """A figure of an image; None if it is missing, or not finite.

  A network that is told no exposure does what it does without when it is given:
  its figure is the plain one.

  Args:
    row: the image's figures.
    key: names one of them.
  """
  if key.endswith(text_report.GIVEN) and key not in row:
    key = text_report.plain(key)
  return row.get(key)


def _figures(
  results: Sequence[dict], variant: str, key: str
) -> dict[int, Float[np.ndarray, ' N']]:
  """Figures of a variant for each image, by seed, in the order of seeds."""
  return {
    result['seed']: np.array(
      [figure(row, key) for row in result['images']], np.float64
    )
    for result in sorted(results, key=lambda result: result['seed'])
    if result['variant'] == variant
  }


def _p_value(gain: np.ndarray) -> float:
  """Two-sided p of the gains [S, N]; NaN if nothing differs, or nothing is."""
  if not gain.size or not np.any(gain) or not np.isfinite(gain).all():
    return float('nan')
  return float(scipy.stats.wilcoxon(gain.mean(axis=0)).pvalue)


def summarize(results: Sequence[dict], key: str) -> list[dict[str, Any]]:
  """A row per variant, in the order of `results`, for one metric.

  Returns:
    'variant', 'seeds', 'mean' over images and seeds, 'std' of the seeds' means,
    'low' and 'high', the mean's 95 % bootstrap interval over seeds and images,
    and 'gain', 'gain_low', 'gain_high': the difference to the first variant,
    paired by image and by the seeds that both have, and its interval; NaN
    where they have none in common. 'p' is that of Wilcoxon's signed-rank test
    of the gain of each image, a mean over the seeds; 'images' is their number.
  """
  variants = list(dict.fromkeys(result['variant'] for result in results))
  base = _figures(results, variants[0], key)
  rows = []
  for variant in variants:
    by_seed = _figures(results, variant, key)
    figures = np.stack(list(by_seed.values()))
    means = figures.mean(axis=1)
    low, high = text_report.bootstrap(figures)
    gain = np.array([by_seed[s] - base[s] for s in by_seed if s in base])
    gain_low, gain_high = text_report.bootstrap(gain)
    rows.append(
      {
        'variant': variant,
        'seeds': len(by_seed),
        'mean': float(figures.mean()),
        'std': float(np.std(means, ddof=1)) if len(means) > 1 else float('nan'),
        'low': low,
        'high': high,
        'gain': float(gain.mean()) if gain.size else float('nan'),
        'gain_low': gain_low,
        'gain_high': gain_high,
        'images': figures.shape[1],
        'p': _p_value(gain),
      }
    )
  return rows
