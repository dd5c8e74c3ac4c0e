"""The notebooks' sources run from the first line to the last.

Run: make notebooks test-slow
"""

import os
import subprocess
import sys
import time

from helpers.commands import ROOT
import pytest

SOURCES = sorted(ROOT.glob('notebooks/[0-9]_*.py'))


def test_every_source_is_written_with_its_outputs():
  assert len(SOURCES) == 5
  for source in SOURCES:
    written = source.with_suffix('.ipynb')
    assert written.exists(), f'make notebooks writes {written.name}'
    assert written.stat().st_size < 600_000
    assert '"image/png"' in written.read_text()


@pytest.mark.slow
@pytest.mark.parametrize('source', SOURCES, ids=lambda path: path.stem)
def test_a_notebook_runs_in_two_minutes(source):
  pytest.importorskip('matplotlib', reason='make notebooks installs it')
  start = time.monotonic()
  done = subprocess.run(
    [sys.executable, source],
    cwd=ROOT,
    env=dict(os.environ, PYTHONPATH=str(ROOT), MPLBACKEND='agg'),
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr
  assert time.monotonic() - start < 120
