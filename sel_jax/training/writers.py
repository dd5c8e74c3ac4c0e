"""Where a run's figures and pictures go.

Contract: WORKDIR/log.jsonl (one object a line, flushed), and the loggers that
the settings name. Resuming drops what was written after the checkpoint, so no
step appears twice.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import json
import math
from pathlib import Path

from tensorboardX import SummaryWriter

from sel_jax import files
from sel_jax.arrays import Rgb8
from sel_jax.errors import InputError
from sel_jax.settings import Settings

LOG_NAME = 'log.jsonl'


def _drop_after(path: Path, step: int) -> None:
  """Keeps the log's complete lines up to and including a step."""
  if not path.exists():
    return
  kept = []
  for line in path.read_text().splitlines():
    try:
      if json.loads(line)['step'] <= step:
        kept.append(line + '\n')
    except ValueError:  # the last line of a killed run
      break
  with files.replacing(path) as part:
    part.write_text(''.join(kept))


class Logger:
  """Where the figures and pictures of a run go: does nothing with them.

  The first process alone has one. Steps come in order, and a run that goes on
  makes a new one.
  """

  def __init__(self, settings: Settings, workdir: Path, first_step: int):
    """Opens it for a run.

    Args:
      settings: the run's settings.
      workdir: its folder, which is there.
      first_step: updates done; what was written after it is to be dropped.
    """

  def scalars(self, step: int, values: Mapping[str, float]) -> None:
    """Figures after an update; those of a validation begin with 'val/'."""

  def image(self, step: int, name: str, image: Rgb8) -> None:
    """A picture, [H, W, 3] uint8."""

  def close(self) -> None:
    """The run ends, or stops."""


class TensorBoard(Logger):
  """Events in WORKDIR/tensorboard."""

  def __init__(self, settings: Settings, workdir: Path, first_step: int):
    """Opens a file of events."""
    del settings
    self._board = SummaryWriter(
      str(workdir / 'tensorboard'), purge_step=first_step + 1
    )

  def scalars(self, step: int, values: Mapping[str, float]) -> None:
    """A point in each curve."""
    for name, value in values.items():
      self._board.add_scalar(name, value, step)

  def image(self, step: int, name: str, image: Rgb8) -> None:
    """A picture, [H, W, 3] uint8."""
    self._board.add_image(name, image, step, dataformats='HWC')

  def close(self) -> None:
    """Flushes and closes the file."""
    self._board.close()


# Choices of `train.loggers`.
LOGGERS: dict[str, type[Logger]] = {'tensorboard': TensorBoard}


def check(names: Sequence[str]) -> None:
  """Checks that there are such loggers.

  Raises:
    InputError: naming the first that is none.
  """
  for name in names:
    if name not in LOGGERS:
      raise InputError(
        f'config.train.loggers: {name!r} is none of {sorted(LOGGERS)}; choose '
        'among them, or name the module of your own in config.imports'
      )


class Writers:
  """Writes scalars and images of one run, into its log and its loggers."""

  def __init__(
    self,
    settings: Settings,
    workdir: str | Path,
    first_step: int,
    *,
    active: bool = True,
  ):
    """Opens the files of a run that stands at `first_step`.

    Args:
      settings: the run's settings.
      workdir: folder of the run.
      first_step: lines after it are dropped.
      active: False in all processes but one: nothing is written.
    """
    self._active = active
    if not active:
      return
    workdir = Path(workdir)
    path = workdir / LOG_NAME
    _drop_after(path, first_step)
    self._loggers = [
      LOGGERS[name](settings, workdir, first_step)
      for name in settings.train.loggers
    ]
    self._log = open(path, 'a')  # noqa: SIM115, closed by `close`

  def __enter__(self) -> 'Writers':
    return self

  def __exit__(self, *_) -> None:
    self.close()

  def scalars(self, step: int, values: Mapping[str, float]) -> None:
    """One line in the log, where NaN becomes null, and in each logger."""
    if not self._active:
      return
    numbers = {name: float(value) for name, value in values.items()}
    clean = {n: v if math.isfinite(v) else None for n, v in numbers.items()}
    self._log.write(json.dumps({'step': step, **clean}) + '\n')
    self._log.flush()
    for logger in self._loggers:
      logger.scalars(step, numbers)

  def image(self, step: int, name: str, image: Rgb8) -> None:
    """An [H, W, 3] uint8 picture for the loggers."""
    if self._active:
      for logger in self._loggers:
        logger.image(step, name, image)

  def close(self) -> None:
    """Flushes and closes the files."""
    if not self._active:
      return
    self._log.close()
    for logger in self._loggers:
      logger.close()
