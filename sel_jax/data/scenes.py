"""Descriptors of a split's clean images, computed once.

Contract: what `splits.descriptor` gives for each, decoded four at a time; if it
took long, kept in the user's cache by the marks of the files, and computed anew
where that cannot be read or written.
"""

import logging
from pathlib import Path
import time

import numpy as np

from sel_jax import files
from sel_jax.data import soundness
from sel_jax.data import splits
from sel_jax.data.sequences import Pairs
from sel_jax.errors import InputError

# Seconds from which on what was computed is kept.
_LONG = 1.0

_log = logging.getLogger(__name__)


def _kept(path: Path, count: int) -> np.ndarray | None:
  """What was computed before, if it is there and whole."""
  try:
    found = np.load(path)
  except (OSError, ValueError, EOFError):
    return None
  return found if found.ndim == 2 and len(found) == count else None


def describe(pairs: Pairs) -> np.ndarray:
  """Descriptors [N, D] of the clean images of all pairs.

  Zeros, which are like nothing, stand for what cannot be read: that is told, or
  allowed, where the photograph is used.
  """
  path = files.cache_home() / 'scenes' / f'{pairs.fingerprint()}.npy'
  found = _kept(path, len(pairs))
  if found is not None:
    return found
  begin = time.monotonic()
  blank = splits.descriptor(np.zeros((1, 1, 3), np.uint8))
  each = soundness.tried(
    lambda index: splits.descriptor(pairs[index].clean), range(len(pairs))
  )
  rows = list(each)
  whole = not any(isinstance(row, InputError) for row in rows)
  found = np.stack([blank if isinstance(r, InputError) else r for r in rows])
  if whole and time.monotonic() - begin > _LONG:
    _keep(path, found)
  return found


def _keep(path: Path, found: np.ndarray) -> None:
  try:
    files.ensure_directory(path.parent)
    with files.replacing(path) as part, open(part, 'wb') as file:
      np.save(file, found)
  except InputError as error:
    _log.debug('descriptors are not kept: %s', error)
