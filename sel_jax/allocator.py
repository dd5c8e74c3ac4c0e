"""The memory allocator of the process.

Contract: touches options of the C library only, and only when called.
"""

import ctypes

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
