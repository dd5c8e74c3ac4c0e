"""Sharing the photographs of a folder among processes, on any machines.

Contract: each photograph is done by one process at a time, and once by all of
them together. What they say to one another lies in OUTPUT/.sel_jax, which the
last one removes. Who was killed is followed, see `leases`.
"""

from collections.abc import Iterable
import contextlib
import hashlib
from pathlib import Path
import shutil
import threading
from typing import Any

from sel_jax import files
from sel_jax import leases
from sel_jax.inference.listing import Job
from sel_jax.leases import Lease

NAME = '.sel_jax'
# Files in that folder: the door, when work began, and each process.
_DOOR, _BEGAN, _MEMBER = 'door', 'began', 'member-'


class Claims:
  """What this process has claimed, during a `with` block."""

  def __init__(
    self,
    output: Path,
    jobs: Iterable[Job] = (),
    *,
    renew: float = leases.RENEW,
    lost: float = leases.LOST,
  ):
    """Has nothing yet.

    Args:
      output: folder of the results, which is there.
      jobs: where leftovers of killed processes are looked for.
      renew: seconds between two signs of life.
      lost: seconds of silence after which a claim is over.
    """
    self._output, self._folder = output, output / NAME
    self._places = {job.destination.parent for job in jobs}
    self._renew, self._lost = renew, lost
    self._held: dict[Job, Lease] = {}
    self._member: Lease | None = None
    self._lock, self._began = threading.Lock(), 0.0
    self._renewing = leases.repeated(self._live, renew)

  def __enter__(self) -> 'Claims':
    with self._door():
      if not self._others():
        self._clear()
        (self._folder / _BEGAN).touch()
        for place in self._places:
          files.remove_left(place)
      self._began = (self._folder / _BEGAN).stat().st_mtime
      self._member = self._join()
    self._renewing.__enter__()
    return self

  def __exit__(self, *error: Any) -> None:
    self._renewing.__exit__(*error)
    for job in list(self._held):
      self.release(job)
    with contextlib.suppress(OSError), self._door():
      if self._member:
        self._member.release()
      if not self._others():
        shutil.rmtree(self._folder, ignore_errors=True)

  def take(self, job: Job) -> bool:
    """Claims a photograph; whether no other process has it.

    Raises:
      InputError: if that cannot be written.
    """
    found = Lease.take(self._path(job), lost=self._lost)
    if not isinstance(found, Lease):
      return False
    with self._lock:
      self._held[job] = found
    return True

  def require(self, job: Job) -> None:
    """Raises LostLeaseError where another process has followed this one."""
    with self._lock:
      lease = self._held.get(job)
    if lease:
      lease.require()

  def release(self, job: Job) -> None:
    """Gives a photograph back, if this process has it."""
    with self._lock:
      lease = self._held.pop(job, None)
    if lease:
      lease.release()

  def are_done(self, paths: Iterable[Path]) -> bool:
    """Whether results were written since the first of all processes began."""
    try:
      return all(path.stat().st_mtime >= self._began for path in paths)
    except OSError:
      return False

  def _path(self, job: Job) -> Path:
    """Named after where the result lies in the output, on every machine."""
    destination = job.destination
    if destination.is_relative_to(self._output):
      destination = destination.relative_to(self._output)
    name = str(destination).encode(errors='surrogateescape')
    return self._folder / hashlib.sha256(name).hexdigest()[:32]

  def _door(self) -> contextlib.AbstractContextManager[Lease]:
    """One process at a time comes or goes."""
    return leases.held(
      self._folder / _DOOR, renew=self._renew, lost=self._lost, look=0.01
    )

  def _join(self) -> Lease:
    path = self._folder / f'{_MEMBER}{leases.signature()}-{id(self):x}'
    made = Lease.take(path, lost=0)
    if not isinstance(made, Lease):
      raise RuntimeError(f'{path}: is there already')
    return made

  def _others(self) -> bool:
    """Whether another process works on it."""
    return any(
      not leases.is_over(path, lost=self._lost)
      for path in self._folder.glob(f'{_MEMBER}*')
    )

  def _clear(self) -> None:
    """Removes what killed processes left."""
    for path in self._folder.iterdir():
      if path.name != _DOOR:
        path.unlink(missing_ok=True)

  def _live(self) -> None:
    """A sign of life for all that is claimed."""
    with self._lock:
      every = [*self._held.values(), self._member]
    for lease in every:
      if lease:
        lease.renew()
