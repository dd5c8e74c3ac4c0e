"""Where data sets lie on this machine if nobody says.

Contract: a set's folder is named as the set, in one parent for all of them;
looks, and makes nothing.
"""

import os
from pathlib import Path

from sel_jax.data import public
from sel_jax.errors import InputError

# The parent of all data sets.
VARIABLE = 'SEL_JAX_DATA'
# The same in a clone, where the variable says nothing.
_BESIDE = 'data'
# The set that is meant if none is named.
USUAL = 'lol_v1'


def _parents() -> list[Path]:
  named = os.environ.get(VARIABLE)
  return [Path(parent) for parent in (named, _BESIDE) if parent]


def _places(name: str) -> list[Path]:
  """Folders that may hold a set: by its name, and as it is unpacked."""
  first, *rest = Path(name).parts
  known = public.DATA_SETS.get(name)
  unpacked = [Path(first, known.folder)] if known and rest else []
  return [p / place for p in _parents() for place in (Path(name), *unpacked)]


def find(name: str) -> Path:
  """The folder of a data set.

  Args:
    name: the set's, such as 'lol_v1' or 'lol_v2/real'.

  Raises:
    InputError: if there is none, with where to get it.
  """
  places = _places(name)
  for place in places:
    if place.is_dir():
      return place
  known = public.DATA_SETS.get(name)
  source = f' get it from {known.url},' if known else ''
  unset = '' if os.environ.get(VARIABLE) else f'${VARIABLE} is not set, '
  raise InputError(
    f'{name}: {unset}no folder {" or ".join(map(str, places))};{source} unpack '
    'it there, or give its folder by --config.data.root (or --data); '
    '--config=configs/sample.py trains without one'
  )
