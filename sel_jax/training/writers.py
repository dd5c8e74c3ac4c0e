"""Where a run's figures and pictures go.

Contract: WORKDIR/log.jsonl (one object a line, flushed), TensorBoard events in
WORKDIR/tensorboard. Resuming drops what was written after the checkpoint, so no
step appears twice.
"""

from collections.abc import Mapping
import json
import math
from pathlib import Path

import numpy as np
from tensorboardX import SummaryWriter

from sel_jax import files

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


class Writers:
  """Writes scalars and images of one run."""

  def __init__(
    self, workdir: str | Path, first_step: int, *, active: bool = True
  ):
    """Opens the files of a run that stands at `first_step`.

    Args:
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
    self._log = open(path, 'a')  # noqa: SIM115, closed by `close`
    self._board = SummaryWriter(
      str(workdir / 'tensorboard'), purge_step=first_step + 1
    )

  def __enter__(self) -> 'Writers':
    return self

  def __exit__(self, *_) -> None:
    self.close()

  def scalars(self, step: int, values: Mapping[str, float]) -> None:
    """One line in the log and a point in each curve; NaN becomes null."""
    if not self._active:
      return
    numbers = {name: float(value) for name, value in values.items()}
    clean = {n: v if math.isfinite(v) else None for n, v in numbers.items()}
    self._log.write(json.dumps({'step': step, **clean}) + '\n')
    self._log.flush()
    for name, value in numbers.items():
      self._board.add_scalar(name, value, step)

  def image(self, step: int, name: str, image: np.ndarray) -> None:
    """An [H, W, 3] uint8 picture for TensorBoard."""
    if self._active:
      self._board.add_image(name, image, step, dataformats='HWC')

  def close(self) -> None:
    """Flushes and closes the files."""
    if not self._active:
      return
    self._log.close()
    self._board.close()
