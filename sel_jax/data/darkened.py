"""Pairs whose low photographs are made: a seeded set to validate on.

Contract: writes whole files or none, and replaces nothing.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from sel_jax import files
from sel_jax.data import cameras
from sel_jax.data.sequences import PairSource
from sel_jax.errors import InputError
from sel_jax.images import codec


def check(folder: str | Path, split: str) -> None:
  """Checks that pairs can be written there.

  Args:
    folder: the data set's folder.
    split: one of it.

  Raises:
    InputError: if it has the split already.
  """
  if (Path(folder) / split).exists():
    raise InputError(
      f'{Path(folder) / split}: is there already; remove it, or choose another '
      'folder'
    )


def write(
  pairs: PairSource,
  folder: str | Path,
  split: str,
  *,
  seed: int = 0,
  model: cameras.Cameras = cameras.UNSEEN,
  on_done: Callable[[], object] | None = None,
) -> int:
  """Takes clean photographs again, in too little light, and writes the pairs.

  Args:
    pairs: those whose clean photographs are taken.
    folder: the new data set: `split`/low and `split`/high, PNG.
    split: its only split.
    seed: draws cameras and noise; the same seed makes the same files.
    model: the cameras; left out, those that training never draws.
    on_done: called after each pair.

  Returns:
    How many pairs.

  Raises:
    InputError: if the split is there already, or cannot be written.
  """
  check(folder, split)
  for side in ('low', 'high'):
    files.ensure_directory(Path(folder) / split / side)
  count = 0
  for pair in pairs:
    clean = codec.to_float(pair.clean)
    low = cameras.take(np.random.default_rng((seed, count)), clean, model=model)
    for side, image in (('low', low), ('high', clean)):
      codec.write_image(Path(folder) / split / side / f'{pair.name}.png', image)
    count += 1
    if on_done:
      on_done()
  return count
