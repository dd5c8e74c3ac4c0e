"""Pairs of low-light and well-exposed photographs in folders.

Contract: a `FilePair` names two files of the same scene and size; `find_pairs`
looks at names only, `read_pair` at pixels.
"""

from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
import os
from pathlib import Path
import re

import numpy as np

from sel_jax.errors import InputError
from sel_jax.images import codec

SPLITS = ('train', 'val', 'test')

# Known layouts, relative to the root: split -> (low folder, clean folder).
LAYOUTS: dict[str, dict[str, tuple[str, str]]] = {
  'plain': {s: (f'{s}/low', f'{s}/high') for s in SPLITS},
  'LOL-v1': {
    'train': ('our485/low', 'our485/high'),
    'test': ('eval15/low', 'eval15/high'),
  },
  'LOL-v2': {
    'train': ('Train/Low', 'Train/Normal'),
    'test': ('Test/Low', 'Test/Normal'),
  },
  'input and target': {s: (f'{s}/input', f'{s}/target') for s in SPLITS},
  'NTIRE 2024': {'train': ('Input', 'GT')},
}


@dataclasses.dataclass(frozen=True)
class FilePair:
  """Two photographs of one scene: paths of the low and the clean image."""

  name: str
  low: Path
  clean: Path


def _natural(name: str) -> list:
  return [int(s) if s.isdigit() else s for s in re.split(r'(\d+)', name)]


def key_of(path: Path) -> str:
  """What pairs two files: the stem, without LOL-v2's low/normal prefix."""
  return re.sub(r'^(low|normal|high)(?=\d)', '', path.stem)


def in_order(paths: Iterable[Path]) -> list[Path]:
  """Paths in natural order: 2 before 10."""
  return sorted(paths, key=lambda p: (_natural(str(p)), str(p)))


def list_images(folder: Path) -> list[Path]:
  """Image files of a folder, in natural order of their names."""
  return in_order(
    p for p in folder.iterdir() if p.is_file() and codec.is_image(p)
  )


def mark(path: Path) -> str:
  """Path, size and time of change: another one when the file changes."""
  found = path.stat()
  return f'{path.absolute()} {found.st_size} {found.st_mtime_ns}'


def _by_key(folder: Path) -> dict[str, Path]:
  found: dict[str, Path] = {}
  for path in list_images(folder):
    other = found.setdefault(key_of(path), path)
    if other is not path:
      raise InputError(
        f"pairs: '{path}' and '{other.name}' have one name; remove one of them"
      )
  return found


def none_pair(count: int, *, low: Path, clean: Path) -> InputError:
  """The error where no two files have one name.

  Args:
    count: names among the low photographs.
    low: one of their files.
    clean: one of the clean photographs' files.
  """
  return InputError(
    f"{low.parent}: 0 of {count} names pair; low has '{low.name}', clean has "
    f"'{clean.name}': set config.data.low and config.data.clean (--low and "
    "--clean) to patterns such as 'low/{name}_in.png', where {name} is what a "
    'pair has in common'
  )


def and_more(names: Sequence[str]) -> str:
  """' (and 3 more)' of four names; nothing of one."""
  return f' (and {len(names) - 1} more)' if len(names) > 1 else ''


def unpaired(low: Path, clean: Path) -> list[tuple[Path, Path]]:
  """Files without a partner, each with the folder that should hold it.

  Raises:
    InputError: if two files of one folder have one name.
  """
  lows, cleans = _by_key(low), _by_key(clean)
  alone = [(lows[key], clean) for key in lows if key not in cleans]
  return alone + [(cleans[key], low) for key in cleans if key not in lows]


def _pair_folders(
  low: Path, clean: Path, exclude: Sequence[str]
) -> list[FilePair]:
  for folder in (low, clean):
    if not folder.is_dir():
      raise InputError(f'{folder}: no such folder; make it or check data.root')
  lows, cleans = _by_key(low), _by_key(clean)
  if lows and cleans and not lows.keys() & cleans.keys():
    first, other = (next(iter(found.values())) for found in (lows, cleans))
    raise none_pair(len(lows), low=first, clean=other)
  alone = [
    (path, other)
    for path, other in unpaired(low, clean)
    if key_of(path) not in exclude
  ]
  if alone:
    path, other = alone[0]
    raise InputError(
      f"pairs: '{path}' has no partner in '{other}'"
      f'{and_more([key_of(p) for p, _ in alone])}; add it or list '
      f'{key_of(path)} in config.data.exclude'
    )
  pairs = [
    FilePair(key, lows[key], cleans[key])
    for key in lows
    if key in cleans and key not in exclude
  ]
  if not pairs:
    raise InputError(
      f'{low}: no image files in it ({", ".join(codec.EXTENSIONS)})'
    )
  return pairs


def _layout(root: Path) -> str | None:
  """Name of the layout that a folder itself has, if any."""
  for name, splits in LAYOUTS.items():
    if any((root / low).is_dir() for low, _ in splits.values()):
      return name
  return None


def locate(root: str | os.PathLike) -> tuple[Path, str]:
  """The folder that has a layout of `LAYOUTS`, and the layout's name.

  Args:
    root: the folder, or the one above it if nothing else in that has a layout.

  Raises:
    InputError: if the folder is missing or has none of them.
  """
  root = Path(root)
  if not root.is_dir():
    raise InputError(
      f'{root}: no such folder; set config.data.root (or --data)'
    )
  if name := _layout(root):
    return root, name
  inner = [(p, found) for p in sorted(root.iterdir()) if (found := _layout(p))]
  if len(inner) == 1:
    return inner[0]
  if inner:
    raise InputError(
      f'{root}: holds several data sets; give one of '
      f'{", ".join(str(path) for path, _ in inner)}'
    )
  raise InputError(
    f'{root}: none of the known layouts in it; it should hold train/low and '
    'train/high, or our485/low and our485/high, or Train/Low and Train/Normal, '
    'or train/input and train/target, or Input and GT; for other names set '
    'config.data.low and config.data.clean (--low and --clean)'
  )


def layout_of(root: str | os.PathLike) -> str:
  """Name of the layout in `LAYOUTS` that the folder has; see `locate`."""
  return locate(root)[1]


def split_folders(root: Path, split: str) -> tuple[Path, Path] | None:
  """Folders of low and clean images of a split; None if it has none.

  Raises:
    InputError: if the folder has none of the known layouts.
  """
  root, layout = locate(root)
  names = LAYOUTS[layout].get(split)
  if names is None or not any((root / name).is_dir() for name in names):
    return None
  low, clean = (root / name for name in names)
  return low, clean


def find_pairs(
  root: str | os.PathLike, split: str, *, exclude: Sequence[str] = ()
) -> list[FilePair] | None:
  """Pairs of one split, in natural order.

  Args:
    root: folder in one of the `LAYOUTS`.
    split: 'train', 'val' or 'test'.
    exclude: names (file name without ending) to leave out.

  Returns:
    At least one pair; None if the folder has no such split.

  Raises:
    InputError: for a missing or empty folder, or a file without a partner.
  """
  if split not in SPLITS:
    raise InputError(f'split {split!r}: choose one of {list(SPLITS)}')
  root = Path(root)
  folders = split_folders(root, split)
  return None if folders is None else _pair_folders(*folders, exclude)


def read_pair(pair: FilePair) -> tuple[np.ndarray, np.ndarray]:
  """Pixels of a pair: low and clean, [H, W, 3], uint8 or uint16 each.

  Raises:
    InputError: if a file is broken or the sizes differ.
  """
  low, clean = codec.read_image(pair.low), codec.read_image(pair.clean)
  _require_equal(pair, low.shape[:2], clean.shape[:2])
  return low, clean


def check_pair(pair: FilePair) -> None:
  """Looks at the headers of a pair.

  Raises:
    InputError: if a file is missing, no image or too large, or the sizes
      differ.
  """
  _require_equal(pair, codec.read_size(pair.low), codec.read_size(pair.clean))


def _require_equal(
  pair: FilePair, low: tuple[int, ...], clean: tuple[int, ...]
) -> None:
  if low != clean:
    sizes = [f'{width}x{height}' for height, width in (low, clean)]
    raise InputError(
      f"pairs: '{pair.low}' is {sizes[0]} but '{pair.clean}' is {sizes[1]}; "
      f'make them equal or list {pair.name} in config.data.exclude'
    )
