"""The rows of a table such as `KERNELS`, listed where the table is documented.

Contract: names come from the table, what they mean from the first line of a
row's docstring if it has one of its own.
"""

from collections.abc import Mapping
import inspect
from typing import Any

import plain_docstrings


def setup(app: Any) -> dict[str, bool]:
  """After Napoleon, so that rows follow what the page says."""
  app.connect('autodoc-process-docstring', _list_rows, priority=600)
  return {'parallel_read_safe': True}


def _list_rows(app, what, name, obj, options, lines: list[str]) -> None:
  del app, name, options
  if what != 'data':
    return
  lines.clear()  # of the type: what a dict is stands elsewhere
  if isinstance(obj, Mapping):
    lines += [_row(key, value) for key, value in obj.items()]
    lines.append('')


def _row(key: str, value: Any) -> str:
  described = inspect.isclass(value) or inspect.isfunction(value)
  text = (inspect.getdoc(value) or '') if described else ''
  first = ' '.join(text.partition('\n\n')[0].split())
  return f'- ``{key}``' + (
    f': {plain_docstrings.inline(first)}' if first else ''
  )
