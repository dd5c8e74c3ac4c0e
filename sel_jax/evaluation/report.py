"""Rows of figures as a summary, a table and JSON.

Contract: nothing is averaged away: means come with their spread and number of
images; a value that is not finite is null in JSON.
"""

from collections.abc import Sequence
import json
import math
from pathlib import Path

import numpy as np

from sel_jax import files

_COLUMNS = (
  ('psnr', 'PSNR', '{:.2f}'),
  ('ssim', 'SSIM', '{:.4f}'),
  ('psnr_gt_mean', 'PSNR*', '{:.2f}'),
  ('ssim_gt_mean', 'SSIM*', '{:.4f}'),
  ('seconds', 'seconds', '{:.1f}'),
)


def summarize(rows: Sequence[dict]) -> dict[str, dict[str, float]]:
  """Name -> {'mean', 'std'} over the rows, for each metric."""
  summary = {}
  for key, _, _ in _COLUMNS:
    values = np.array([row[key] for row in rows], np.float64)
    finite = values[np.isfinite(values)]
    mean = float(finite.mean()) if finite.size else math.nan
    std = float(finite.std()) if finite.size else math.nan
    summary[key] = {'mean': mean, 'std': std}
  return summary


def format_table(rows: Sequence[dict], heading: str) -> str:
  """A plain-text table: every image, then mean and standard deviation."""
  summary = summarize(rows)
  width = max(12, *(len(row['name']) for row in rows))

  def line(name, values):
    cells = [
      form.format(value).rjust(9)
      for value, (_, _, form) in zip(values, _COLUMNS, strict=True)
    ]
    return name.ljust(width) + ''.join(cells)

  titles = ''.join(title.rjust(9) for _, title, _ in _COLUMNS)
  keys = [key for key, _, _ in _COLUMNS]
  lines = [heading, 'image'.ljust(width) + titles]
  lines += [line(row['name'], [row[k] for k in keys]) for row in rows]
  lines.append('-' * len(lines[1]))
  for part in ('mean', 'std'):
    lines.append(line(part, [summary[k][part] for k in keys]))
  lines.append(
    '* GT-mean: rescaled by the ground truth, not comparable to plain'
  )
  return '\n'.join(lines)


def _jsonable(value):
  if isinstance(value, dict):
    return {k: _jsonable(v) for k, v in value.items()}
  if isinstance(value, list | tuple):
    return [_jsonable(v) for v in value]
  if isinstance(value, float) and not math.isfinite(value):
    return None
  return value


def write_json(path: str | Path, content: dict) -> None:
  """Writes JSON whole or not at all.

  Raises:
    InputError: if the file cannot be written.
  """
  with files.replacing(path) as part:
    part.write_text(json.dumps(_jsonable(content), indent=2) + '\n')
