"""Restores a split and measures every image.

Contract: full images, rounded to 8 bits, plain and GT-mean rows side by side;
the plain mean PSNR alone chooses checkpoints.
"""

from collections.abc import Callable
from collections.abc import Sequence
import time

import numpy as np

from sel_jax.data import images
from sel_jax.data.pipeline import float_pair
from sel_jax.data.pipeline import Photo
from sel_jax.evaluation import metrics

Row = dict[str, str | float]


def measure(output: np.ndarray, truth: np.ndarray) -> dict[str, float]:
  """Every metric of one output, plain and with GT-mean.

  Args:
    output: [H, W, 3] uint8.
    truth: the same shape.

  Returns:
    name -> value; GT-mean rows end in '_gt_mean'.
  """
  matched = metrics.match_gt_mean(output, truth)
  values = {n: f(output, truth) for n, f in metrics.METRICS.items()}
  for name, metric in metrics.METRICS.items():
    values[f'{name}_gt_mean'] = metric(matched, truth)
  return values


def evaluate(
  restore: Callable[[np.ndarray], np.ndarray],
  photos: Sequence[Photo],
  *,
  limit: int = 0,
  on_image: Callable[[str, np.ndarray, np.ndarray, np.ndarray], None]
  | None = None,
) -> list[Row]:
  """Restores photographs and measures them against their targets.

  Args:
    restore: low [H, W, 3] float32 in [0, 1] -> restored.
    photos: pairs.
    limit: how many, evenly spread over the split; 0 is all.
    on_image: called with (name, low, output, truth), uint8, after each.

  Returns:
    A row an image: 'name', the metrics, 'seconds'.
  """
  count = min(limit, len(photos)) if limit else len(photos)
  rows = []
  for index in np.linspace(0, len(photos) - 1, count).round().astype(int):
    photo = photos[int(index)]
    low, target = float_pair(photo)
    start = time.perf_counter()
    output = images.to_uint8(restore(low))
    seconds = time.perf_counter() - start
    truth = images.to_uint8(target)
    rows.append(
      {'name': photo.name, **measure(output, truth), 'seconds': seconds}
    )
    if on_image:
      on_image(photo.name, images.to_uint8(low), output, truth)
  return rows
