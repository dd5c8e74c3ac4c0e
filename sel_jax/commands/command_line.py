"""What every command line does alike: logging, cache, errors.

Contract: an error that a person can act on is one line on stderr and exit
status 2; anything else is a bug and shows its traceback.
"""

import argparse
from collections.abc import Callable
import errno
import logging
import os
from pathlib import Path
import sys

import jax

from sel_jax import allocator
from sel_jax import files
from sel_jax.errors import InputError
from sel_jax.training.cluster import StuckProcessError


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
  if 'JAX_COMPILATION_CACHE_DIR' not in os.environ:
    cache = str(files.cache_home() / 'xla')
    jax.config.update('jax_compilation_cache_dir', cache)


def parser(doc: str) -> argparse.ArgumentParser:
  """A parser whose help is the module's docstring."""
  name = Path(sys.argv[0]).stem
  called = sys.argv[0] if ' ' in sys.argv[0] else f'experiments.{name}'
  return argparse.ArgumentParser(
    prog=called,
    description=doc,
    formatter_class=argparse.RawDescriptionHelpFormatter,
  )


def fail(message: object) -> int:
  """Prints 'error: ...' on one line and returns the exit status."""
  print('error:', ' '.join(str(message).split()), file=sys.stderr)
  return 2


def run(main: Callable[[], int | None]) -> None:
  """Runs a main and exits: 0, its own status, or 2 after an error."""
  set_up()
  try:
    status = main() or 0
  except (InputError, ArithmeticError, StuckProcessError) as error:
    status = fail(error)
  except BrokenPipeError:  # as in `... | head`
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    status = 1
  except OSError as error:
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
      raise
    status = fail(f'{error.filename or "a file"}: the disk is full; make room')
  except KeyboardInterrupt:
    status = 130
  sys.exit(status)
