"""Asking a run to stop.

Contract: SIGTERM and Ctrl-C are remembered, not obeyed at once; the loop
finishes its step, saves and leaves.
"""

import signal
import threading


class StopRequest:
  """SIGTERM or Ctrl-C during a `with` block; a second Ctrl-C leaves at once."""

  def __init__(self):
    self.asked = False
    self._previous = {}

  def _ask(self, number, frame):
    del frame
    if self.asked and number == signal.SIGINT:
      raise KeyboardInterrupt
    self.asked = True

  def __enter__(self) -> 'StopRequest':
    if threading.current_thread() is threading.main_thread():
      for number in (signal.SIGTERM, signal.SIGINT):
        self._previous[number] = signal.signal(number, self._ask)
    return self

  def __exit__(self, *_) -> None:
    for number, handler in self._previous.items():
      signal.signal(number, handler)
