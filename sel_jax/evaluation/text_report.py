"""Rows of figures as summaries, tables, JSON and CSV.

Contract: nothing is averaged away: means come with their spread, an interval
and the number of images; a value that is not finite is null in JSON.
"""

from collections.abc import Sequence
import csv
import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from sel_jax import files
from sel_jax.evaluation import metrics

GT_MEAN = '_gt_mean'
GIVEN = '_given'
# What marks the title of such a figure.
_MARKS = {'': '', GT_MEAN: '*', GIVEN: '+'}
_RESAMPLES = 10_000


@dataclasses.dataclass(frozen=True)
class Entry:
  """One method, measured on a split.

  Attributes:
    name: the method or checkpoint.
    protocol: how it was measured: data, split, sampler, steps, seed...
    rows: one per image: 'name', metrics, 'seconds'.
    overall: figures of the outputs as a set, such as 'FID'.
  """

  name: str
  protocol: dict[str, Any]
  rows: Sequence[dict]
  overall: dict[str, float] = dataclasses.field(default_factory=dict)

  def heading(self) -> str:
    """Protocol and overall figures on a line."""
    facts = {
      **self.protocol,
      **{name: format(value, '.2f') for name, value in self.overall.items()},
    }
    return ', '.join(f'{name} {value}' for name, value in facts.items())


def plain(key: str) -> str:
  """The metric that a figure is of: the key without its suffix."""
  return key.removesuffix(GT_MEAN).removesuffix(GIVEN)


def column(key: str) -> tuple[str, str]:
  """(title, form) of a figure; GT-mean ones end in '*', given ones in '+'."""
  metric = metrics.known()[plain(key)]
  return metric.title + _MARKS[key.removeprefix(plain(key))], metric.form


def columns(rows: Sequence[dict]) -> dict[str, tuple[str, str]]:
  """Key -> (title, form) of the figures that rows have, plain ones first.

  GT-mean columns end in '*', those with exposure given in '+'.
  """
  keys = set(rows[0]) if rows else set()
  found = {}
  for suffix in _MARKS:
    for name in metrics.known():
      if name + suffix in keys:
        found[name + suffix] = column(name + suffix)
  if 'seconds' in keys:
    found['seconds'] = ('seconds', '.1f')
  return found


def merged(entries: Sequence[Entry]) -> list[dict]:
  """A row with every figure that an entry has, for `columns` and `notes`."""
  keys: dict[str, None] = {}
  for entry in entries:
    keys |= dict.fromkeys(entry.rows[0] if entry.rows else ())
  return [keys]


def bootstrap(
  values: np.ndarray, *, share: float = 0.95, seed: int = 0
) -> tuple[float, float]:
  """Percentile bootstrap interval of the mean over images, or seeds and images.

  Source: Efron and Tibshirani 1993, section 13.3; 10,000 resamples.

  Args:
    values: [N] finite figures of images, or [S, N] of seeds and images, which
      are resampled apart, so that the interval holds for other seeds too.
    share: part of the resampled means that the interval holds.
    seed: the resampling's seed.

  Returns:
    Lower and upper end; NaN for no values.
  """
  if not values.size:
    return math.nan, math.nan
  rng = np.random.default_rng(seed)
  # How often each image, and each seed, is drawn.
  images, *seeds = (
    rng.multinomial(n, np.full(n, 1 / n), _RESAMPLES)
    for n in values.shape[::-1]
  )
  means = images @ values.T / values.shape[-1]
  for counts in seeds:
    means = np.mean(counts * means, axis=1)
  tail = (1 - share) / 2
  low, high = np.quantile(means, [tail, 1 - tail])
  return float(low), float(high)


def summarize(rows: Sequence[dict]) -> dict[str, dict[str, float]]:
  """Key -> figures over the rows, for each metric.

  'mean' and 'std'; 'low' and 'high', the ends of the mean's 95 % interval; and
  'count', the finite values.
  """
  summary = {}
  for key in columns(rows):
    values = np.array([row[key] for row in rows], np.float64)
    finite = values[np.isfinite(values)]
    low, high = bootstrap(finite)
    summary[key] = {
      'mean': float(finite.mean()) if finite.size else math.nan,
      'std': float(finite.std()) if finite.size else math.nan,
      'low': low,
      'high': high,
      'count': int(finite.size),
    }
  return summary


_NIQE = (
  'NIQE: with the parameters of its release, blocks of 96 pixels, luma of '
  'BT.601; other implementations differ by whole points'
)
_NOTES = {
  GT_MEAN: '* GT-mean: rescaled by the ground truth, not comparable to plain',
  GIVEN: '+ exposure given: told the mean of the ground truth',
}


def notes(rows: Sequence[dict]) -> list[str]:
  """What the marks of `columns` mean, a sentence each."""
  ends = tuple(key.removeprefix(plain(key)) for key in columns(rows)
               if key != 'seconds')  # fmt: skip
  found = [text for suffix, text in _NOTES.items() if suffix in ends]
  alone = {'niqe', 'exposure'} <= columns(rows).keys()
  return found + [_NIQE] * alone


def _lines(names: Sequence[str], cells: Sequence[Sequence[str]], titles):
  """Columns as wide as what they hold, numbers to the right."""
  first = max(12, *(len(name) for name in names))
  widths = [
    max(len(part) for part in column) + 2
    for column in zip(titles, *cells, strict=True)
  ]

  def line(name, parts):
    return name.ljust(first) + ''.join(
      part.rjust(width) for part, width in zip(parts, widths, strict=True)
    )

  return [line('', titles)] + [
    line(name, parts) for name, parts in zip(names, cells, strict=True)
  ]


def format_table(rows: Sequence[dict], heading: str) -> str:
  """A plain-text table: every image, then mean, deviation and interval."""
  shown = columns(rows)
  summary = summarize(rows)
  names = [row['name'] for row in rows]
  cells = [
    [format(row[k], form) for k, (_, form) in shown.items()] for row in rows
  ]
  parts = {'mean': 'mean', 'std': 'std', '95 % from': 'low', '95 % to': 'high'}
  for part in parts.values():
    cells.append(
      [format(summary[k][part], form) for k, (_, form) in shown.items()]
    )
  titles = [title for title, _ in shown.values()]
  lines = _lines([*names, *parts], cells, titles)
  lines.insert(1 + len(rows), '-' * len(lines[0]))
  return '\n'.join([heading, *lines, *notes(rows)])


def compare_table(entries: Sequence[Entry]) -> str:
  """A plain-text table: a line an entry, means and their intervals' ends."""
  shown = columns(merged(entries))
  names, cells = [], []
  for entry in entries:
    summary = summarize(entry.rows)
    names += [entry.name, '  95 % interval']
    means, intervals = [], []
    for key, (_, form) in shown.items():
      part = summary.get(key)  # None: it has no such figure
      means.append(format(part['mean'], form) if part else '')
      ends = (
        [format(part[end], form) for end in ('low', 'high')] if part else []
      )
      intervals.append(' - '.join(ends))
    cells += [means, intervals]
  titles = [title for title, _ in shown.values()]
  return '\n'.join([*_lines(names, cells, titles), *notes(merged(entries))])


def content(entries: Sequence[Entry]) -> list[dict[str, Any]]:
  """Entries with their summaries, JSON-like."""
  return [
    {
      'name': entry.name,
      'protocol': entry.protocol,
      'overall': entry.overall,
      'summary': summarize(entry.rows),
      'images': list(entry.rows),
    }
    for entry in entries
  ]


def _jsonable(value):
  if isinstance(value, dict):
    return {k: _jsonable(v) for k, v in value.items()}
  if isinstance(value, list | tuple):
    return [_jsonable(v) for v in value]
  if isinstance(value, float) and not math.isfinite(value):
    return None
  return value


def write_json(path: str | Path, value: Any) -> None:
  """Writes JSON whole or not at all.

  Raises:
    InputError: if the file cannot be written.
  """
  with files.replacing(path) as part:
    part.write_text(json.dumps(_jsonable(value), indent=2) + '\n')


def write_csv(path: str | Path, entries: Sequence[Entry]) -> None:
  """Writes a line per image and entry, whole or not at all.

  Raises:
    InputError: if the file cannot be written.
  """
  keys = list(columns(merged(entries)))
  with files.replacing(path) as part, open(part, 'w', newline='') as file:
    writer = csv.writer(file)
    writer.writerow(['entry', 'image', *keys])
    for entry in entries:
      for row in entry.rows:
        values = [row.get(key, '') for key in keys]
        writer.writerow([entry.name, row['name'], *values])
