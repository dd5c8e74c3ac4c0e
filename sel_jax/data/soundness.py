"""Whether every photograph of a split can be read, before work begins.

Contract: all that is wrong is said, a sentence for each pair; a mean over fewer
photographs than a person thinks is a wrong figure, so none is left out unasked.
"""

import collections
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
import logging
from typing import TypeVar

import numpy as np

from sel_jax.data.sequences import Pair
from sel_jax.data.sequences import Pairs
from sel_jax.data.sequences import PairSource
from sel_jax.data.sequences import Part
from sel_jax.errors import InputError

_log = logging.getLogger(__name__)

_T = TypeVar('_T')
_NONE = 'no photograph of the data set can be read'
# Pairs that are read at the same time, and are in memory at most.
_AT_ONCE = 4


def tried(
  call: Callable[[int], _T], indices: Sequence[int]
) -> Iterator[_T | InputError]:
  """What a call makes of each index, or what is wrong with it, in order.

  Args:
    call: reads a pair; an `InputError` of it is a result.
    indices: those it is called with, four at a time.
  """

  def one(index: int) -> _T | InputError:
    try:
      return call(index)
    except InputError as error:
      return error

  coming = collections.deque()
  with ThreadPoolExecutor(_AT_ONCE) as pool:
    for index in indices:
      if len(coming) == _AT_ONCE:
        yield coming.popleft().result()
      coming.append(pool.submit(one, index))
    while coming:
      yield coming.popleft().result()


def _refuse(errors: Sequence[InputError], count: int) -> None:
  """Raises what is wrong: of several, after a line for each."""
  if len(errors) == 1:
    raise errors[0]
  for error in errors:
    _log.error('%s', error)
  if errors:
    raise InputError(
      f'{len(errors)} of {count} pairs cannot be used, named above; mend them, '
      'or leave them out by config.data.exclude or config.data.skip_broken=True'
    )


def require(pairs: PairSource, *, indices: Sequence[int] | None = None) -> None:
  """Looks at the headers of all files, which takes milliseconds.

  Args:
    pairs: what is to be read; decoded pairs are sound.
    indices: those that will be used; None is all.

  Raises:
    InputError: for a file that is missing, no image or too large, or a pair of
      two sizes; of several, each in a line of the log first.
  """
  if not isinstance(pairs, Pairs):
    return
  indices = range(len(pairs)) if indices is None else indices
  found = tried(pairs.check, indices)
  errors = [error for error in found if isinstance(error, InputError)]
  _refuse(errors, len(indices))


def read_all(pairs: PairSource, *, skip_broken: bool) -> Iterator[Pair]:
  """Decodes all, four at a time, once the headers were looked at.

  Args:
    pairs: what is read.
    skip_broken: leave out what cannot be read, with a word.

  Yields:
    Each sound pair, in order.

  Raises:
    InputError: as `require`; at the end, if a file is broken and none is to be
      left out; if none is left.
  """
  if not skip_broken:
    require(pairs)
  errors, left = [], len(pairs)
  for found in tried(pairs.__getitem__, range(len(pairs))):
    if not isinstance(found, InputError):
      yield found
      continue
    left -= 1
    if skip_broken:
      _log.warning('left out: %s', found)
    else:
      errors.append(found)
  _refuse(errors, len(pairs))
  if not left:
    raise InputError(_NONE)


def usable(
  pairs: Pairs, indices: Sequence[int], *, skip_broken: bool = False
) -> Pairs:
  """Those pairs that are asked for, looked at before the first is used.

  Args:
    pairs: those of a split.
    indices: which of them.
    skip_broken: leave out, with a word, what cannot be decoded.

  Raises:
    InputError: as `require`, or if none is left.
  """
  if not skip_broken:
    require(pairs, indices=indices)
    return Part(pairs, np.asarray(indices, int))

  def read(index: int) -> int:
    pairs[index]
    return index

  kept = []
  for found in tried(read, indices):
    if isinstance(found, InputError):
      _log.warning('left out: %s', found)
    else:
      kept.append(found)
  if not kept:
    raise InputError(_NONE)
  return Part(pairs, np.asarray(kept))
