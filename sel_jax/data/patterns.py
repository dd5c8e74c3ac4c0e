"""Pairs of files whose names follow patterns of one's own.

Contract: `{name}` stands for what two files have in common, `*` for anything
within a name, `{split}` for train, val or test. One `*` alone is `{name}`. Of
one clean photograph there may be several low ones. Looks at names only.
"""

from collections.abc import Sequence
import os
from pathlib import Path
import re

from sel_jax.data import folders
from sel_jax.data.folders import FilePair
from sel_jax.errors import InputError
from sel_jax.images import codec

_SPLIT, _NAME = '{split}', '{name}'


def _with_name(key: str, pattern: str) -> str:
  """The pattern with `{name}` in it."""
  if _NAME in pattern:
    return pattern
  if pattern.count('*') != 1:
    raise InputError(
      f'config.data.{key}={pattern!r}: has {pattern.count("*")} stars; write '
      f'{_NAME} for the part that a pair has in common, such as '
      f'{key}/{_NAME}_{key}.png'
    )
  return pattern.replace('*', _NAME)


def _expression(pattern: str) -> re.Pattern:
  """What a path, relative to the root, has to match."""
  parts = re.split(r'(\{name\}|\*)', pattern)
  forms, named = [], False
  for part in parts:
    if part == _NAME:
      forms.append('(?P=name)' if named else '(?P<name>[^/]+?)')
      named = True
    else:
      forms.append('[^/]*' if part == '*' else re.escape(part))
  return re.compile(''.join(forms))


def _files(root: Path, key: str, pattern: str) -> dict[str, list[Path]]:
  """Name -> the files of it, in natural order."""
  pattern = _with_name(key, pattern)
  matches = _expression(pattern).fullmatch
  found: dict[str, list[Path]] = {}
  for path in folders.in_order(root.glob(pattern.replace(_NAME, '*'))):
    match = matches(path.relative_to(root).as_posix())
    if match and codec.is_image(path):
      found.setdefault(match['name'], []).append(path)
  if not found:
    raise InputError(
      f'{root / pattern}: matches no image file; check config.data.{key}'
    )
  return found


def find_pairs(
  root: str | os.PathLike,
  split: str,
  *,
  low: str,
  clean: str,
  exclude: Sequence[str] = (),
) -> list[FilePair] | None:
  """Pairs of one split, in natural order.

  Args:
    root: folder that the patterns begin in.
    split: 'train', 'val' or 'test'.
    low: pattern of the low photographs, such as 'input/*_in.png'.
    clean: pattern of the clean ones.
    exclude: names of pairs to leave out.

  Returns:
    At least one pair; None if there is no such split: without `{split}` in the
    patterns there is train alone. A pair is named by what `{name}` stands for,
    or by the file of the low photograph where a clean one has several.

  Raises:
    InputError: for a pattern that fits nothing or is none, a name without a
      partner, or two clean photographs of one name.
  """
  root = Path(root)
  if not root.is_dir():
    raise InputError(f'{root}: no such folder; check config.data.root')
  if _SPLIT in low or _SPLIT in clean:
    low, clean = (text.replace(_SPLIT, split) for text in (low, clean))
    if not any(root.glob(re.sub(r'\{name\}', '*', low))):
      return None
  elif split != 'train':
    return None
  lows, cleans = _files(root, 'low', low), _files(root, 'clean', clean)
  for name, paths in cleans.items():
    if len(paths) > 1:
      raise InputError(
        f"pairs: '{paths[0]}' and '{paths[1]}' are both clean ones of {name}; "
        'make config.data.clean narrower'
      )
  several = any(len(paths) > 1 for paths in lows.values())
  pairs = [
    FilePair(path.stem if several else name, path, cleans[name][0])
    for name, paths in lows.items()
    for path in paths
    if name in cleans
  ]
  first = {key: next(iter(found.values()))[0] for key, found in
           (('low', lows), ('clean', cleans))}  # fmt: skip
  if not pairs:
    raise folders.none_pair(len(lows), **first)
  alone = [n for n in lows if n not in cleans and n not in exclude]
  if alone:
    raise InputError(
      f"pairs: '{lows[alone[0]][0]}' has no partner that {clean} matches"
      f'{folders.and_more(alone)}; add it or list {alone[0]} in '
      'config.data.exclude'
    )
  return [pair for pair in pairs if pair.name not in exclude]
