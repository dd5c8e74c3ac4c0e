"""Processes that share a folder, as tests start them: no JAX in them.

python -m helpers.sharing lease FOLDER ROUNDS
python -m helpers.sharing enhance PHOTOS OUTPUT LOG PAUSE OVERWRITE
"""

import os
from pathlib import Path
import subprocess
import sys
import time

import numpy as np

from helpers.commands import ROOT
from sel_jax import leases
from sel_jax.inference import bulk
from sel_jax.inference import listing
from sel_jax.inference.claims import Claims


def start(*args) -> subprocess.Popen:
  """One of the commands above, in a process of its own."""
  path = os.pathsep.join([str(ROOT), str(ROOT / 'tests')])
  return subprocess.Popen(
    [sys.executable, '-m', 'helpers.sharing', *map(str, args)],
    env=os.environ | {'PYTHONPATH': path},
  )


def take_turns(folder: Path, rounds: int) -> None:
  """Takes a lease again and again; who holds it has a file of its own."""
  for _ in range(rounds):
    with leases.held(folder / '.lease', renew=0.05, lost=30, look=0.002):
      mark = os.open(folder / 'mark', os.O_CREAT | os.O_EXCL)
      os.close(mark)
      os.unlink(folder / 'mark')


class Notes:
  """Stands in for a model; notes what it restores, and takes its time."""

  at_once = 1

  def __init__(self, log: Path | None = None, pause: float = 0.0):
    self._log, self._pause = log, pause

  def plan(self, sizes):
    return [0 for _ in sizes]

  def many(self, images, **_):
    raise AssertionError('one at a time')

  def __call__(self, image, *, exposure, ev, strength, on_progress):
    value = round(float(image[0, 0, 0]) * 255)
    if self._log:
      with open(self._log, 'a') as file:
        file.write(f'{os.getpid()} {value}\n')
    time.sleep(self._pause)
    return np.clip(image * 2, 0, 1)


def enhance(
  photos: Path, output: Path, log: Path | None, pause: float, overwrite: bool
) -> None:
  """As the command does it."""
  jobs = listing.collect([str(photos)], output)
  output.mkdir(exist_ok=True)
  with Claims(output, jobs, renew=0.1) as claims:
    outcomes = bulk.enhance_files(
      Notes(log, pause), jobs, overwrite=overwrite, claims=claims
    )
    assert {o.state for o in outcomes} <= {'written', 'kept'}


if __name__ == '__main__':
  command, first, *rest = sys.argv[1:]
  if command == 'lease':
    take_turns(Path(first), int(rest[0]))
  else:
    output, log, pause, again = rest
    enhance(Path(first), Path(output), Path(log), float(pause), again == 'True')
