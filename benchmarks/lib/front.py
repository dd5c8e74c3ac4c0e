"""The front of every benchmark: its flags, and what becomes of a wrong one.

Contract: the same rules as for the commands. A wrong value is one line
'error: ...' and exit status 2; a row that fails is exit status 1, see `rows`.
"""

import argparse
from collections.abc import Callable
from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
import importlib.util
import json
import logging
from pathlib import Path
import re
import sys
from typing import Any
from typing import NoReturn

import jax

from sel_jax import fields
from sel_jax.commands.command_line import fail
from sel_jax.commands.command_line import Parser
from sel_jax.configs import lol
from sel_jax.errors import InputError
from sel_jax.settings import Settings


class _Help(argparse.RawDescriptionHelpFormatter):
  """The docstring as it stands; defaults beside the flags that have one."""

  def _get_help_string(self, action: argparse.Action) -> str:
    told = action.default in (None, False, '', argparse.SUPPRESS)
    return (action.help or '') + ('' if told else ' (%(default)s)')


def parser(module: str, doc: str) -> Parser:
  """A parser with the flags that every benchmark has.

  Args:
    module: `__spec__.name`, the benchmark's name even where it is run.
    doc: its docstring, the help.
  """
  made = Parser(
    prog=f'python -m {module}',
    description=doc,
    formatter_class=_Help,
    allow_abbrev=False,
  )
  made.add_argument('--json', help='also write the figures to this file')
  made.add_argument(
    '--dry-run',
    action='store_true',
    help='check flags and inputs, print the rows to take, and leave',
  )
  # What a process of its own is to measure, see `rows.in_child`.
  made.add_argument('--case', type=json.loads, help=argparse.SUPPRESS)
  made.set_defaults(module=module)
  return made


def parse(
  made: Parser, arguments: Sequence[str] | None = None
) -> argparse.Namespace:
  """The flags, and as `words` what was given.

  Raises:
    InputError: for a wrong flag, or figures that could not be written.
  """
  words = list(sys.argv[1:] if arguments is None else arguments)
  args = made.parse_flags(words)
  args.words = words
  if args.json and not Path(args.json).absolute().parent.is_dir():
    raise InputError(
      f'--json={args.json}: there is no folder {Path(args.json).parent}; make '
      'it first'
    )
  return args


def number(
  least: float = 1, kind: Callable[[str], float] = int
) -> Callable[[str], Any]:
  """What reads a number that has a lower bound."""

  def read(text: str) -> float:
    try:
      value = kind(text)
    except ValueError:
      raise argparse.ArgumentTypeError(f'{text!r} is no number') from None
    if not value >= least:
      raise argparse.ArgumentTypeError(f'{text}: must be at least {least}')
    return value

  return read


def numbers(least: int = 1) -> Callable[[str], list[int]]:
  """What reads whole numbers with commas between them; '' is none."""
  one = number(least)
  return lambda text: [one(part) for part in text.split(',') if part]


def names(known: Collection[str]) -> Callable[[str], list[str]]:
  """What reads names with commas between them; '' is none."""

  def read(text: str) -> list[str]:
    found = [part for part in text.split(',') if part]
    for name in found:
      if name not in known:
        hint = fields.close(name, known)
        raise argparse.ArgumentTypeError(f'{name!r} is none of them; {hint}')
    return found

  return read


def sides(text: str) -> list[tuple[int, int]]:
  """Reads sizes WIDTHxHEIGHT with commas between them; '' is none."""
  found = []
  for part in filter(None, text.split(',')):
    match = re.fullmatch(r'([1-9]\d*)x([1-9]\d*)', part)
    if not match:
      raise argparse.ArgumentTypeError(f'{part!r}: give WIDTHxHEIGHT')
    found.append((int(match[1]), int(match[2])))
  return found


def settings(preset: str, changes: Mapping[str, Any] | None = None) -> Settings:
  """The settings of a preset of configs/lol.py, some keys changed.

  Raises:
    InputError: for an unknown preset, or a value that does not fit.
  """
  try:
    config = lol.get_config(preset)
  except ValueError as error:
    raise InputError(f'--preset={preset}: {error}') from error
  return Settings.parse(config, changes=changes)


def require_torch() -> None:
  """Raises InputError with the remedy unless PyTorch is installed."""
  if importlib.util.find_spec('torch') is None:
    raise InputError(
      '--baseline=torch: PyTorch is not installed; pip install -r '
      'requirements-torch.txt, or leave the flag out'
    )


def run(main: Callable[[], int]) -> NoReturn:
  """Runs a benchmark and exits: with its status, or 2 after an error."""
  logging.getLogger('absl').setLevel(logging.ERROR)
  # A program that is timed is compiled here and now.
  jax.config.update('jax_enable_compilation_cache', False)
  # The last line of an error is the error's, not a remark on the traceback.
  jax.config.update('jax_traceback_filtering', 'off')
  try:
    status = main()
  except InputError as error:
    status = fail(error)
  except KeyboardInterrupt:
    status = 130
  sys.exit(status)
