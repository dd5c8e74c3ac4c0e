"""Files that are written whole or not at all.

Contract: a reader sees the old file or the new one, never a part; a failure
leaves nothing behind and names the file.
"""

from collections.abc import Generator
import contextlib
import itertools
import os
from pathlib import Path
import re
import tempfile
import threading
import zlib

from sel_jax import leases
from sel_jax.errors import InputError

# What `replacing` writes: the file's checksum, who writes, and its thread.
_PART = re.compile(
  r'\.[0-9a-f]{8}\.([0-9a-f]{8}-\d+-\d*)\.[0-9a-f]+\.part(\..*)?'
)


def cache_home() -> Path:
  """Folder for what can be made again: XDG_CACHE_HOME or ~/.cache."""
  home = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
  return Path(home) / 'sel_jax'


def ensure_directory(path: str | os.PathLike) -> Path:
  """Makes a folder and checks that files can be written to it.

  Raises:
    InputError: if it cannot be made or written to.
  """
  path = Path(path)
  try:
    path.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=path):
      pass
  except OSError as error:
    raise InputError(
      f'{path}: cannot write there ({error.strerror}); choose another folder'
    ) from error
  return path


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Generator[Path, None, None]:
  """Yields a path beside `path`, with its ending, that replaces it at the end.

  Raises:
    InputError: if the file cannot be written.
  """
  path = Path(path)
  name = f'{zlib.crc32(path.name.encode(errors="surrogateescape")):08x}'
  signed = f'{leases.signature()}.{threading.get_ident():x}'
  part = path.with_name(f'.{name}.{signed}.part{path.suffix}')
  try:
    yield part
    os.replace(part, path)
  except OSError as error:
    raise InputError(
      f'{path}: cannot be written ({error.strerror}); choose another folder'
    ) from error
  finally:
    with contextlib.suppress(OSError):
      part.unlink(missing_ok=True)


def remove_left(folder: Path) -> None:
  """Removes what `replacing` began and did not end, of processes that are gone.

  Args:
    folder: one that may be there; what cannot be removed is left.
  """
  with contextlib.suppress(OSError):
    for path in folder.iterdir():
      found = _PART.fullmatch(path.name)
      if found and leases.is_left(path, found[1]):
        path.unlink(missing_ok=True)


def set_aside(path: Path, folder: Path, name: str) -> Path | None:
  """Moves a file or folder to where it is in nobody's way.

  Args:
    path: what is moved.
    folder: where to, on the same disk; made if missing.
    name: what it is called there, with the first number that is free.

  Returns:
    Where it is now; None if it could not be moved.
  """
  with contextlib.suppress(OSError):
    folder.mkdir(exist_ok=True)
    free = (folder / f'{name}-{n}' for n in itertools.count(1))
    place = next(one for one in free if not one.exists())
    return path.rename(place)
  return None
