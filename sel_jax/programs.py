"""Compiled programs, kept on disk from one process to the next.

Contract: only where JAX was told no folder of its own; JAX itself is not
imported for it.
"""

import os
import sys

from sel_jax import files

_VARIABLE = 'JAX_COMPILATION_CACHE_DIR'


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


def forget() -> None:
  """Leaves the programs on disk alone, their folder included."""
  os.environ['JAX_ENABLE_COMPILATION_CACHE'] = 'false'
  if 'jax' in sys.modules:
    sys.modules['jax'].config.update('jax_enable_compilation_cache', False)
