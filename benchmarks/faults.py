"""Does a run that is killed again and again end as one that never was?

Trains a tiny network once without disturbance; then again, killed at random
moments and started with the same command each time, until it has been killed
often enough and may end. Compares the checksums of the last checkpoints and the
lines of the logs. Seeded, and bounded in time.

  python -m benchmarks.faults --kills=30
  python -m benchmarks.faults --kills=10 --signal=TERM
  python -m benchmarks.faults --kills=5 --processes=2 --heartbeat=10
"""

import argparse
from collections.abc import Sequence
import os
from pathlib import Path
import random
import signal
import tempfile
import time

from benchmarks.lib import front
from benchmarks.lib import rows
from benchmarks.lib import runs

COLUMNS = {
  'kill': 'd',
  'after': '.2f',
  'logged': 'd',
  'resumed at': 'd',
  'status': 's',
}


def _launch(args: argparse.Namespace, folder: Path, name: str) -> runs.Launch:
  settings = {
    'data.batch_size': 2 * args.processes,
    'train.steps': args.steps,
    'train.log_every': 1,
    'train.save_every': args.save_every,
    'train.eval_every': args.steps,
    'parallel.heartbeat': args.heartbeat,
  }
  return runs.Launch(
    folder / 'data',
    folder / name,
    settings,
    processes=args.processes,
    xla_flags=os.environ.get('XLA_FLAGS', ''),
  )


def _steps_logged(launch: runs.Launch) -> int:
  log = launch.workdir / 'log.jsonl'
  return log.read_text().count('\n') if log.exists() else 0


def _wait_for_training(launch, started, deadline: float) -> bool:
  """Until the log has grown or a process has left; whether all are running."""
  before = _steps_logged(launch)
  while time.monotonic() < deadline:
    if any(process.poll() is not None for process in started):
      return False
    if _steps_logged(launch) > before:
      return True
    time.sleep(0.01)
  raise TimeoutError('no step within the time')


def _kill(args, launch: runs.Launch, rng: random.Random, deadline: float):
  """Starts the run and kills it once; nothing if it came to its end first."""
  number = signal.Signals[f'SIG{args.signal}']
  started = launch.start()
  try:
    # A share of the kills falls into start-up, restoring and the first steps.
    early = rng.random() < args.early
    pause = rng.uniform(0, args.startup if early else args.pause)
    begin = time.monotonic()
    running = early or _wait_for_training(launch, started, deadline)
    if running:
      time.sleep(pause)
    victim = started[rng.randrange(len(started))]
    alive = victim.poll() is None
    victim.send_signal(number)
    patience = 60 + 2 * args.heartbeat
    statuses = [process.wait(patience) for process in started]
  finally:
    for process in started:
      process.kill()
      process.wait()
  if not alive:
    return None
  return {
    'after': time.monotonic() - begin,
    'logged': _steps_logged(launch),
    'resumed at': _newest(launch),
    'status': ' '.join(map(str, statuses)),
  }


def disturb(
  args: argparse.Namespace, launch: runs.Launch, found: list[rows.Row]
) -> None:
  """Kills the run again and again.

  Args:
    args: how often, when, and by which signal.
    launch: the run.
    found: gets a row for each kill.

  Raises:
    TimeoutError: if the time is up first.
  """
  rng = random.Random(args.seed)
  deadline = time.monotonic() + 60 * args.minutes
  while len(found) < args.kills:
    row = _kill(args, launch, rng, deadline)
    if row is None:  # it had come to its end
      return
    found.append({'kill': len(found) + 1} | row)


def _newest(launch: runs.Launch) -> int:
  folder = launch.workdir / 'checkpoints'
  steps = [int(p.name) for p in folder.glob('*') if p.name.isdigit()]
  return max(steps, default=0)


def compare(whole: runs.Launch, cut: runs.Launch) -> list[str]:
  """What differs between two finished runs; nothing if all is well."""
  found = []
  ends = [runs.last_checkpoint(launch.workdir) for launch in (whole, cut)]
  if ends[0] != ends[1]:
    found.append('the last checkpoints differ')
  if whole.log() != cut.log():
    found.append('the logs differ')
  return found


def _run(args: argparse.Namespace, found: list[rows.Row]) -> None:
  """Both runs, and what speaks against their being equal."""
  with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    runs.make_pairs(folder / 'data')
    whole, cut = (_launch(args, folder, n) for n in ('whole', 'cut'))
    whole.finish()
    disturb(args, cut, found)
    cut.finish()
    differences = compare(whole, cut)
  if len(found) < args.kills:
    differences.append(f'it ended after {len(found)} kills: raise --steps')
  if differences:
    raise RuntimeError('; '.join(differences))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
  parser = front.parser(__spec__.name, __doc__)

  def number(name, value, text, least=1, kind=int):
    read = front.number(least, kind)
    parser.add_argument(f'--{name}', type=read, default=value, help=text)

  number('kills', 30, 'how often the run is killed')
  number('seed', 0, 'of the moments', 0)
  number('steps', 600, 'updates of the run')
  number('save-every', 5, 'updates between checkpoints')
  number('processes', 1, 'that train together; one of them is killed')
  number('heartbeat', 10, 'seconds until a dead process is noticed')
  number('early', 0.3, 'share of kills before the first step', 0, float)
  number('startup', 12.0, 'latest moment of those, in seconds', 0, float)
  number('pause', 1.5, 'latest moment after the first step', 0, float)
  number('minutes', 40, 'time after which it gives up', 0, float)
  parser.add_argument('--signal', choices=('KILL', 'TERM'), default='KILL')
  return front.parse(parser, arguments)


def main(arguments: Sequence[str] | None = None) -> int:
  """Prints a table of kills and the verdict."""
  args = _parse(arguments)
  if args.dry_run:
    return rows.preview([{'kill': n + 1} for n in range(args.kills)])
  found: list[rows.Row] = []
  end = rows.attempt({}, lambda: _run(args, found) or {})
  note = f'{len(found)} kills; bitwise equal'
  if 'error' in end:
    note = f'{len(found)} kills; not shown to be equal'
    found.append({'kills': len(found)} | end)
  return rows.report(args, (found, COLUMNS), note=note)


if __name__ == '__main__':
  front.run(main)
