"""How validation went over the parts of a training run, as one picture.

Contract: reads the log of a run, or of several parts after one another, whose
lines then say 'part'; updates are counted on from part to part. Lines without a
figure are passed over.
"""

from collections.abc import Sequence
import dataclasses
import json
from pathlib import Path
from typing import Any

from benchmarks.lib import rows
from sel_jax import files
from sel_jax.errors import InputError

_VALIDATED = 'val/'
# Figures that are drawn, where there are any -> what the axis says.
FIGURES = {
  'psnr_given': 'PSNR, exposure given, dB',
  'psnr_gt_mean': 'PSNR, GT-mean, dB',
  'ssim': 'SSIM',
}
# Inches of the picture's width, and of each figure's height.
_WIDE, _HIGH = 7.0, 1.7


@dataclasses.dataclass(frozen=True)
class Part:
  """One part of a training run.

  Attributes:
    name: as the log calls it; '' if it does not.
    first: updates before it.
    last: updates after it.
    validated: update, counted over all parts -> figures by name.
  """

  name: str
  first: int
  last: int
  validated: dict[int, dict[str, float]]

  def row(self) -> rows.Row:
    """Its updates and its last figures."""
    found = self.validated[max(self.validated)] if self.validated else {}
    return {'part': self.name, 'updates': self.last - self.first} | {
      name: found[name] for name in FIGURES if name in found
    }


def read(path: Path) -> list[Part]:
  """The parts of a log, in order.

  Raises:
    InputError: if it cannot be read, is no log, or nothing was validated.
  """
  try:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    names = list(dict.fromkeys(line.get('part', '') for line in lines))
    parts, first = [], 0
    for name in names:
      mine = [line for line in lines if line.get('part', '') == name]
      parts.append(_part(name, first, mine))
      first = parts[-1].last
  except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
    raise InputError(
      f'{path}: no log of a training run; give the log.jsonl of one'
    ) from error
  if not any(part.validated for part in parts):
    raise InputError(f'{path}: has no validation to draw')
  return parts


def _part(name: str, first: int, lines: Sequence[dict[str, Any]]) -> Part:
  validated: dict[int, dict[str, float]] = {}
  for line in lines:
    found = {
      key.removeprefix(_VALIDATED): float(value)
      for key, value in line.items()
      if key.startswith(_VALIDATED)
    }
    if found:
      validated[first + line['step']] = found
  return Part(name, first, first + max(x['step'] for x in lines), validated)


def draw(parts: Sequence[Part], path: Path) -> None:
  """Writes the picture: a figure above the other, updates to the right.

  Args:
    parts: what `read` gives.
    path: an .svg file.
  """
  import matplotlib.figure  # takes a second

  # Text stays text, and the same figures give the same file.
  style = {'svg.fonttype': 'none', 'svg.hashsalt': 'sel_jax'}
  shown = [n for n in FIGURES if any(n in row for row in map(Part.row, parts))]
  size = _WIDE, _HIGH * len(shown) + 0.4
  figure = matplotlib.figure.Figure(figsize=size, layout='constrained')
  axes = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
  for axis, name in zip(axes, shown):
    for number, part in enumerate(parts):
      points = [(at, x[name]) for at, x in part.validated.items() if name in x]
      if points:
        axis.plot(*zip(*points), 'o-', ms=3, color=f'C{number}')
      if number:
        axis.axvline(part.first, color='0.8', lw=1, zorder=0)
    axis.set_title(FIGURES[name], fontsize='small', loc='left')
    axis.tick_params(labelsize='small')
    axis.spines[['top', 'right']].set_visible(False)
  for number, part in enumerate(parts):
    middle = (part.first + part.last) / 2
    axes[0].annotate(
      part.name,
      (middle, 1.16),  # above the title
      xycoords=('data', 'axes fraction'),
      ha='center',
      fontsize='small',
      color=f'C{number}',
    )
  axes[-1].set_xlim(0, parts[-1].last * 1.02)
  axes[-1].set_xlabel('updates', fontsize='small')
  with files.replacing(path) as whole, matplotlib.rc_context(style):
    figure.savefig(whole, metadata={'Date': None})
