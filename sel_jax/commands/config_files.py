"""Configurations from files of `configs/`, and the keys changed beside them.

Contract: a file defines `get_config(preset) -> ConfigDict`; whatever is wrong
with it, or with a key that is set, is one sentence.
"""

import ast
from collections.abc import Collection
from collections.abc import Mapping
import inspect
from pathlib import Path
import re
import traceback
import types
import typing
from typing import Any

import ml_collections

from sel_jax import configs
from sel_jax import fields
from sel_jax import imports
from sel_jax.errors import InputError
from sel_jax.errors import short

_BOOLEANS = {'true': True, 'false': False}


def folder() -> Path:
  """Where the package's own configurations lie."""
  return Path(configs.__path__[0])


def find(name: str) -> Path:
  """A file as it is named, or one of the package's own configs.

  Raises:
    InputError: if there is none.
  """
  path = Path(name)
  if path.is_file():
    return path
  own = folder()
  if path.parent.name == 'configs' and (own / path.name).is_file():
    return own / path.name
  there = sorted(p.name for p in own.glob('*.py') if p.name != '__init__.py')
  raise InputError(
    f'--config={name}: no such configuration; give a file, or one of configs/: '
    f'{", ".join(there)}'
  )


def _line_in(path: Path, error: BaseException) -> str:
  """', line N' of the file where an error came from, if it is known."""
  if isinstance(error, SyntaxError) and error.lineno:
    return f', line {error.lineno}'
  frames = traceback.extract_tb(error.__traceback__)
  lines = [f.lineno for f in frames if Path(f.filename) == path.absolute()]
  return f', line {lines[-1]}' if lines else ''


def parts(given: str) -> tuple[str, str | None]:
  """File and preset.

  Raises:
    InputError: if it is no name of a configuration.
  """
  match = re.fullmatch(r'(.*?\.py)(?::(.*))?', given)
  if not match:
    raise InputError(
      f'--config={given}: give FILE.py or FILE.py:PRESET, such as '
      'configs/lol.py:small'
    )
  return match[1], match[2]


def run_folder(given: str) -> Path:
  """Where a run lives if nothing else is said: runs/FILE, runs/FILE-PRESET.

  Raises:
    InputError: if it is no name of a configuration.
  """
  name, preset = parts(given)
  words = [Path(name).stem, *(preset or '').split(',')]
  return Path('runs') / '-'.join(filter(None, words))


def load(given: str) -> ml_collections.ConfigDict:
  """The configuration of `FILE.py` or `FILE.py:PRESET`.

  Raises:
    InputError: if there is no such file or preset, or the file is broken.
  """
  name, preset = parts(given)
  path = find(name)
  module = types.ModuleType(f'_config_{path.stem}')
  module.__file__ = str(path.absolute())
  try:
    # Not by import: byte code of a file that was changed within a second of
    # its last run would be taken for it.
    code = compile(path.read_bytes(), module.__file__, 'exec')
    exec(code, module.__dict__)
    takes = inspect.signature(module.get_config).parameters
    config = module.get_config(*([preset] if preset and takes else []))
  except (InputError, ValueError) as error:
    raise InputError(f'--config={given}: {error}') from error
  except (Exception, SystemExit) as error:
    raise InputError(
      f'--config={given}: {path}{_line_in(path, error)}: '
      f'{type(error).__name__}: {short(str(error))}'
    ) from error
  if not isinstance(config, ml_collections.ConfigDict):
    raise InputError(
      f'--config={given}: get_config gave a {type(config).__name__}; return a '
      'ml_collections.ConfigDict'
    )
  if preset and not takes:
    raise InputError(f'--config={given}: {path.name} has no presets')
  return config


def parse_value(text: str, of: fields.Described | None) -> Any:
  """The value that a person wrote for a key.

  Text stays as it is where the key holds text; elsewhere it is a Python
  literal, and what is none is left for the key's own check to refuse.

  Args:
    text: what was written.
    of: the key; None if it is unknown.
  """
  hint = of.hint if of else None
  if hint is str:
    return text
  try:
    value = ast.literal_eval(text)
  except (ValueError, SyntaxError):
    value = _BOOLEANS.get(text.lower(), text)
  if typing.get_origin(hint) is not tuple:
    return value
  if isinstance(value, str):
    value = tuple(part.strip() for part in value.split(',') if part.strip())
  if not isinstance(value, tuple | list):
    value = (value,)
  words = str in typing.get_args(hint)
  return tuple(str(part) for part in value) if words else tuple(value)


def load_imports(
  config: ml_collections.ConfigDict | None, given: str | None
) -> None:
  """Imports the parts of one's own that a configuration names.

  Args:
    config: what `load` gives, or the base of an ablation, if there is one.
    given: what the command line says instead, if anything.

  Raises:
    InputError: for a module that is not there, or fails.
  """
  names = config.imports if config and 'imports' in config else ()
  if given is not None:
    names = imports.names_in(given)
  imports.load(names, asked_by='config.imports')


def _is_section(name: str, known: Collection[str]) -> bool:
  return any(one.startswith(f'{name}.') for one in known)


def override(
  config: ml_collections.ConfigDict,
  changes: Mapping[str, str],
  known: Mapping[str, fields.Described],
) -> None:
  """Sets keys of a configuration, in place.

  Args:
    config: what `load` gives.
    changes: 'section.key' -> value as text.
    known: 'section.key' -> what it is, of every key that there may be.

  Raises:
    InputError: for a key that is not there.
  """
  for name, text in changes.items():
    path = name.split('.')
    holder = part = config
    for depth, one in enumerate(path):
      is_part = isinstance(part, ml_collections.ConfigDict)
      here = '.'.join(path[: depth + 1])
      if not is_part:
        above = '.'.join(path[:depth])
        raise InputError(
          f'config.{short(here)}: unknown key; config.{above} is no section'
        )
      if one not in part and here in known:
        part[one] = None  # of a row added since, or one that has a default
      elif one not in part and _is_section(here, known):
        part[one] = ml_collections.ConfigDict()
      elif one not in part:
        raise InputError(
          f'config.{short(here)}: unknown key; {fields.close(one, list(part))}'
        )
      holder, part = part, part[one]
    if isinstance(part, ml_collections.ConfigDict):
      raise InputError(
        f'config.{name}={short(text)}: is a section; set a key of it, such as '
        f'config.{name}.{next(iter(part), "key")}'
      )
    with holder.unlocked(), holder.ignore_type():
      holder[path[-1]] = parse_value(text, known.get(name))
