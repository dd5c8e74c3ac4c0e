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
import logging
from pathlib import Path
import random
import signal
import tempfile
import time

from benchmarks.lib import measure
from benchmarks.lib import runs

COLUMNS = {
  'kill': 'd',
  'after': '.2f',
  'logged': 'd',
  'resumed at': 'd',
  'status': 's',
}


def _launch(args, folder: Path, name: str) -> runs.Launch:
  settings = {
    'data.batch_size': 2 * args.processes,
    'train.steps': args.steps,
    'train.log_every': 1,
    'train.save_every': args.save_every,
    'train.eval_every': args.steps,
    'parallel.heartbeat': args.heartbeat,
  }
  return runs.Launch(
    folder / 'data', folder / name, settings, processes=args.processes
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


def disturb(args, launch: runs.Launch) -> list[measure.Row]:
  """Kills the run again and again, then lets it end.

  Returns:
    A row for each kill.

  Raises:
    TimeoutError: if the time is up first.
  """
  rng = random.Random(args.seed)
  number = signal.Signals[f'SIG{args.signal}']
  deadline = time.monotonic() + 60 * args.minutes
  rows = []
  while len(rows) < args.kills:
    started = launch.start()
    try:
      # Half of the kills fall into start-up, restoring and the first steps.
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
    if not alive:  # it had come to its end
      return rows
    saved = _newest(launch)
    rows.append(
      {
        'kill': len(rows) + 1,
        'after': time.monotonic() - begin,
        'logged': _steps_logged(launch),
        'resumed at': saved,
        'status': ' '.join(map(str, statuses)),
      }
    )
  return rows


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


def main() -> None:
  """Prints a table of kills and the verdict."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  number = lambda name, value, text, kind=int: parser.add_argument(
    f'--{name}', type=kind, default=value, help=text
  )
  number('kills', 30, 'how often the run is killed')
  number('seed', 0, 'of the moments')
  number('steps', 600, 'of the run')
  number('save_every', 5, 'steps between checkpoints')
  number('processes', 1, 'that train together; one of them is killed')
  number('heartbeat', 10, 'seconds until a dead process is noticed')
  number('early', 0.3, 'share of kills before the first step', float)
  number('startup', 12.0, 'latest moment of those, in seconds', float)
  number('pause', 1.5, 'latest moment after the first step', float)
  number('minutes', 40, 'time after which it gives up', float)
  parser.add_argument('--signal', choices=('KILL', 'TERM'), default='KILL')
  parser.add_argument('--json', help='also write the figures to this file')
  args = parser.parse_args()
  logging.getLogger('absl').setLevel(logging.ERROR)
  with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    runs.make_pairs(folder / 'data')
    whole, cut = (_launch(args, folder, n) for n in ('whole', 'cut'))
    whole.finish()
    rows = disturb(args, cut)
    cut.finish()
    differences = compare(whole, cut)
  measure.show(rows, COLUMNS)
  print(f'{len(rows)} kills; ' + ('; '.join(differences) or 'bitwise equal'))
  measure.save(args.json, vars(args), rows)
  raise SystemExit(bool(differences))


if __name__ == '__main__':
  main()
