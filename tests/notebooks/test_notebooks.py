"""The notebooks' sources run from the first line to the last.

Run: make check-notebooks
"""

import json
import os
import subprocess
import sys
import time

from helpers.commands import ROOT
import pytest

SOURCES = sorted(ROOT.glob('notebooks/[0-9]_*.py'))


def _cells(source):
  """The code cells of a source in the percent format."""
  cells, code = [], False
  for line in source.read_text().splitlines():
    if line.startswith('# %%'):
      code = '[markdown]' not in line
      if code:
        cells.append([])
    elif code:
      cells[-1].append(line)
  return ['\n'.join(cell).strip() for cell in cells]


@pytest.mark.parametrize('source', SOURCES, ids=lambda path: path.stem)
def test_a_notebook_is_written_from_its_source_with_pictures(source):
  written = source.with_suffix('.ipynb')
  assert written.exists(), f'make notebooks writes {written.name}'
  assert written.stat().st_size < 600_000
  cells = json.loads(written.read_text())['cells']
  code = [cell for cell in cells if cell['cell_type'] == 'code']
  assert [''.join(cell['source']).strip() for cell in code] == _cells(source), (
    f'make notebooks: {written.name} is older than its source'
  )
  outputs = [output for cell in code for output in cell['outputs']]
  assert not [o for o in outputs if o['output_type'] == 'error']
  assert any('image/png' in output.get('data', {}) for output in outputs)


def test_there_are_notebooks():
  assert len(SOURCES) == 6


@pytest.mark.fence
@pytest.mark.parametrize('source', SOURCES, ids=lambda path: path.stem)
def test_a_notebook_runs_in_three_minutes(source):
  pytest.importorskip('matplotlib', reason='make check-notebooks installs it')
  start = time.monotonic()
  environment = dict(os.environ, PYTHONPATH=str(ROOT), MPLBACKEND='agg')
  # The tests' flags compile quickly; a notebook computes much more than that.
  environment.pop('XLA_FLAGS', None)
  done = subprocess.run(
    [sys.executable, source],
    cwd=ROOT,
    env=environment,
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr
  assert time.monotonic() - start < 180
