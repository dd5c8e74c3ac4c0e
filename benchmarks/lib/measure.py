"""Shared by the benchmarks: clocks, memory, inputs.

Contract: what is timed waits for its own result; memory is what Linux counts,
and on an accelerator what its allocator counts.
"""

from collections.abc import Callable
from pathlib import Path
import platform
import threading
import time
from typing import Any

import jax
import numpy as np
import skimage.data

from sel_jax.errors import InputError

# Side of the photograph that `images` cuts from.
PHOTO_SIDE = 512


def seconds(function: Callable[[], Any], repeats: int) -> dict[str, float]:
  """Median and least time of a call; it is called once before.

  Args:
    function: waits for its own result.
    repeats: calls that are timed.

  Returns:
    'median' and 'best', seconds.
  """
  function()
  times = [once(function) for _ in range(repeats)]
  return {'median': float(np.median(times)), 'best': float(np.min(times))}


def once(function: Callable[[], Any]) -> float:
  """Seconds of one call."""
  start = time.perf_counter()
  function()
  return time.perf_counter() - start


def _status(key: str) -> float:
  """A line of this process's status on Linux, in MB."""
  for line in Path('/proc/self/status').read_text().splitlines():
    if line.startswith(key):
      return int(line.split()[1]) / 1024
  raise OSError(f'no {key} in /proc/self/status')


def resident_megabytes() -> float:
  """Memory of this process now; NaN where /proc does not tell."""
  try:
    return _status('VmRSS')
  except OSError:
    return float('nan')


class Anonymous:
  """Most memory of its own that this process took during a `with` block.

  Pages of files, which the system takes back when it needs them, are not
  counted. Looks every hundredth of a second.
  """

  def __enter__(self) -> 'Anonymous':
    self._first = self._most = self._now()
    self._ended = threading.Event()
    self._thread = threading.Thread(target=self._watch, daemon=True)
    self._thread.start()
    return self

  def __exit__(self, *_) -> None:
    self._ended.set()
    self._thread.join()

  @property
  def megabytes(self) -> float:
    """Beyond what there was before; NaN where /proc does not tell."""
    return self._most - self._first

  def _watch(self) -> None:
    while not self._ended.wait(0.01):
      self._most = max(self._most, self._now())

  @staticmethod
  def _now() -> float:
    try:
      return _status('RssAnon')
    except OSError:
      return float('nan')


def memory_maps() -> int:
  """Maps of memory that this process has; 0 where /proc does not tell."""
  try:
    return len(Path('/proc/self/maps').read_text().splitlines())
  except OSError:
    return 0


def peak_megabytes() -> float:
  """Most resident memory that this process had; NaN where /proc is not."""
  try:
    return _status('VmHWM')
  except OSError:
    return float('nan')


def _device_bytes(device: jax.Device, key: str) -> float:
  return (device.memory_stats() or {}).get(key, float('nan'))


def peak_extra_array_megabytes(function: Callable[[], Any]) -> float:
  """Growth of the memory that JAX takes during a call, at its peak.

  On an accelerator that of its arrays, at the highest peak of the process so
  far; on a CPU that of the process.
  """
  device = jax.devices()[0]
  if device.platform == 'cpu':
    return peak_extra_megabytes(function)
  before = _device_bytes(device, 'bytes_in_use')
  function()
  return (_device_bytes(device, 'peak_bytes_in_use') - before) / 2**20


def peak_extra_megabytes(function: Callable[[], Any]) -> float:
  """Growth of the resident memory during a call, at its peak; NaN elsewhere."""
  try:
    Path('/proc/self/clear_refs').write_text('5')  # forget the peak so far
    before = _status('VmRSS')
  except OSError:
    return float('nan')
  function()
  return max(_status('VmHWM') - before, 0.0)


def planned_megabytes(compiled: jax.stages.Compiled) -> float:
  """MiB that XLA plans for intermediate arrays; NaN where it does not tell."""
  analysis = compiled.memory_analysis()
  return analysis.temp_size_in_bytes / 2**20 if analysis else float('nan')


def check_side(kind: str, side: int) -> None:
  """Raises InputError unless `images` has images of this side."""
  if kind == 'photo' and side > PHOTO_SIDE:
    raise InputError(
      f'side {side}: the photograph has {PHOTO_SIDE} pixels a side; give a '
      'smaller size'
    )


def images(kind: str, size: int, batch: int) -> tuple[np.ndarray, np.ndarray]:
  """A pair of images to compare, [B, size, size, 3] float32 in [0, 1].

  Args:
    kind: 'photo', crops of a photograph and the same with noise of standard
      deviation 0.05; or 'noise', two draws of uniform noise.
    size: side.
    batch: number of pairs.

  Raises:
    InputError: if the photograph is smaller.
  """
  check_side(kind, size)
  rng = np.random.default_rng(0)
  shape = (batch, size, size, 3)
  if kind == 'noise':
    pred, target = rng.uniform(size=(2, *shape)).astype(np.float32)
    return pred, target
  photo = skimage.data.astronaut() / 255
  room = np.array(photo.shape[:2]) - size
  corners = [(0, min(100, room[1]))]
  corners += [tuple(rng.integers(room + 1)) for _ in range(batch - 1)]
  crops = [photo[y : y + size, x : x + size] for y, x in corners]
  clean = np.stack(crops)
  noisy = np.clip(clean + rng.normal(0, 0.05, shape), 0, 1)
  return clean.astype(np.float32), noisy.astype(np.float32)


def machine() -> dict[str, Any]:
  """What the figures were taken on."""
  device = jax.devices()[0]
  return {
    'platform': device.platform,
    'device': device.device_kind,
    'devices': jax.device_count(),
    'python': platform.python_version(),
    'jax': jax.__version__,
  }
