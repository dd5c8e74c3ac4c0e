"""What a person sees of a run while it goes on: a bar, figures, a picture.

Contract: the first process alone writes; the means leave out the updates that
were skipped, and say how many they were.
"""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
import sys
import time

import jax
import numpy as np
from tqdm import tqdm

from sel_jax import optimizers
from sel_jax.evaluation import text_report
from sel_jax.images import codec
from sel_jax.settings import Settings
from sel_jax.training import cluster
from sel_jax.training import validation
from sel_jax.training.guard import not_finite
from sel_jax.training.guard import Scalars
from sel_jax.training.parallel import STOP
from sel_jax.training.writers import Writers

# Called with the updates done and their scalars, at each line of the log.
OnLog = Callable[[int, dict[str, float]], None]

# Side-by-side picture of the last validation, in the run's folder.
PICTURE = 'enhanced.png'


def means(rows: Sequence[Scalars]) -> dict[str, float]:
  """Means over the updates that were not skipped, and how many were."""
  values = [{k: float(v) for k, v in row.items() if k != STOP} for row in rows]
  sound = [row for row in values if not not_finite(row)]
  used = sound or values
  found = {k: float(np.mean([r[k] for r in used])) for k in used[0]}
  if len(sound) < len(values):
    found['skipped'] = len(values) - len(sound)
  return found


class Progress:
  """Tells how a run goes, during a `with` block."""

  def __init__(
    self,
    settings: Settings,
    workdir: Path,
    first: int,
    on_log: OnLog | None = None,
  ):
    """Opens the log.

    Args:
      settings: the run's settings.
      workdir: its folder.
      first: updates that are done already.
      on_log: called at each line of the log.
    """
    self._workdir, self._on_log = workdir, on_log
    self._last, self._best = (
      settings.train.steps,
      validation.best_figure(settings),
    )
    self._rate = optimizers.learning_rate(settings.optim, self._last)
    self._recent: list[Scalars] = []
    self._writers = Writers(settings, workdir, first, active=cluster.is_first())
    self._bar = tqdm(
      total=self._last,
      initial=first,
      unit='step',
      dynamic_ncols=True,
      disable=not cluster.is_first(),
      mininterval=1 if sys.stderr.isatty() else 30,
    )
    self._first = True
    if first < self._last:
      self._bar.set_postfix_str('compiling')

  def __enter__(self) -> 'Progress':
    return self

  def __exit__(self, *_) -> None:
    self._bar.close()
    self._writers.close()

  def update(self, done: int, scalars: Scalars, *, log: bool) -> None:
    """One more update is done; a line of the log, if that is due."""
    self._recent.append(scalars)
    if log:
      found = means(jax.device_get(self._recent))
      found['lr'] = float(np.asarray(self._rate(done - 1)))
      self._recent.clear()
      self._writers.scalars(done, found)
      if self._on_log:
        self._on_log(done, found)
      self._bar.set_postfix(loss=f'{found["loss"]:.4f}', refresh=False)
    if self._first and not self._bar.disable:
      self._begin()
    else:
      self._bar.update()
    self._first = False

  def _begin(self) -> None:
    """The first update compiled: the bar's rate is that of the others."""
    bar = self._bar
    if bar.postfix == 'compiling':
      bar.set_postfix_str('', refresh=False)
    bar.n = bar.initial = bar.last_print_n = bar.n + 1
    bar.start_t = bar.last_print_t = time.time()
    bar.refresh()

  def validated(
    self, done: int, metrics: Mapping[str, float], picture: np.ndarray | None
  ) -> None:
    """A validation's figures, and a low | restored | clean strip.

    Args:
      done: updates done.
      metrics: what `Validation` measured.
      picture: [H, 3W, 3] uint8; the first process has one.
    """
    self._writers.scalars(done, {f'val/{k}': v for k, v in metrics.items()})
    if cluster.is_first() and picture is not None:
      self._writers.image(done, 'val/low_restored_clean', picture)
      codec.write_image(self._workdir / PICTURE, picture)
    text = f'step {done}: validation PSNR {metrics["psnr"]:.2f} dB'
    if self._best not in ('psnr', *validation.METRICS):
      title, form = text_report.column(self._best)
      text += f', {title} {metrics[self._best]:{form}}'
    self._bar.write(text)

  def left(self, done: int) -> None:
    """The run is saved and ends, before its time if it was asked to."""
    if done < self._last:
      self._bar.write(f'stopped and saved at step {done}; run again to go on')
