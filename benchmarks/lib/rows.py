"""Rows of a benchmark: foretold, taken, shown, saved.

Contract: a case is what is known of a row before it is measured. A case that
fails is a row with its last line of error, and makes the exit status 1; the
others are taken, shown and saved all the same.
"""

import argparse
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import json
import subprocess
import sys
import traceback
from typing import Any

from benchmarks.lib import measure
from sel_jax.evaluation import text_report

Row = dict[str, Any]
# Key -> format, such as '.3f'.
Columns = Mapping[str, str]

# Of the flags: what belongs to the machinery, not to the measurement.
_HIDDEN = ('words', 'module', 'case', 'dry_run', 'json')


def describe(case: Row) -> str:
  """A case, or the case of a failed row, on one line."""
  return ', '.join(f'{k}={v}' for k, v in case.items() if k != 'error')


def preview(cases: Sequence[Row]) -> int:
  """Prints the rows that would be taken, one per line; the exit status."""
  for case in cases:
    print(describe(case))
  return 0


def attempt(case: Row, function: Callable[[], Row]) -> Row:
  """A case with its figures, or with its error; the traceback is on stderr."""
  try:
    return case | function()
  except Exception as error:
    traceback.print_exc()
    lines = str(error).strip().splitlines() or ['']
    return case | {'error': f'{type(error).__name__}: {lines[-1]}'}


def in_child(args: argparse.Namespace, case: Row) -> Row:
  """A case that is measured in a process of its own, see `answer`.

  Args:
    args: what `front.parse` gives; the process gets the same flags.
    case: what to measure.

  Returns:
    The case with its figures, or with the last line of the process's errors.
  """
  command = [sys.executable, '-m', args.module, *args.words]
  command.append(f'--case={json.dumps(case)}')
  done = subprocess.run(command, capture_output=True, text=True, check=False)
  if done.returncode:
    sys.stderr.write(done.stderr)
    lines = done.stderr.strip().splitlines()
    return case | {'error': (lines or [f'exit status {done.returncode}'])[-1]}
  return case | json.loads(done.stdout.splitlines()[-1])


def answer(row: Row) -> int:
  """Tells a row to the process that asked for it; the exit status."""
  print(json.dumps(row))
  return 0


def _show(found: Sequence[Row], columns: Columns) -> None:
  """A Markdown table; columns without any figure are left out."""
  shown = {k: f for k, f in columns.items() if any(k in row for row in found)}
  print('| ' + ' | '.join(shown) + ' |')
  print('|' + ' --- |' * len(shown))
  for row in found:
    cells = [format(row[k], f) if k in row else '' for k, f in shown.items()]
    print('| ' + ' | '.join(cells) + ' |')


def report(
  args: argparse.Namespace,
  *tables: tuple[Sequence[Row], Columns],
  heading: str = '',
  note: str = '',
) -> int:
  """Prints tables, writes --json, and says what failed.

  Args:
    args: what `front.parse` gives.
    *tables: rows and columns of each; a missing figure is left blank.
    heading: above the tables, what was measured.
    note: below them, what follows from the figures.

  Returns:
    The exit status: 1 if a row failed, or a table has none.
  """
  print('\n'.join(filter(None, [str(measure.machine()), heading])))
  for found, columns in tables:
    print()
    _show(found, columns)
  if note:
    print(f'\n{note}')
  every = [row for found, _ in tables for row in found]
  failed = [row for row in every if 'error' in row]
  for row in failed:
    print(f'failed: {describe(row)}: {row["error"]}')
  if args.json:
    given = {k: v for k, v in vars(args).items() if k not in _HIDDEN}
    content = {'machine': measure.machine(), 'arguments': given, 'rows': every}
    text_report.write_json(args.json, content)
  return int(bool(failed) or not all(found for found, _ in tables))
