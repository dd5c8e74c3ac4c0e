"""What went wrong with one photograph, in one sentence.

Contract: whatever is raised for one photograph is that photograph's failure.
What nobody expected is kept with its traceback, in a log that the sentence
names; interrupts and the like are nobody's and go on.
"""

import logging
from pathlib import Path
import re
import threading
import traceback

from sel_jax.errors import InputError
from sel_jax.inference.listing import Job
from sel_jax.inference.listing import Outcome
from sel_jax.memory import ShortOfMemoryError

# File beside the results that tells of what nobody expected.
LOG = 'errors.log'
# Longest part of an error that stands in a sentence.
_LONGEST = 120

_log = logging.getLogger(__name__)


def _short_of_memory(error: Exception) -> bool:
  return isinstance(error, MemoryError) or 'RESOURCE_EXHAUSTED' in str(error)


class Failures:
  """Makes outcomes of errors; threads may share it."""

  def __init__(self, log: str | Path | None = None):
    """Writes nothing yet.

    Args:
      log: file that tracebacks are added to; none is Python's log.
    """
    self._path = None if log is None else Path(log)
    self._lock = threading.Lock()

  def outcome(self, job: Job, error: Exception) -> Outcome:
    """The failure of a job.

    Args:
      job: the photograph's.
      error: what was raised for it.
    """
    if isinstance(error, ShortOfMemoryError):
      return Outcome(job, 'failed', f'{job.source}: {error}')
    if isinstance(error, InputError):
      return Outcome(job, 'failed', str(error))
    if _short_of_memory(error):
      return Outcome(
        job,
        'failed',
        f'{job.source}: takes more memory than there is; give --tile=512 or '
        'less, or reduce it',
      )
    words = re.sub(r'\s+', ' ', f'{type(error).__name__}: {error}')[:_LONGEST]
    where = self._keep(job, error)
    return Outcome(
      job, 'failed', f'{job.source}: stumbled over it ({words}); {where}'
    )

  def _keep(self, job: Job, error: Exception) -> str:
    """Writes the traceback down and says where."""
    text = ''.join(traceback.format_exception(error))
    if self._path is not None:
      try:
        with self._lock, open(self._path, 'a', encoding='utf-8') as file:
          source = str(job.source).encode('utf-8', 'backslashreplace').decode()
          file.write(f'{source}\n{text}\n')
      except OSError:
        pass
      else:
        return f'{self._path} has the traceback'
    _log.error('%s', text)
    return 'its traceback was logged'
