"""Processes that start in tenths of a second: all they need is imported.

Contract: a server imports once and is forked for each process, so nothing of
one is seen by another. It must not touch a device, or its forks would hang.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import contextlib
import multiprocessing
import os
from pathlib import Path
import runpy
import signal
import sys
import time
from typing import Any

_PRELOADED = (
  'sel_jax.training',
  'sel_jax.training.rehearsal',
  'sel_jax.commands.train',
  'sel_jax.commands.first_look',
  'sel_jax.commands.enhance',
  'sel_jax.inference.bulk',
  'sel_jax.inference.claims',
  'sel_jax.inference.failures',
)


def _run(
  module: str,
  arguments: Sequence[str],
  environment: Mapping[str, str],
  output: str,
  ahead: float,
) -> None:
  """What a fork does."""
  os.environ.update(environment)
  with open(output, 'a') as file:
    os.dup2(file.fileno(), 1)
    os.dup2(file.fileno(), 2)
  signal.signal(signal.SIGINT, signal.default_int_handler)
  sys.argv = [module, *arguments]
  if ahead:
    right = time.time
    time.time = lambda: right() + ahead
  runpy.run_module(module, run_name='__main__', alter_sys=True)


class Process:
  """A fork, with what is needed of `subprocess.Popen`."""

  def __init__(
    self,
    module: str,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    output: Path,
    *,
    ahead: float = 0.0,
  ):
    """Starts it.

    Args:
      module: run as `python -m` does.
      arguments: behind it.
      environment: variables that differ from this process's.
      output: file that what it prints is added to.
      ahead: seconds that its clock is ahead, or behind if negative.
    """
    # Its tracker would tell of what killed processes left.
    silent = 'ignore::UserWarning:multiprocessing.resource_tracker'
    os.environ.setdefault('PYTHONWARNINGS', silent)
    context: Any = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload([*_PRELOADED])
    self._process = context.Process(
      target=_run,
      args=(module, arguments, dict(environment), str(output), ahead),
    )
    self._process.start()

  def poll(self) -> int | None:
    """Its exit status, negative after a signal; None while it runs."""
    return self._process.exitcode

  def wait(self, timeout: float) -> int:
    """Its exit status.

    Raises:
      TimeoutError: if it runs on for longer than this, in seconds.
    """
    self._process.join(timeout)
    if self._process.exitcode is None:
      raise TimeoutError(f'it did not end within {timeout:g} s')
    return self._process.exitcode

  def send_signal(self, number: int) -> None:
    """Sends a signal, if it has not ended."""
    if self._process.exitcode is None:
      with contextlib.suppress(ProcessLookupError):
        os.kill(self._process.pid, number)

  def kill(self) -> None:
    """Ends it at once."""
    self.send_signal(signal.SIGKILL)
