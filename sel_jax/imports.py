"""Modules of one's own, which add rows to the package's tables.

Contract: a module is imported where a person asks for it: in the configuration
that they run, by --imports, or by the variable. What a checkpoint names is
never imported by itself, since a checkpoint may come from anyone.
"""

from collections.abc import Iterable
import importlib
import os
from pathlib import Path
import sys
import traceback

from sel_jax.errors import InputError

# Modules that may be imported, apart by commas.
VARIABLE = 'SEL_JAX_IMPORTS'
_loaded: set[str] = set()


def loaded() -> bool:
  """Whether any was imported, so that tables may have rows of one's own."""
  return bool(_loaded)


def names_in(text: str) -> tuple[str, ...]:
  """Modules of a list that is written with commas."""
  return tuple(name.strip() for name in text.split(',') if name.strip())


def load_allowed() -> None:
  """Imports what the variable names.

  Raises:
    InputError: for a module that is not there, or fails.
  """
  load(names_in(os.environ.get(VARIABLE, '')), asked_by=f'${VARIABLE}')


def load(names: Iterable[str], *, asked_by: str) -> None:
  """Imports modules, each once.

  Args:
    names: modules that Python finds from the working directory, or files that
      end in '.py'.
    asked_by: the flag, key or variable, for messages.

  Raises:
    InputError: for a module that is not there, or fails.
  """
  for name in names:
    try:
      _import(name)
      _loaded.add(name)
    except Exception as error:
      raise InputError(f'{asked_by}: {name}: {_reason(name, error)}') from error


def _import(name: str) -> None:
  path = Path(name)
  is_file = path.suffix == '.py'
  if is_file and not path.is_file():
    raise FileNotFoundError(name)
  # A name that Python finds: processes that read data ahead import it too.
  folder = str(path.parent.resolve() if is_file else Path.cwd())
  if folder not in sys.path:
    sys.path.append(folder)
  module = importlib.import_module(path.stem if is_file else name)
  found = getattr(module, '__file__', None)
  if is_file and (not found or Path(found).resolve() != path.resolve()):
    raise InputError(f'another module has its name ({found}); rename the file')


def _reason(name: str, error: Exception) -> str:
  if isinstance(error, FileNotFoundError | ModuleNotFoundError) and (
    getattr(error, 'name', None) in (None, name.partition('.')[0], name)
  ):
    return (
      'no such module; give one that Python finds from the working directory, '
      'or a file such as parts/mine.py'
    )
  if isinstance(error, InputError):
    return str(error)
  frames = traceback.extract_tb(error.__traceback__)
  place = f'{Path(frames[-1].filename).name}, line {frames[-1].lineno}: '
  return f'{place}{type(error).__name__}: {error}'


def hint(names: Iterable[str]) -> str:
  """What to do where a part of one's own is missing.

  Args:
    names: modules that the configuration names.
  """
  mine = ','.join(names)
  if not mine:
    return 'if it is a part of your own, name its module by --imports=MODULE'
  return (
    f'it was trained with parts of {mine}: allow them by --imports={mine} or '
    f'{VARIABLE}={mine}'
  )
