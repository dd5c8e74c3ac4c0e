"""How much memory is left, and whether a program fits into it.

Contract: a program is refused before it runs where it would take more than
there is; whatever cannot be found out is no reason to refuse. On Linux; other
systems are not asked.
"""

from collections.abc import Callable
from collections.abc import Iterator
import math
from pathlib import Path
import resource
from typing import Any

import jax

from sel_jax.errors import InputError

# Bytes that compiling a program takes: with 0.1 GB left it aborted the process.
COMPILING = 250_000_000
# The remedy where nothing smaller will do.
_MORE = 'end other programs, or allow it more'
# Least side of a tile that is a remedy, and the part of what is free that one
# of the side that is named takes.
_SMALLEST, _SAFELY = 64, 0.7
_PAGE = resource.getpagesize()
_UNLIMITED = resource.RLIM_INFINITY


class ShortOfMemoryError(InputError):
  """What is asked for takes more memory than there is."""


def _number(path: Path) -> int | None:
  """What a file of the system says; None without it, or for 'max'."""
  try:
    return int(path.read_text())
  except (OSError, ValueError):
    return None


def _of_machine() -> Iterator[int]:
  try:
    lines = Path('/proc/meminfo').read_text().splitlines()
  except OSError:
    return
  for line in lines:
    if line.startswith('MemAvailable:'):
      yield 1024 * int(line.split()[1])


def _of_container(group: Path = Path('/sys/fs/cgroup')) -> Iterator[int]:
  limit = _number(group / 'memory.max')
  used = _number(group / 'memory.current')
  if limit is not None and used is not None:
    yield min(max(limit - used, 0) + _cached(group), limit)


def _cached(group: Path) -> int:
  """Bytes of files that the system keeps, and gives back when asked."""
  try:
    lines = (group / 'memory.stat').read_text().splitlines()
  except OSError:
    return 0
  kinds = ('inactive_file', 'active_file')
  words = (line.split() for line in lines)
  return sum(int(w[1]) for w in words if w[0] in kinds)


def _of_process() -> Iterator[int]:
  """By limits such as those of `ulimit -v` and `ulimit -d`."""
  try:
    words = Path('/proc/self/statm').read_text().split()
  except OSError:
    return
  for kind, used in (
    (resource.RLIMIT_AS, words[0]),
    (resource.RLIMIT_DATA, words[5]),
  ):
    soft, _ = resource.getrlimit(kind)
    if soft != _UNLIMITED:
      yield max(soft - int(used) * _PAGE, 0)


def free() -> int | None:
  """Bytes that this process may still take; None if nothing says so.

  The least of what the machine has, a container's limit and the process's own.
  """
  found = [*_of_machine(), *_of_container(), *_of_process()]
  return min(found, default=None)


def _on_device(device: jax.Device) -> int | None:
  """Bytes that are free on a device."""
  if device.platform == 'cpu':
    return free()
  stats = device.memory_stats() or {}
  if not {'bytes_limit', 'bytes_in_use'} <= stats.keys():
    return None
  return stats['bytes_limit'] - stats['bytes_in_use']


def taken(compiled: jax.stages.Compiled) -> int:
  """Bytes that a run of a program takes beside its inputs; 0 if unknown."""
  try:
    found = compiled.memory_analysis()
  except Exception:  # not every backend says so
    return 0
  if found is None:
    return 0
  return found.temp_size_in_bytes + found.output_size_in_bytes


def require(needed: int, remedy: Callable[[float], str]) -> None:
  """Refuses what does not fit.

  Args:
    needed: bytes, on a device of this process.
    remedy: what to do, by the share of the need that is there.

  Raises:
    ShortOfMemoryError: if less is free.
  """
  left = _on_device(jax.local_devices()[0])
  if left is not None and needed > left:
    raise ShortOfMemoryError(
      f'takes {needed / 1e9:.2g} GB of memory, and {left / 1e9:.2g} GB are '
      f'left; {remedy(left / needed)}'
    )


def tiles(height: int, width: int, *, multiple: int) -> Callable[[float], str]:
  """The remedy of a program for images: tiles that are small enough.

  Args:
    height: rows of its images.
    width: columns.
    multiple: sides of tiles are multiples of it.
  """

  def remedy(share: float) -> str:
    side = math.isqrt(int(height * width * share * _SAFELY))
    side = side // multiple * multiple
    if side < _SMALLEST:
      return _MORE
    overlap = '' if side >= 256 else f' --overlap={side // 4}'
    return f'give --tile={side}{overlap}, or reduce it'

  return remedy


def compile(run: Any, *args: Any, remedy: Callable[[float], str]) -> Any:
  """Compiles a jitted function, if there is room for that and for a run of it.

  Args:
    run: jitted.
    *args: inputs such as it is going to be called with.
    remedy: as `require`.

  Returns:
    The compiled program.

  Raises:
    ShortOfMemoryError: if there is not.
  """
  if jax.local_devices()[0].platform == 'cpu':
    require(COMPILING, lambda _: _MORE)
  compiled = run.lower(*args).compile()
  require(taken(compiled), remedy)
  return compiled
