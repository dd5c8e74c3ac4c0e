"""Photographs that nobody has the other one of.

Contract: pairs that hold each photograph twice, so that whatever reads, counts
or checks pairs does it for them; `has_clean` says whether the second one is an
answer.
"""

import os
from pathlib import Path

from sel_jax.data import folders
from sel_jax.data.sequences import Pair
from sel_jax.data.sequences import Pairs
from sel_jax.errors import InputError
from sel_jax.images import codec


def is_folder(root: str | os.PathLike) -> bool:
  """Whether a folder holds photographs and no layout of pairs."""
  try:
    folders.locate(root)
  except InputError:
    return Path(root).is_dir() and bool(folders.list_images(Path(root)))
  return False


class Photographs(Pairs):
  """The image files of a folder, in natural order."""

  has_clean = False

  def __init__(self, folder: str | os.PathLike):
    """Looks for them.

    Raises:
      InputError: if two of them have one name but for the ending.
    """
    self._paths = folders.list_images(Path(folder))
    seen: dict[str, Path] = {}
    for path in self._paths:
      if (other := seen.setdefault(path.stem, path)) is not path:
        raise InputError(
          f"{path} and '{other.name}' have one name; remove one of them"
        )

  @property
  def names(self) -> list[str]:
    """Those of the pairs."""
    return [path.stem for path in self._paths]

  def marks(self) -> list[str]:
    """Path, size and time of change."""
    return [folders.mark(path) for path in self._paths]

  def __len__(self) -> int:
    return len(self._paths)

  def __getitem__(self, index: int) -> Pair:
    path = self._paths[index]
    low = codec.read_image(path)
    return Pair(path.stem, low, low)

  def size(self, index: int) -> tuple[int, int]:
    """By the header."""
    return codec.read_size(self._paths[index])

  def check(self, index: int) -> None:
    """The header."""
    self.size(index)


class Clean(Photographs):
  """The same of clean photographs, which others are made of."""

  has_clean = True
