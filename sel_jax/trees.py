"""Leaves of nested parameters by their names.

Contract: a name is the path of a leaf, its parts joined by slashes, as in the
files of weights.
"""

from collections.abc import Mapping
from typing import Any

import jax

Shapes = Mapping[str, tuple[int, ...] | None]


def named(tree: Any) -> dict[str, Any]:
  """Every leaf of a tree by its name."""
  return {
    jax.tree_util.keystr(path, simple=True, separator='/'): leaf
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
  }


def shapes(tree: Any) -> dict[str, tuple[int, ...]]:
  """Shapes of the leaves by their names."""
  return {name: tuple(leaf.shape) for name, leaf in named(tree).items()}


def misfit(found: Shapes, wanted: Shapes) -> str | None:
  """The first name, by the alphabet, whose shapes differ; None if all agree.

  Args:
    found: shapes by name.
    wanted: the same; a name that only one of both has is a difference too.
  """
  for name in sorted(found.keys() | wanted.keys()):
    if found.get(name) != wanted.get(name):
      return name
  return None
