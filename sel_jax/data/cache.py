"""Where decoded photographs are kept between epochs.

Contract: decoding costs twenty times what a crop costs, so it is done once: to
memory, or to one file on disk that processes share. A broken file is named; it
is left out only where that was asked for.
"""

import dataclasses
import json
import logging
import os
from pathlib import Path
import shutil
import tempfile
from typing import Any

import numpy as np

from sel_jax import fields
from sel_jax import files
from sel_jax.data import soundness
from sel_jax.data.sequences import Brightness
from sel_jax.data.sequences import Pair
from sel_jax.data.sequences import Pairs
from sel_jax.data.sequences import PairSource
from sel_jax.errors import InputError
from sel_jax.fields import key

CACHES = ('memory', 'disk', 'none')

_log = logging.getLogger(__name__)


@fields.spec
class CacheSpec:
  """Part of section `data`: where decoded photographs are kept."""

  cache: str = key(
    'where decoded photographs are kept; disk is for sets that memory cannot '
    'hold, none decodes anew at each use',
    default='memory',
    choices=CACHES,
  )
  cache_dir: str = key(
    "folder of the disk's cache; the user's cache folder if empty", default=''
  )
  skip_broken: bool = key(
    'leave broken files out, with a word, instead of stopping', default=False
  )


_FILE, _INDEX = 'pixels.bin', 'index.json'
# Field of a `Pair` -> its name in the index, which caches of before have.
_SIDES = {'low': 'low', 'clean': 'target'}


class _Substituting:
  """Photographs decoded at each use; the next sound one for a broken one."""

  def __init__(self, pairs: PairSource):
    self._pairs = pairs

  def __len__(self) -> int:
    return len(self._pairs)

  def __getitem__(self, index: int) -> Pair:
    if not 0 <= index < len(self):
      raise IndexError(index)
    for offset in range(len(self)):
      try:
        return self._pairs[(index + offset) % len(self)]
      except InputError as error:
        _log.warning('left out: %s', error)
    raise InputError('no photograph of the data set can be read')


class DiskPairs:
  """Decoded photographs in one file, mapped into memory by each process."""

  def __init__(self, folder: Path):
    self._folder = folder
    self._index = json.loads((folder / _INDEX).read_text())
    self._bytes: np.memmap | None = None

  def __getstate__(self):
    return {'_folder': self._folder, '_index': self._index, '_bytes': None}

  def __len__(self) -> int:
    return len(self._index)

  def __getitem__(self, index: int) -> Pair:
    if self._bytes is None:
      self._bytes = np.memmap(self._folder / _FILE, np.uint8, 'r')
    entry, samples = self._index[index], self._bytes

    def image(start, shape, dtype):
      size = int(np.prod(shape)) * np.dtype(dtype).itemsize
      return samples[start : start + size].view(dtype).reshape(shape)

    known = None  # in caches of before
    if 'mean' in entry:
      known = Brightness(entry['mean'], image(*entry['few']))
    sides = (image(*entry[kept]) for kept in _SIDES.values())
    return Pair(entry['name'], *sides, known=known)


def _write(folder: Path, pairs: PairSource, skip_broken: bool) -> None:
  index = []
  with open(folder / _FILE, 'wb') as file:

    def added(image: np.ndarray) -> tuple[int, tuple[int, ...], str]:
      start, image = file.tell(), np.ascontiguousarray(image)
      file.write(image.data)
      # Views of 16-bit samples must start at an even byte.
      file.write(b'\0' * (-image.nbytes % 8))
      return start, image.shape, image.dtype.str

    for pair in soundness.read_all(pairs, skip_broken=skip_broken):
      bright = pair.brightness
      entry: dict[str, Any] = {'name': pair.name, 'mean': bright.mean}
      for side, kept in _SIDES.items():
        entry[kept] = added(getattr(pair, side))
      index.append(entry | {'few': added(bright.few)})
  (folder / _INDEX).write_text(json.dumps(index))


def _on_disk(pairs: Pairs, directory: Path, skip_broken: bool) -> DiskPairs:
  folder = directory / f'decoded-{pairs.fingerprint()}-{int(skip_broken)}'
  if not folder.is_dir():
    try:
      directory.mkdir(parents=True, exist_ok=True)
      part = Path(tempfile.mkdtemp(prefix='.part-', dir=directory))
      try:
        _write(part, pairs, skip_broken)
        # Another process may have been faster: then its folder stays.
        if not folder.is_dir():
          os.rename(part, folder)
      finally:
        shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
      raise InputError(
        f'{directory}: cannot keep decoded images there ({error.strerror}); '
        'set config.data.cache_dir elsewhere or config.data.cache to memory'
      ) from error
  return DiskPairs(folder)


def keep(pairs: Pairs, spec: CacheSpec) -> PairSource:
  """Decodes photographs once and keeps them.

  Args:
    pairs: what `open_pairs` gives; a disk's cache tells them apart by their
      `marks`.
    spec: where to.

  Returns:
    Pairs at random access, at least one.

  Raises:
    InputError: for broken files, of several each in a line of the log first;
      for a full disk, or if none is left.
  """
  if spec.cache == 'none':
    if spec.skip_broken:
      return _Substituting(pairs)
    soundness.require(pairs)
    return pairs
  if spec.cache == 'memory':
    return [
      dataclasses.replace(pair, known=pair.brightness)
      for pair in soundness.read_all(pairs, skip_broken=spec.skip_broken)
    ]
  home = files.cache_home() / 'decoded'
  where = Path(spec.cache_dir) if spec.cache_dir else home
  return _on_disk(pairs, where, spec.skip_broken)
