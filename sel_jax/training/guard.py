"""Looks at what updates say: is it finite, does a process want to stop?

Contract: an update's scalars are looked at when the next one is on its way, so
the device never waits for the host; before anything is logged or saved, they
are looked at at once.
"""

from collections.abc import Mapping
import logging
import math

import jax
import numpy as np

from sel_jax.errors import NonFiniteLossError
from sel_jax.settings import Settings
from sel_jax.training import cluster
from sel_jax.training.due import Due
from sel_jax.training.due import due
from sel_jax.training.parallel import STOP
from sel_jax.training.signals import StopRequest

_log = logging.getLogger(__name__)

# On the device, or on the host.
Scalars = Mapping[str, jax.Array | np.ndarray | float]


def not_finite(values: Mapping[str, float]) -> list[str]:
  """Names of the values that are NaN or infinite."""
  return [name for name, value in values.items() if not math.isfinite(value)]


class Guard:
  """Lets a run go on as long as its updates are finite and nobody wants out.

  Attributes:
    stopping: whether the run is to stop after this update.
  """

  def __init__(self, settings: Settings, stop: StopRequest | None = None):
    """Has seen nothing yet.

    Args:
      settings: the run's settings.
      stop: this process's wish to stop. Alone, it is obeyed at once; several
        processes hear of it by the scalar `STOP`, so that all stop after one
        update.
    """
    self._spec, self._parallel = settings.train, settings.parallel
    self._stop = stop if jax.process_count() == 1 else None
    self._waiting: tuple[int, Scalars] | None = None
    self._skipped = 0
    self.stopping = False

  def look(self, done: int, scalars: Scalars) -> Due:
    """What is due after an update; looks at the one before, or at both.

    Args:
      done: updates done, from 1.
      scalars: what this update says.

    Raises:
      NonFiniteLossError: after more bad updates in a row than are allowed.
      StuckProcessError: if another process does not arrive.
    """
    if self._stop is not None:
      self.stopping |= self._stop.asked
    self._settle()
    self._waiting = (done, scalars)
    if due(done, self._spec, stopping=self.stopping).check:
      cluster.barrier(f'step {done}', self._parallel)
      self._settle()
    return due(done, self._spec, stopping=self.stopping)

  def _settle(self) -> None:
    """Looks at the update that waits to be looked at."""
    if self._waiting is None:
      return
    (step, scalars), self._waiting = self._waiting, None
    values = {k: float(v) for k, v in jax.device_get(dict(scalars)).items()}
    self.stopping |= values.pop(STOP) > 0
    bad = not_finite(values)
    self._skipped = self._skipped + 1 if bad else 0
    if self._skipped > self._spec.skip_nonfinite:
      raise NonFiniteLossError(
        f'step {step}: {", ".join(bad)} not finite; lower config.optim.lr or '
        'set config.optim.clip_norm, and run again from the last checkpoint'
      )
    if bad:
      _log.warning('step %d skipped: %s not finite', step, ', '.join(bad))
