"""Restores a split and measures every image.

Contract: full images, rounded to 8 bits; plain, GT-mean and exposure-given
figures side by side.
"""

from collections.abc import Hashable
from collections.abc import Iterable
from collections.abc import Sequence
import functools
import logging
from pathlib import Path
import time
from typing import Protocol
from typing import runtime_checkable

import numpy as np

from sel_jax.arrays import Rgb8
from sel_jax.arrays import Rgbs
from sel_jax.data import folders
from sel_jax.data.sequences import Pair
from sel_jax.data.sequences import Pairs
from sel_jax.data.sequences import PairSource
from sel_jax.errors import InputError
from sel_jax.evaluation import metrics
from sel_jax.images import codec

_log = logging.getLogger(__name__)

Row = dict[str, str | float]


@runtime_checkable
class Restores(Protocol):
  """What restores photographs, such as an `Enhancer`."""

  @property
  def at_once(self) -> int:
    """Photographs that are best given together."""

  def plan(self, sizes: Iterable[tuple[int, int]]) -> list[Hashable]:
    """Is told the heights and widths of all; what each is restored with."""

  @property
  def takes_exposure(self) -> bool:
    """Whether it can be told how bright the result is to be."""

  def many(
    self, images: Rgbs, *, exposures: Sequence[float] | None = None
  ) -> Rgbs:
    """Low images [H, W, 3], float32 in [0, 1] -> restored, in order."""


@runtime_checkable
class OnImage(Protocol):
  """Is called after each photograph."""

  def __call__(
    self,
    name: str,
    *,
    low: Rgb8,
    restored: Rgb8,
    clean: Rgb8 | None,
  ) -> None:
    """Takes the pair's name and its images, [H, W, 3] uint8."""


def measure(
  *,
  restored: Rgb8,
  clean: Rgb8,
  names: Sequence[str] = metrics.BASIC,
  matched: Sequence[str] | None = None,
) -> dict[str, float]:
  """Metrics of one restored image, plain and with GT-mean.

  Args:
    restored: [H, W, 3] uint8.
    clean: the same shape.
    names: rows of `metrics.METRICS`.
    matched: those that are measured with GT-mean too; None is all.

  Returns:
    name -> value; GT-mean rows end in '_gt_mean'.
  """
  find = {name: metrics.METRICS[name].function for name in names}
  values = {n: f(restored=restored, clean=clean) for n, f in find.items()}
  restored = metrics.match_gt_mean(restored=restored, clean=clean)
  for name in names if matched is None else matched:
    values[f'{name}_gt_mean'] = find[name](restored=restored, clean=clean)
  return values


def has_clean(pairs: PairSource) -> bool:
  """Whether there are clean images to measure against."""
  return not isinstance(pairs, Pairs) or pairs.has_clean


def _figures(
  names: Sequence[str],
  *,
  restored: Rgb8,
  low: Rgb8,
  clean: Rgb8 | None,
  matched: Sequence[str] | None = None,
) -> dict[str, float]:
  """As `measure`; where there is no clean image, of `metrics.UNPAIRED`."""
  if clean is not None:
    return measure(restored=restored, clean=clean, names=names, matched=matched)
  find = {name: metrics.UNPAIRED[name].function for name in names}
  return {n: f(restored=restored, low=low) for n, f in find.items()}


def _in_8_bits(pair: Pair, paired: bool) -> tuple[Rgb8, Rgb8 | None]:
  """Low and clean, as they are measured and shown."""
  images = (pair.low, pair.clean) if paired else (pair.low,)
  low, *clean = (codec.to_uint8(codec.to_float(image)) for image in images)
  return low, clean[0] if clean else None


def chosen(count: int, limit: int) -> list[int]:
  """Indices of `limit` of `count` images, evenly spread; 0 is all."""
  size = min(limit, count) if limit else count
  return [int(i) for i in np.linspace(0, count - 1, size).round()]


def _size(pairs: PairSource, index: int) -> tuple[int, int]:
  if isinstance(pairs, Pairs):
    return pairs.size(index)
  return pairs[index].size


@functools.cache  # once, though a run validates many times
def _tell(sizes: int, programs: int) -> None:
  if programs < sizes:
    _log.info(
      f'photographs of {sizes} sizes are padded, so that they share {programs} '
      'compiled programs; each is restored as it is alone'
    )


def _given(
  restorer: Restores, group: Sequence[Pair], lows: Rgbs
) -> Sequence[Rgb8 | None]:
  """Restored with the exposure given: told the mean of the clean image."""
  if not restorer.takes_exposure:
    return [None] * len(group)
  means = [codec.mean_intensity(pair.clean) for pair in group]
  return [codec.to_uint8(x) for x in restorer.many(lows, exposures=means)]


def evaluate(
  restorer: Restores,
  pairs: PairSource,
  *,
  names: Sequence[str] = metrics.BASIC,
  matched: Sequence[str] | None = None,
  limit: int = 0,
  share: tuple[int, int] = (0, 1),
  on_image: OnImage | None = None,
) -> list[Row]:
  """Restores photographs and measures them against the clean ones.

  Args:
    restorer: restores `restorer.at_once` photographs at a time.
    pairs: what `open_pairs` gives.
    names: rows of `metrics.METRICS`; of `metrics.UNPAIRED` where there is no
      clean image.
    matched: those that are measured with GT-mean too; None is all.
    limit: how many, evenly spread over the split; 0 is all.
    share: which of how many processes share the work: this one takes
      photographs share[0], share[0] + share[1], ...
    on_image: called after each photograph.

  Returns:
    A row per image of this process: 'name', the metrics, 'seconds'. Where the
    restorer takes the exposure also metrics that end in '_given': it was told
    the mean of the clean photograph.
  """
  mine = chosen(len(pairs), limit)[share[0] :: share[1]]
  sizes = [_size(pairs, index) for index in mine]
  _tell(len(set(sizes)), len(set(restorer.plan(sizes))))
  rows, paired = [], has_clean(pairs)
  for start in range(0, len(mine), restorer.at_once):
    group = [pairs[i] for i in mine[start : start + restorer.at_once]]
    lows = [codec.to_float(pair.low) for pair in group]
    begin = time.perf_counter()
    results = restorer.many(lows)
    seconds = (time.perf_counter() - begin) / len(group)
    given = _given(restorer, group, lows) if paired else [None] * len(group)
    for pair, result, told in zip(group, results, given, strict=True):
      restored, (low, clean) = codec.to_uint8(result), _in_8_bits(pair, paired)
      values = _figures(
        names, restored=restored, low=low, clean=clean, matched=matched
      )
      if told is not None and clean is not None:
        told = measure(restored=told, clean=clean, names=names, matched=())
        values |= {f'{name}_given': value for name, value in told.items()}
      rows.append({'name': pair.name, **values, 'seconds': seconds})
      if on_image:
        on_image(pair.name, low=low, restored=restored, clean=clean)
  return rows


def evaluate_outputs(
  folder: str | Path,
  pairs: PairSource,
  *,
  names: Sequence[str] = metrics.BASIC,
  on_image: OnImage | None = None,
) -> list[Row]:
  """Measures outputs that any method saved, by the same protocol.

  A file belongs to the pair of the same stem, whatever its format; LOL-v2's
  'low00690.png' to its pair 00690.

  Args:
    folder: images, named as the pairs.
    pairs: what `open_pairs` gives.
    names: the metrics, those of `evaluate`.
    on_image: called after each photograph, as in `evaluate`.

  Returns:
    A row per image: 'name' and the metrics.

  Raises:
    InputError: for an output that is missing, unreadable or of another size.
  """
  folder = Path(folder)
  if not folder.is_dir():
    raise InputError(f'{folder}: no such folder; check the path')
  images = folders.list_images(folder)
  by_stem = {folders.key_of(path): path for path in images}
  by_stem |= {path.stem: path for path in images}
  rows, paired = [], has_clean(pairs)
  for pair in pairs:
    if pair.name not in by_stem:
      raise InputError(
        f"{folder}: no output for pair '{pair.name}' (looked for "
        f'{pair.name}.png and so on among {len(by_stem)} images); save one '
        'for each pair, named as it'
      )
    path = by_stem[pair.name]
    restored = codec.to_uint8(codec.to_float(codec.read_image(path)))
    low, clean = _in_8_bits(pair, paired)
    other = low if clean is None else clean
    if restored.shape != other.shape:
      sizes = [f'{x.shape[1]}x{x.shape[0]}' for x in (restored, other)]
      whose = 'the photograph' if clean is None else 'its clean image'
      raise InputError(
        f'{path}: is {sizes[0]} and {whose} {sizes[1]}; save whole outputs'
      )
    values = _figures(names, restored=restored, low=low, clean=clean)
    rows.append({'name': pair.name, **values})
    if on_image:
      on_image(pair.name, low=low, restored=restored, clean=clean)
  return rows
