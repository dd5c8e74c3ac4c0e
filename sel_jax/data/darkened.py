"""Pairs whose low photographs are made: a seeded set to validate on.

Contract: a split is there whole or not at all, and replaces nothing.
"""

from collections.abc import Callable
import os
from pathlib import Path
import tempfile

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
  folder = files.ensure_directory(folder)
  with tempfile.TemporaryDirectory(prefix=f'.{split}.', dir=folder) as part:
    whole = Path(part) / split
    for side in ('low', 'high'):
      files.ensure_directory(whole / side)
    for number, pair in enumerate(pairs):
      clean = codec.to_float(pair.clean)
      rng = np.random.default_rng((seed, number))
      low = cameras.take(rng, clean, model=model)
      for side, image in (('low', low), ('high', clean)):
        codec.write_image(whole / side / f'{pair.name}.png', image)
      if on_done:
        on_done()
    os.replace(whole, folder / split)
  return len(pairs)
