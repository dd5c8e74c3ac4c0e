"""Is a folder restored as if nobody had been killed?

Restores a folder of small photographs, some of them broken, once in peace; then
again and again by several processes that share the work, one of which is killed
at a random moment and started again. Each time that the folder is done, its
files are compared with those of the first time, byte by byte, and it is looked
at whether anything was left behind. Seeded, and bounded in time.

  python -m benchmarks.enhance_faults --kills=200 --processes=3 --warm
"""

import argparse
from collections.abc import Sequence
import os
from pathlib import Path
import random
import signal
import tempfile
import time

import numpy as np

from benchmarks.lib import front
from benchmarks.lib import rows
from benchmarks.lib import runs
from sel_jax.images import codec

COLUMNS = {'kill': 'd', 'round': 'd', 'after': '.2f', 'done': 'd'}
# One in so many photographs is broken.
_BROKEN = 10
_QUIET = {'JAX_PLATFORMS': 'cpu'}


def _make_photographs(folder: Path, count: int) -> None:
  rng = np.random.default_rng(0)
  folder.mkdir()
  for n in range(count):
    path = folder / f'{n:05}.png'
    image = rng.integers(0, 40, (32, 32, 3), dtype=np.uint8)
    codec.write_image(path, image)
    if n % _BROKEN == 0:
      path.write_bytes(path.read_bytes()[:200])


def _contents(folder: Path) -> dict[str, bytes]:
  """Every file of a folder, hidden ones too."""
  return {
    str(path.relative_to(folder)): path.read_bytes()
    for path in folder.rglob('*')
    if path.is_file()
  }


class _Folder:
  """Processes that restore one folder."""

  def __init__(self, args: argparse.Namespace, inputs: Path, output: Path):
    self._args, self._output = args, output
    self._arguments = [
      str(inputs),
      f'--output={output}',
      *([f'--checkpoint={args.checkpoint}'] if args.checkpoint else []),
    ]
    self.started: list[runs.Running] = []

  def start(self) -> None:
    """One more process."""
    text = self._output.with_name(f'{self._output.name}.txt')
    self.started.append(
      runs.start(
        'experiments.enhance',
        self._arguments,
        _QUIET | {'XLA_FLAGS': os.environ.get('XLA_FLAGS', '')},
        text,
        is_warm=self._args.warm,
      )
    )

  def done(self) -> int:
    """How many results there are."""
    return len(list(self._output.glob('*.png')))

  def kill(self, rng: random.Random) -> bool:
    """Kills a process and starts another; not if it had come to its end."""
    victim = self.started.pop(rng.randrange(len(self.started)))
    is_alive = victim.poll() is None
    victim.send_signal(signal.SIGKILL)
    victim.wait(60)
    if is_alive:
      self.start()
    return is_alive

  def wait(self, seconds: float) -> None:
    """Until all have come to their end.

    Raises:
      RuntimeError: if one says anything but that photographs were broken.
    """
    statuses = [process.wait(seconds) for process in self.started]
    if set(statuses) - {2}:
      raise RuntimeError(f'processes left with {statuses}')

  def end(self) -> None:
    """Leaves nobody behind."""
    for process in self.started:
      process.kill()


def _round(
  args: argparse.Namespace,
  folder: _Folder,
  rng: random.Random,
  found: list[rows.Row],
  number: int,
) -> None:
  """Restores the folder once, with kills on the way."""
  try:
    for _ in range(args.processes):
      folder.start()
    while len(found) < args.kills:
      begin = time.monotonic()
      time.sleep(rng.uniform(0, args.pause))
      if not folder.kill(rng):
        break
      found.append(
        {
          'kill': len(found) + 1,
          'round': number,
          'after': time.monotonic() - begin,
          'done': folder.done(),
        }
      )
    if not folder.started:  # the last one had come to its end
      folder.start()
    folder.wait(600)
  finally:
    folder.end()


def _run(args: argparse.Namespace, found: list[rows.Row]) -> None:
  deadline = time.monotonic() + 60 * args.minutes
  rng = random.Random(args.seed)
  with tempfile.TemporaryDirectory() as name:
    inputs, whole = Path(name) / 'photographs', Path(name) / 'whole'
    _make_photographs(inputs, args.photographs)
    peaceful = _Folder(args, inputs, whole)
    peaceful.start()
    peaceful.wait(600)
    wanted, number = _contents(whole), 0
    while len(found) < args.kills:
      if time.monotonic() > deadline:
        raise TimeoutError('the time is up')
      number += 1
      output = Path(name) / f'round{number}'
      _round(args, _Folder(args, inputs, output), rng, found, number)
      there = _contents(output)
      if there != wanted:
        names = sorted(
          k for k in there.keys() | wanted if there.get(k) != wanted.get(k)
        )
        raise RuntimeError(f'round {number} differs in {names}')


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
  parser = front.parser(__spec__.name, __doc__)

  def number(name, value, text, least=1, kind=int):
    read = front.number(least, kind)
    parser.add_argument(f'--{name}', type=read, default=value, help=text)

  parser.add_argument('--checkpoint', help='the model; the shipped one if none')
  number('kills', 30, 'how often a process is killed')
  number('processes', 2, 'that share the folder')
  number('photographs', 60, 'in the folder')
  number('seed', 0, 'of the moments', 0)
  number('pause', 6.0, 'latest moment of a kill, in seconds', 0, float)
  number('minutes', 40, 'time after which it gives up', 0, float)
  parser.switch('--warm', help='processes start with all imported')
  return front.parse(parser, arguments)


def main(arguments: Sequence[str] | None = None) -> int:
  """Prints a table of kills and the verdict."""
  args = _parse(arguments)
  if args.dry_run:
    return rows.preview([{'kill': n + 1} for n in range(args.kills)])
  found: list[rows.Row] = []
  begin = time.monotonic()
  end = rows.attempt({}, lambda: _run(args, found) or {})
  minutes = (time.monotonic() - begin) / 60
  note = f'{len(found)} kills in {minutes:.1f} minutes; every folder the same'
  if 'error' in end:
    note = f'{len(found)} kills; not shown to be the same'
    found.append({'kills': len(found)} | end)
  return rows.report(args, (found, COLUMNS), note=note)


if __name__ == '__main__':
  front.run(main)
