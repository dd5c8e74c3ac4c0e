"""Who works in a folder: one process at a time, on one machine or on many.

Contract: the only file that knows how that is stored. A lease is a file that
says who holds it; its holder touches it every half minute. It is taken over
from who is known to have ended, and from who was silent for five minutes by
the clock of the disk; of two that try, one gets it. Nothing else is looked at,
so it holds on a disk that machines share, whatever their own clocks say.
"""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import dataclasses
import functools
import json
import logging
import os
from pathlib import Path
import secrets
import socket
import threading
import time
import zlib

from sel_jax.errors import InputError

# The file in a folder that one process works in.
NAME = '.lease'
# Seconds between two signs of life, and of silence after which it is over.
RENEW, LOST = 30.0, 300.0
# Seconds between two looks at a lease that is waited for.
LOOK = 1.0

_log = logging.getLogger(__name__)


class LostLeaseError(InputError):
  """Another process has taken over from this one."""


@dataclasses.dataclass(frozen=True)
class Holder:
  """Who holds a lease.

  Attributes:
    host: name of the machine.
    process: number of the process there.
    since: when it took it, by its own clock.
    place: the system, and its space of process numbers; empty if unknown.
    born: when the process began, as the system counts.
    token: drawn anew for each lease.
  """

  host: str
  process: int
  since: str
  place: str
  born: str
  token: str

  @classmethod
  def here(cls) -> 'Holder':
    """This process."""
    return cls(
      host=socket.gethostname(),
      process=os.getpid(),
      since=time.strftime('%Y-%m-%d %H:%M:%S'),
      place=_place(),
      born=_born(os.getpid()),
      token=secrets.token_hex(8),
    )

  def __str__(self) -> str:
    return f'process {self.process} on {self.host}, since {self.since}'

  @property
  def has_ended(self) -> bool:
    """Whether it is known to be no more: one of this system, and not there."""
    if not self.place or self.place != _place():
      return False
    return _born(self.process) != self.born


def is_over(path: Path, *, lost: float = LOST) -> bool:
  """Whether nobody holds a lease, or who did has ended or was silent too long.

  Args:
    path: the file.
    lost: seconds of silence after which it is over.
  """
  age, found = _silence(path), _read(path)
  return age is None or age > lost or (found is not None and found.has_ended)


def signature() -> str:
  """A word for this process that no other one has, for names of files."""
  place = zlib.crc32(f'{socket.gethostname()} {_place()}'.encode())
  return f'{place:08x}-{os.getpid()}-{_born(os.getpid())}'


def is_left(path: Path, signed: str, *, lost: float = LOST) -> bool:
  """Whether a file was left behind by who signed its name.

  Args:
    path: the file.
    signed: what `signature` gave who wrote it.
    lost: seconds after which it is, whoever wrote it.
  """
  place, process, born = signed.split('-')
  here = place == signature().partition('-')[0]
  if born and here and _born(int(process)) != born:
    return True
  age = _silence(path)
  return age is not None and age > lost


@functools.cache
def _place() -> str:
  """This boot of this system, and its space of process numbers."""
  try:
    boot = Path('/proc/sys/kernel/random/boot_id').read_text().strip()
    return f'{boot} {os.readlink("/proc/self/ns/pid")}'
  except OSError:  # no Linux
    return ''


def _born(process: int) -> str:
  """Ticks at which a process began; empty if there is none, or a dead one."""
  try:
    text = Path(f'/proc/{process}/stat').read_text()
  except OSError:
    return ''
  # After the name, which may hold anything: state, then what began when.
  state, *rest = text.rpartition(')')[2].split()
  return '' if state in 'ZX' else rest[18]


@dataclasses.dataclass(frozen=True)
class Lease:
  """A lease that this process holds.

  Attributes:
    path: the file.
    holder: what it says.
  """

  path: Path
  holder: Holder

  @classmethod
  def take(cls, path: Path, *, lost: float = LOST) -> 'Lease | Holder | None':
    """Tries once.

    Args:
      path: the file; its folder is made if need be, not the one above.
      lost: seconds of silence after which it is taken over.

    Returns:
      The lease, or who holds it; None where that is changing right now.

    Raises:
      InputError: if the file cannot be written.
    """
    mine = cls(path, Holder.here())
    try:
      if mine._write(path):
        return mine
      found, age = _read(path), _silence(path)
      if age is None:
        return None
      if not (age > lost or (found is not None and found.has_ended)):
        return found
      return mine if mine._replace(found, lost) else None
    except FileNotFoundError:  # who left last took the folder along
      with contextlib.suppress(OSError):
        path.parent.mkdir(exist_ok=True)
      return None
    except OSError as error:
      raise InputError(
        f'{path.parent}: cannot write there ({error.strerror}); choose another '
        'folder'
      ) from error

  def _write(self, path: Path) -> bool:
    """Makes the file; whether it was not there."""
    try:
      file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
      return False
    with os.fdopen(file, 'w') as opened:
      json.dump(dataclasses.asdict(self.holder), opened)
    return True

  def _replace(self, dead: Holder | None, lost: float) -> bool:
    """Takes over; of all who try with one dead holder, one is let."""
    name = dead.token if dead else 'unread'
    right = self.path.with_name(f'{self.path.name}.{name}')
    if not self._write(right):
      age = _silence(right)
      if age is not None and age > lost:  # who had the right died of it
        right.unlink(missing_ok=True)
      return False
    try:
      if _read(self.path) != dead:
        return False
      # Moved, not written: a reader finds the old one or the new one.
      os.replace(right, self.path)
    finally:
      right.unlink(missing_ok=True)
    return True

  @property
  def is_held(self) -> bool:
    """Whether it is still this process's."""
    return _read(self.path) == self.holder

  def renew(self) -> None:
    """A sign of life; nothing where another one has it."""
    with contextlib.suppress(OSError):
      if self.is_held:
        os.utime(self.path)

  def require(self) -> None:
    """Raises LostLeaseError where another process has it."""
    if not self.is_held:
      other = _read(self.path)
      raise LostLeaseError(
        f'{self.path.parent}: this process was silent for too long, and '
        f'{other or "another one"} took over; it ends here'
      )

  def release(self) -> None:
    """Gives it back."""
    with contextlib.suppress(OSError):
      if self.is_held:
        self.path.unlink()


def _read(path: Path) -> Holder | None:
  """Who holds it; None if nobody does, or that cannot be read."""
  try:
    found = json.loads(path.read_text())
    names = {field.name for field in dataclasses.fields(Holder)}
    return Holder(**{name: found[name] for name in names})
  except (OSError, ValueError, KeyError, TypeError):
    return None


def _silence(path: Path) -> float | None:
  """Seconds since it was touched, by the disk's clock; None if it is gone."""
  probe = path.with_name(f'{path.name}.{secrets.token_hex(8)}')
  try:
    with open(probe, 'x'):
      pass
    return probe.stat().st_mtime - path.stat().st_mtime
  except FileNotFoundError:
    return None
  finally:
    probe.unlink(missing_ok=True)


@contextlib.contextmanager
def held(
  path: Path,
  *,
  renew: float = RENEW,
  lost: float = LOST,
  look: float = LOOK,
  stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Lease]:
  """Holds a lease, for which it waits as long as a silent holder is waited for.

  Args:
    path: the file, in a folder that is there.
    renew: seconds between two signs of life.
    lost: seconds of silence after which it is taken over.
    look: seconds between two looks while it waits.
    stopped: asked while it waits; True ends that.

  Raises:
    InputError: if another process has it all that time, or it cannot be
      written.
    KeyboardInterrupt: where `stopped` says so.
  """
  lease = _waited_for(path, lost, look, stopped)
  try:
    with repeated(lease.renew, renew):
      yield lease
  finally:
    lease.release()


@contextlib.contextmanager
def repeated(call: Callable[[], None], seconds: float) -> Iterator[None]:
  """Calls something again and again, beside the block.

  Args:
    call: what is called, in a thread of its own.
    seconds: between two calls.
  """
  over = threading.Event()

  def live() -> None:
    while not over.wait(seconds):
      call()

  thread = threading.Thread(target=live, daemon=True, name='lease')
  thread.start()
  try:
    yield
  finally:
    over.set()
    thread.join()


def _waited_for(
  path: Path, lost: float, look: float, stopped: Callable[[], bool]
) -> Lease:
  begin, told = time.monotonic(), None
  while True:
    found = Lease.take(path, lost=lost)
    if isinstance(found, Lease):
      return found
    waited = time.monotonic() - begin
    if found is not None and found != told and waited >= LOOK / 2:
      _log.warning(
        '%s: %s works in it; waits until that has ended or was silent for %g s',
        path.parent,
        found,
        lost,
      )
      told = found
    if stopped():
      raise KeyboardInterrupt
    if waited > lost + LOOK:
      raise InputError(
        f'{path.parent}: {told or "another process"} works in it; stop that, '
        'or choose another folder'
      )
    time.sleep(min(look, lost / 10))
