"""What every command line does alike: logging, cache, errors.

Contract: an error that a person can act on is one line on stderr and exit
status 2; anything else is a bug and shows its traceback.
"""

from collections.abc import Callable
import ctypes
import logging
import os
from pathlib import Path
import sys

import jax

from sel_jax.errors import InputError

# Options of glibc's mallopt, from malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8


def keep_memory() -> bool:
  """Makes the allocator keep what a program has freed, where it is glibc's.

  XLA for CPUs asks for its scratch memory anew at every call, and glibc gives
  large blocks back to the system each time: a page fault for every 4 kB of
  every step.

  Returns:
    Whether the allocator took it.
  """
  try:
    mallopt = ctypes.CDLL(None).mallopt
  except (OSError, AttributeError, TypeError):  # not glibc
    return False
  options = (
    (_ARENA_MAX, 1),
    (_MMAP_MAX, 0),
    (_TRIM_THRESHOLD, 2**31 - 1),
    (_TOP_PAD, 2**26),
  )
  return all([mallopt(option, value) for option, value in options])


def set_up() -> None:
  """Plain log lines, libraries quiet, compiled programs kept on disk."""
  keep_memory()
  logging.basicConfig(
    level=logging.INFO, format='%(message)s', stream=sys.stderr, force=True
  )
  # Libraries' remarks on their own workings; ours are under 'sel_jax'.
  logging.getLogger().setLevel(logging.ERROR)
  logging.getLogger('absl').setLevel(logging.ERROR)
  logging.getLogger('sel_jax').setLevel(logging.INFO)
  if 'JAX_COMPILATION_CACHE_DIR' not in os.environ:
    home = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    cache = str(Path(home) / 'sel_jax' / 'xla')
    jax.config.update('jax_compilation_cache_dir', cache)


def fail(message: object) -> int:
  """Prints 'error: ...' on one line and returns the exit status."""
  print('error:', ' '.join(str(message).split()), file=sys.stderr)
  return 2


def run(main: Callable[[], int | None]) -> None:
  """Runs a main and exits: 0, its own status, or 2 after an error."""
  set_up()
  try:
    status = main() or 0
  except (InputError, ArithmeticError) as error:
    status = fail(error)
  except KeyboardInterrupt:
    status = 130
  sys.exit(status)
