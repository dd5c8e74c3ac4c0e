"""Compiled programs, kept on disk from one process to the next.

Contract: only where JAX was told no folder of its own; JAX itself is not
imported for it.
"""

from collections.abc import Callable
from collections.abc import Generator
import contextlib
import contextvars
import os
import sys

from sel_jax import files

_VARIABLE = 'JAX_COMPILATION_CACHE_DIR'
_listener: contextvars.ContextVar[Callable[[bool], None] | None] = (
  contextvars.ContextVar('on_compile', default=None)
)


def keep() -> None:
  """Keeps what JAX compiles in the user's cache.

  That is $XDG_CACHE_HOME/sel_jax/xla, or below ~/.cache. A folder that the
  variable JAX_COMPILATION_CACHE_DIR or `jax.config` names goes first.
  """
  if _VARIABLE in os.environ:
    return
  folder = str(files.cache_home() / 'xla')
  jax = sys.modules.get('jax')
  if jax is None:  # it reads its environment when it is imported
    os.environ[_VARIABLE] = folder
  elif not jax.config.jax_compilation_cache_dir:
    from jax.experimental.compilation_cache import compilation_cache

    jax.config.update('jax_compilation_cache_dir', folder)
    compilation_cache.reset_cache()  # it may have looked, and found none


@contextlib.contextmanager
def announced(
  on_compile: Callable[[bool], None],
) -> Generator[None, None, None]:
  """Within it, in this thread, a person can be told what takes seconds.

  Args:
    on_compile: called with True when a program is going to be compiled, or
      read from disk, and with False when that is done.
  """
  token = _listener.set(on_compile)
  try:
    yield
  finally:
    _listener.reset(token)


@contextlib.contextmanager
def compiling() -> Generator[None, None, None]:
  """What is compiled within it is announced, if anybody listens."""
  tell = _listener.get() or (lambda is_on: None)
  tell(True)
  try:
    yield
  finally:
    tell(False)


def forget() -> None:
  """Leaves the programs on disk alone, their folder included."""
  os.environ['JAX_ENABLE_COMPILATION_CACHE'] = 'false'
  if 'jax' in sys.modules:
    sys.modules['jax'].config.update('jax_enable_compilation_cache', False)
