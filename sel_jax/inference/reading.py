"""Reading the photographs of jobs, for enhancing them or for a rehearsal.

Contract: writes nothing; whatever is wrong with a photograph is its own.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
import os

from sel_jax.errors import InputError
from sel_jax.images import codec
from sel_jax.images import metadata
from sel_jax.inference import listing
from sel_jax.inference.failures import Failures
from sel_jax.inference.listing import Extras
from sel_jax.inference.listing import Job
from sel_jax.inference.listing import Outcome


def read(job: Job) -> metadata.Picture:
  """The photograph of a job whose result can be written."""
  if not os.path.lexists(job.source):
    raise InputError(f'{job.source}: no such file or folder; check the path')
  picture = metadata.read_picture(job.source)
  if not codec.is_written(job.destination):
    raise InputError(
      f'{job.source}: its name does not end like an image; add one of '
      f'{", ".join(codec.WRITTEN)}'
    )
  return picture


def check_files(
  jobs: Iterable[Job], *, extras: Extras = Extras(), overwrite: bool = False
) -> Iterator[Outcome]:
  """What `enhance_files` would make of jobs: reads all, writes nothing.

  Args:
    jobs: what `collect` gives.
    extras: what else would be written.
    overwrite: redo results that are there.

  Yields:
    What would become of each, in order.
  """
  jobs, failures = list(jobs), Failures()
  listing.check_sources(jobs, extras)

  def check(job: Job) -> Outcome:
    if listing.is_kept(job, extras, overwrite):
      return Outcome(job, 'kept')
    try:
      read(job)
    except Exception as error:
      return failures.outcome(job, error)
    return Outcome(job, 'written')

  with ThreadPoolExecutor(4) as pool:
    yield from pool.map(check, jobs)
