"""How large an image may be that is decoded.

Contract: one limit for every file that is read; a header is looked at before
any sample is decoded. The command line's `--megapixels` moves it.
"""

import math
from pathlib import Path

from sel_jax.errors import InputError

# Megapixels that are decoded unless more are allowed.
MEGAPIXELS = 100.0
_allowed = MEGAPIXELS


def allow(megapixels: float) -> None:
  """Moves the limit, for the whole process.

  Args:
    megapixels: the largest image that is decoded, in 10^6 pixels.

  Raises:
    InputError: unless it is a number above 0.
  """
  global _allowed
  if not (megapixels > 0 and math.isfinite(megapixels)):
    raise InputError(f'--megapixels={megapixels}: give a number above 0')
  _allowed = megapixels


def pixels() -> int:
  """The most pixels of an image that is decoded."""
  return int(_allowed * 1e6)


def check(path: Path, *, height: int, width: int) -> None:
  """Checks what a header says.

  Args:
    path: the file.
    height: rows, as the header says.
    width: columns.

  Raises:
    InputError: if it has more pixels than are decoded, or none.
  """
  if min(height, width) < 1:
    raise InputError(f'{path}: has no pixels by its header; replace the file')
  if height * width > pixels():
    raise too_large(path, height * width)


def too_large(path: Path, count: int) -> InputError:
  """The error of an image above the limit.

  Args:
    path: the file.
    count: its pixels by its header; 0 if that is not known.
  """
  holds = f'{count / 1e6:.4g}' if count else 'many'
  return InputError(
    f'{path}: holds {holds} megapixels by its header, and no more than '
    f'{_allowed:g} are read; reduce it, or give --megapixels'
  )
