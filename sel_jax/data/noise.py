"""Photographs with Gaussian noise, made of clean ones.

Contract: a pair's low photograph is its clean one with noise, in the same
samples: clamped and rounded as a file is. The noise is the pair's name's, the
same at each reading.
"""

import zlib

import numpy as np

from sel_jax.data.sequences import Pair
from sel_jax.data.sequences import Pairs
from sel_jax.errors import InputError
from sel_jax.images import codec


class Noisy(Pairs):
  """Pairs whose low photographs are made of the clean ones."""

  def __init__(self, pairs: Pairs, noise: tuple[float, ...]):
    """Takes clean photographs and how noisy the others are.

    Args:
      pairs: the low ones of them are not looked at.
      noise: least and greatest deviation, 8-bit units, between which each
        pair's is drawn; a single one is that of all.

    Raises:
      InputError: if there are no clean photographs.
    """
    if not pairs.has_clean:
      raise InputError('noise: is added to clean photographs; there are none')
    self._pairs, self._ends = pairs, (noise[0], noise[-1])

  def marks(self) -> list[str]:
    """Those of the pairs, and the noise."""
    low, high = self._ends
    return [f'{mark} noise {low} {high}' for mark in self._pairs.marks()]

  def __len__(self) -> int:
    return len(self._pairs)

  def __getitem__(self, index: int) -> Pair:
    pair = self._pairs[index]
    rng = np.random.default_rng(zlib.crc32(pair.name.encode()))
    std = rng.uniform(*self._ends) / 255
    noise = rng.standard_normal(pair.clean.shape, np.float32)
    noisy = codec.to_float(pair.clean) + np.float32(std) * noise
    rounded = {'u1': codec.to_uint8, 'u2': codec.to_uint16}
    low = rounded[pair.clean.dtype.str[1:]](noisy)
    return Pair(pair.name, low, pair.clean)

  def size(self, index: int) -> tuple[int, int]:
    """That of the pair."""
    return self._pairs.size(index)

  def check(self, index: int) -> None:
    """As the pairs."""
    self._pairs.check(index)
