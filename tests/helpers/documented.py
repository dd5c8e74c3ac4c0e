"""Figures as the documentation gives them, so that tests hold it to them."""

from pathlib import Path
import re

from helpers.commands import ROOT

Figures = list[tuple[float, float | None]]


def row(page: str, title: str) -> Figures:
  """(mean, standard deviation or None) of each cell of a table's row.

  Args:
    page: path of a Markdown page inside the repository.
    title: how the row's first cell begins.

  Returns:
    The cells after the first, those without a number left out.
  """
  path = Path(ROOT, page)
  lines = path.read_text().splitlines() if path.is_file() else []
  found = [line for line in lines if line.startswith(f'| {title}')]
  assert len(found) == 1, (
    f'{page}: {len(found)} table rows begin with "| {title}"; where the table '
    'moved to another page or row, name that here'
  )
  cells = found[0].strip().strip('|').split('|')[1:]
  numbers = (re.findall(r'\d+(?:\.\d+)?', cell) for cell in cells)
  return [
    (float(cell[0]), float(cell[1]) if len(cell) > 1 else None)
    for cell in numbers
    if cell
  ]
