"""What `--dry-run` leaves undone: it looks at places and makes none.

Contract: what is refused here is refused by the command itself, in the same
words; nothing is written.
"""

from collections.abc import Iterable
import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

from sel_jax import files
from sel_jax.errors import InputError
from sel_jax.places import SHIPPED

if TYPE_CHECKING:
  from sel_jax.inference import Enhancer


def ensure_directory(path: str | os.PathLike, *, dry_run: bool) -> Path:
  """Makes a folder for results, or checks that it could be made.

  Args:
    path: the folder.
    dry_run: only look.

  Raises:
    InputError: if it cannot be made or written to.
  """
  path = Path(path)
  if not dry_run:
    return files.ensure_directory(path)
  if reason := _obstacle(path):
    raise InputError(
      f'{path}: cannot write there ({os.strerror(reason)}); choose another '
      'folder'
    )
  return path


def _obstacle(path: Path) -> int | None:
  """Number of the error that making the folder would end with, if any."""
  there = path.absolute()
  while not os.path.lexists(there) and there != there.parent:
    there = there.parent
  if not there.is_dir():
    return errno.EEXIST if there == path.absolute() else errno.ENOTDIR
  if not os.access(there, os.W_OK | os.X_OK):
    read_only = os.statvfs(there).f_flag & os.ST_RDONLY
    return errno.EROFS if read_only else errno.EACCES
  return None


def report(lines: Iterable[str]) -> None:
  """Prints what would be done, a sentence per line."""
  for line in lines:
    print(line)
  print('dry run: nothing was written')


def describe(enhancer: 'Enhancer', checkpoint: str | None) -> str:
  """A model in a sentence: where it is from, its size, its sampler.

  Args:
    enhancer: the model.
    checkpoint: as it was asked for; None is the one that comes along.
  """
  from sel_jax import models

  shipped = checkpoint in (None, SHIPPED)
  spec, name = enhancer.spec, enhancer.settings.model.name
  return (
    f'{"the model that comes along" if shipped else checkpoint} ({name}, '
    f'{models.count_params(enhancer.params):,} parameters, update '
    f'{enhancer.step:,}; {spec.sampler}, {counted(spec.steps, "step")})'
  )


def counted(number: int, noun: str) -> str:
  """'1 pair', '1,240 pairs'."""
  return f'{number:,} {noun}{"" if number == 1 else "s"}'


def written(paths: Iterable[str | os.PathLike | None]) -> list[str]:
  """A sentence on the files that would be written, if there are any."""
  names = ', '.join(str(path) for path in paths if path)
  return [f'would write {names}'] if names else []
