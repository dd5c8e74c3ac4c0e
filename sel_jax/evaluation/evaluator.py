"""Restores a split and measures every image.

Contract: full images, rounded to 8 bits, plain and GT-mean rows side by side;
the plain mean PSNR alone chooses checkpoints.
"""

from collections.abc import Callable
from collections.abc import Sequence
from pathlib import Path
import time

import numpy as np

from sel_jax.data import images
from sel_jax.data import sources
from sel_jax.data.photos import Photo
from sel_jax.errors import InputError
from sel_jax.evaluation import metrics

Row = dict[str, str | float]


def measure(
  output: np.ndarray,
  truth: np.ndarray,
  *,
  names: Sequence[str] = metrics.BASIC,
) -> dict[str, float]:
  """Metrics of one output, plain and with GT-mean.

  Args:
    output: [H, W, 3] uint8.
    truth: the same shape.
    names: of `metrics.METRICS`.

  Returns:
    name -> value; GT-mean rows end in '_gt_mean'.
  """
  matched = metrics.match_gt_mean(output, truth)
  found = [metrics.METRICS[name].function for name in names]
  values = {n: f(output, truth) for n, f in zip(names, found, strict=True)}
  for name, function in zip(names, found, strict=True):
    values[f'{name}_gt_mean'] = function(matched, truth)
  return values


def chosen(count: int, limit: int) -> list[int]:
  """Indices of `limit` of `count` images, evenly spread; 0 is all."""
  size = min(limit, count) if limit else count
  return [int(i) for i in np.linspace(0, count - 1, size).round()]


def evaluate(
  restore: Callable[[list[np.ndarray]], list[np.ndarray]],
  photos: Sequence[Photo],
  *,
  names: Sequence[str] = metrics.BASIC,
  limit: int = 0,
  at_once: int = 1,
  share: tuple[int, int] = (0, 1),
  on_image: Callable[[str, np.ndarray, np.ndarray, np.ndarray], None]
  | None = None,
) -> list[Row]:
  """Restores photographs and measures them against their targets.

  Args:
    restore: low images [H, W, 3], float32 in [0, 1] -> restored, in order.
    photos: pairs.
    names: of `metrics.METRICS`.
    limit: how many, evenly spread over the split; 0 is all.
    at_once: images given to `restore` together.
    share: which of how many processes share the work: this one takes
      photographs share[0], share[0] + share[1], ...
    on_image: called with (name, low, output, truth), uint8, after each.

  Returns:
    A row an image of this process: 'name', the metrics, 'seconds'.
  """
  mine = chosen(len(photos), limit)[share[0] :: share[1]]
  rows = []
  for start in range(0, len(mine), at_once):
    group = [photos[index] for index in mine[start : start + at_once]]
    lows = [images.to_float(photo.low) for photo in group]
    begin = time.perf_counter()
    outputs = restore(lows)
    seconds = (time.perf_counter() - begin) / len(group)
    for photo, low, output in zip(group, lows, outputs, strict=True):
      output = images.to_uint8(output)
      truth = images.to_uint8(images.to_float(photo.target))
      values = measure(output, truth, names=names)
      rows.append({'name': photo.name, **values, 'seconds': seconds})
      if on_image:
        on_image(photo.name, images.to_uint8(low), output, truth)
  return rows


def evaluate_outputs(
  folder: str | Path,
  photos: Sequence[Photo],
  *,
  names: Sequence[str] = metrics.BASIC,
  on_image: Callable[[str, np.ndarray, np.ndarray, np.ndarray], None]
  | None = None,
) -> list[Row]:
  """Measures outputs that any method saved, by the same protocol.

  A file belongs to the pair of the same stem, whatever its format.

  Args:
    folder: of images, named as the pairs.
    photos: pairs.
    names: of `metrics.METRICS`.
    on_image: as of `evaluate`.

  Returns:
    A row an image: 'name' and the metrics.

  Raises:
    InputError: for an output that is missing, unreadable or of another size.
  """
  folder = Path(folder)
  if not folder.is_dir():
    raise InputError(f'{folder}: no such folder; check the path')
  by_stem = {path.stem: path for path in sources.list_images(folder)}
  rows = []
  for photo in photos:
    if photo.name not in by_stem:
      raise InputError(
        f"{folder}: no output for pair '{photo.name}' (looked for "
        f'{photo.name}.png and so on among {len(by_stem)} images); save one '
        'for each pair, named as it'
      )
    path = by_stem[photo.name]
    output = images.to_uint8(images.to_float(images.read_image(path)))
    truth = images.to_uint8(images.to_float(photo.target))
    if output.shape != truth.shape:
      sizes = [f'{x.shape[1]}x{x.shape[0]}' for x in (output, truth)]
      raise InputError(
        f'{path}: is {sizes[0]} and its target {sizes[1]}; save whole outputs'
      )
    rows.append({'name': photo.name, **measure(output, truth, names=names)})
    if on_image:
      low = images.to_uint8(images.to_float(photo.low))
      on_image(photo.name, low, output, truth)
  return rows
