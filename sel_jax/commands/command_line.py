"""What every command line does alike: flags, logging, cache, errors.

Contract: an error that a person can act on is one line on stderr and exit
status 2; anything else is a bug and shows its traceback. One rule for flags:
--two-words VALUE or --two-words=VALUE, whole, --two_words likewise; what is on
or off is --x or --no-x.
"""

import argparse
from collections.abc import Callable
from collections.abc import Sequence
import errno
import gc
import importlib.metadata
import logging
import os
from pathlib import Path
import platform
import sys
from typing import Any
from typing import NoReturn

import sel_jax
from sel_jax import allocator
from sel_jax import errors
from sel_jax import fields
from sel_jax import imports
from sel_jax import limits
from sel_jax import programs
from sel_jax import stored_keys
from sel_jax.commands import stored_help
from sel_jax.errors import InputError
from sel_jax.errors import StuckProcessError

_LIBRARIES = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'numpy')


# What a system may run out of, and the remedy.
_OF_SYSTEM = {
  errno.ENOSPC: 'the disk is full; make room',
  errno.EDQUOT: 'the disk is full; make room',
  errno.EMFILE: 'too many files are open; allow more by ulimit -n',
  errno.ENFILE: 'too many files are open on this machine; end other programs',
}


def set_up() -> None:
  """Plain log lines, libraries quiet, compiled programs kept on disk."""
  allocator.keep_memory()
  logging.basicConfig(
    level=logging.INFO, format='%(message)s', stream=sys.stderr, force=True
  )
  # Libraries' remarks on their own workings; ours are under 'sel_jax'.
  logging.getLogger().setLevel(logging.ERROR)
  logging.getLogger('absl').setLevel(logging.ERROR)
  logging.getLogger('sel_jax').setLevel(logging.INFO)
  # Of broken photographs it has much to say, on lines of its own.
  os.environ.setdefault('OPENCV_LOG_LEVEL', 'SILENT')
  programs.keep()
  # Loading and tracing make half a million objects that stay: Python would look
  # at them all again and again, for a tenth of the time to a first result.
  gc.set_threshold(50_000)


def versions() -> str:
  """What a report of a bug needs: versions, system, devices."""
  import jax

  found = [f'{name} {importlib.metadata.version(name)}' for name in _LIBRARIES]
  devices = [f'{d.platform}: {d.device_kind}' for d in jax.devices()]
  counted = [f'{devices.count(d)} x {d}' for d in dict.fromkeys(devices)]
  return '\n'.join(
    [
      f'sel_jax {sel_jax.__version__}',
      f'Python {platform.python_version()}, {platform.platform()}',
      ', '.join(found),
      f'devices: {", ".join(counted)}',
    ]
  )


class _Formatter(argparse.RawDescriptionHelpFormatter):
  """Of one width wherever it is printed."""

  def __init__(self, prog: str, **options: Any):
    super().__init__(prog, **{**options, 'width': 80})


class _Version(argparse.Action):
  """Prints `versions` and leaves."""

  def __call__(
    self, parser: argparse.ArgumentParser, *_: Any, **__: Any
  ) -> NoReturn:
    print(versions())
    parser.exit()


class _Call(argparse.Action):
  """Calls its `const` with the value as soon as that is read."""

  def __call__(
    self,
    parser: argparse.ArgumentParser,
    namespace: argparse.Namespace,
    values: Any,
    option_string: str | None = None,
  ) -> None:
    del parser, namespace, option_string
    self.const(values)


def _import(names: str) -> None:
  """Imports modules with parts of one's own."""
  imports.load(imports.names_in(names), asked_by='--imports')


class Parser(argparse.ArgumentParser):
  """A parser whose errors are ours, and whose flags know each other's names.

  Attributes:
    command: its name, where its help is stored, see `stored_help`.
    closing: makes what stands below the flags.
  """

  command: str = ''
  closing: Callable[[], str] | None = None

  def __init__(self, **options: Any):
    super().__init__(**options)
    self._later: list[tuple[argparse.Action, Callable[[], str]]] = []

  def explain(self, action: argparse.Action, text: Callable[[], str]) -> None:
    """Sets a flag's help that takes a library to know: made when printed."""
    self._later.append((action, text))

  def format_help(self) -> str:
    """The stored help, if the command has one that holds; else a new one."""
    holds = stored_keys.hold()
    stored = stored_help.read(self.command) if holds else None
    return stored_help.under_name(stored or self.new_help(), self.prog)

  def new_help(self) -> str:
    """The help as the flags make it, under no name yet."""
    for action, text in self._later:
      action.help = text()
    if self.closing:
      self.epilog = self.closing()
    name, self.prog = self.prog, stored_help.NAME
    if self.command:
      words = ['%(prog)s [FLAGS]']
      for action in self._get_positional_actions():
        words.append(f'{action.metavar or action.dest}')
        words += ['...'] if action.nargs == '+' else []
      self.usage = ' '.join(words)
    try:
      return super().format_help()
    finally:
      self.prog = name

  def error(self, message: str) -> NoReturn:
    """Raises `InputError` instead of printing how the command is used."""
    raise InputError(f'{message}; see {self.prog} --help')

  def switch(self, name: str, **options: Any) -> None:
    """Adds a flag that is on or off: --x and --no-x; off unless told."""
    text = options.pop('help', None)
    options = {'default': False, **options}
    action = argparse.BooleanOptionalAction
    # Given later: Python 3.11 and 3.12 would add the default to it.
    self.add_argument(name, action=action, **options).help = text

  def parse(
    self, arguments: Sequence[str] | None = None
  ) -> tuple[argparse.Namespace, dict[str, str]]:
    """The flags, and the keys of a configuration: 'section.key' -> text.

    Raises:
      InputError: for what is no flag, with the one that comes nearest.
    """
    given = sys.argv[1:] if arguments is None else arguments
    words, keys = _configuration([_hyphened(word) for word in given])
    found, rest = self.parse_known_args(words)
    for word in rest:
      name = word.partition('=')[0]
      if not name.startswith('-'):
        raise InputError(f'{word!r} is no flag; see {self.prog} --help')
      known = [s for a in self._actions for s in a.option_strings]
      raise InputError(f'{name} is no flag; {fields.close(name, known)}')
    if found.dry_run:
      programs.forget()
    return found, keys

  def parse_flags(
    self, arguments: Sequence[str] | None = None
  ) -> argparse.Namespace:
    """The flags of a command that has no configuration.

    Raises:
      InputError: for what is no flag.
    """
    found, keys = self.parse(arguments)
    if keys:
      raise InputError(
        f'--config.{next(iter(keys))} is no flag; see {self.prog} --help'
      )
    return found


def _hyphened(word: str) -> str:
  """--two_words=VALUE as --two-words=VALUE; keys of a configuration stay."""
  if not word.startswith('--') or word.startswith('--config.'):
    return word
  name, equals, value = word.partition('=')
  return name.replace('_', '-') + equals + value


def _configuration(words: list[str]) -> tuple[list[str], dict[str, str]]:
  """Words but for `--config.section.key=value`, and those."""
  rest, keys = [], {}
  left = iter(words)
  for word in left:
    if not word.startswith('--config.'):
      rest.append(word)
      continue
    name, equals, value = word.removeprefix('--config.').partition('=')
    if not equals:
      value = next(left, None)
      if value is None or value.startswith('--'):
        raise InputError(f'{word}: give a value, {word}=VALUE')
    keys[name] = value
  return rest, keys


def parser(doc: str, *, command: str = '') -> Parser:
  """A parser whose help is the module's docstring, with what all commands take.

  Args:
    doc: the module's docstring.
    command: its name, if its help is stored.

  Raises:
    InputError: for a part of the user's own that cannot be imported.
  """
  imports.load_allowed()
  name = Path(sys.argv[0]).stem
  called = sys.argv[0] if ' ' in sys.argv[0] else f'experiments.{name}'
  made = Parser(
    prog=called,
    description=doc,
    formatter_class=_Formatter,
    allow_abbrev=False,
  )
  made.command = command
  made.add_argument(
    '--version', action=_Version, nargs=0, help='versions and devices'
  )
  made.add_argument(
    '--imports',
    action=_Call,
    const=_import,
    metavar='MODULE,...',
    help='modules with parts of your own, which a checkpoint may ask for',
  )
  made.add_argument(
    '--megapixels',
    action=_Call,
    const=limits.allow,
    type=float,
    default=argparse.SUPPRESS,
    help='largest image that is decoded, by its header; '
    f'default: {limits.MEGAPIXELS:g}',
  )
  made.switch(
    '--dry-run',
    help='read and check the inputs, say what would be done, write nothing',
  )
  return made


def fail(message: object) -> int:
  """Prints 'error: ...' on one line and returns the exit status."""
  print('error:', errors.line(message), file=sys.stderr)
  return 2


def run(main: Callable[[], int | None]) -> None:
  """Runs a main and exits: 0, its own status, or 2 after an error."""
  set_up()
  try:
    status = main() or 0
  except (InputError, ArithmeticError) as error:
    status = fail(error)
  except StuckProcessError as error:
    status = fail(error)
    sys.stderr.flush()
    os._exit(status)  # JAX would wait for the other process once more
  except BrokenPipeError:  # as in `... | head`
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    status = 1
  except OSError as error:
    if error.errno not in _OF_SYSTEM:
      raise
    reason = _OF_SYSTEM[error.errno]
    status = fail(f'{error.filename or "a file"}: {reason}')
  except KeyboardInterrupt:
    status = 130
  gc.freeze()  # or Python looks at all that there is once more: half a second
  sys.exit(status)
