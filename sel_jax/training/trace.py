"""A trace of some updates, for the profiler.

Contract: written by `jax.profiler`, to be read by TensorBoard or Perfetto; what
was begun is ended, however the run ends.
"""

from pathlib import Path

import jax


class Trace:
  """A `jax.profiler` trace of some updates, during a `with` block."""

  def __init__(self, folder: Path, steps: tuple[int, int] | None):
    """Traces nothing yet.

    Args:
      folder: where the trace goes.
      steps: the first and the last update to trace, from 0; None is none.
    """
    self._folder, self._steps = folder, steps
    self._running = False

  def at(self, step: int) -> None:
    """Begins or ends the trace, if that is due before this update."""
    if self._steps is None:
      return
    first, last = self._steps
    if step == first:
      jax.profiler.start_trace(str(self._folder))
      self._running = True
    elif step == last + 1:
      self._end()

  def _end(self) -> None:
    if self._running:
      self._running = False
      jax.profiler.stop_trace()

  def __enter__(self) -> 'Trace':
    return self

  def __exit__(self, *_) -> None:
    self._end()
