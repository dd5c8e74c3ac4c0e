"""Does a run that is killed again and again end as one that never was?

Trains a tiny network once without disturbance; then again, killed at random
moments and started with the same command each time, until it has been killed
often enough and may end. Compares the checksums of the last checkpoints and the
lines of the logs. Seeded, and bounded in time.

  python -m benchmarks.faults --kills=30
  python -m benchmarks.faults --kills=10 --signal=TERM
  python -m benchmarks.faults --kills=5 --processes=2 --heartbeat=10
  python -m benchmarks.faults --kills=1000 --runs=2 --warm --damage=0.2 --clock

STOP stops a process for a while, lets it go on, and kills it then. --full needs
--folder on a small disk, such as `mount -t tmpfs -o size=64m none DIR`.
"""

import argparse
from collections.abc import Sequence
import concurrent.futures
import contextlib
import dataclasses
import os
from pathlib import Path
import random
import shutil
import signal
import subprocess
import tempfile
import time

from benchmarks.lib import front
from benchmarks.lib import rows
from benchmarks.lib import runs
from sel_jax.errors import InputError

COLUMNS = {
  'run': 'd',
  'kill': 'd',
  'by': 's',
  'after': '.2f',
  'logged': 'd',
  'resumed at': 'd',
  'status': 's',
}
# Bits that are turned in a damaged file, and bytes of a disk that is filled.
_BITS, _SMALL = 6, 1_000_000_000


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
    warm=args.warm,
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


def _fill(folder: Path) -> Path:
  """Takes what is left of a disk; the file that does."""
  ballast = folder / 'ballast'
  with open(ballast, 'wb') as file, contextlib.suppress(OSError):
    while True:
      file.write(bytes(1 << 16))
      file.flush()
  return ballast


def _checkpoints(launch: runs.Launch) -> list[Path]:
  """Folders of those that are complete, the newest last."""
  found = (launch.workdir / 'checkpoints').glob('*')
  numbered = (path for path in found if path.name.isdigit())
  return sorted(numbered, key=lambda path: int(path.name))


def _newest(launch: runs.Launch) -> int:
  there = _checkpoints(launch)
  return int(there[-1].name) if there else 0


def _damage(launch: runs.Launch, rng: random.Random) -> bool:
  """Turns bits of a file of the newest of several checkpoints."""
  there = _checkpoints(launch)
  if len(there) < 2:
    return False
  files = sorted(p for p in there[-1].rglob('*') if p.is_file())
  victim = rng.choice([p for p in files if p.stat().st_size])
  content = bytearray(victim.read_bytes())
  for _ in range(_BITS):
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
  victim.write_bytes(content)
  return True


@dataclasses.dataclass(frozen=True)
class Disturber:
  """What kills one run again and again.

  Attributes:
    args: how often, when, and by which signal.
    launch: the run.
    number: the run's, from 0.
    rng: draws the moments.
    deadline: when it gives up, by the monotonic clock.
  """

  args: argparse.Namespace
  launch: runs.Launch
  number: int
  rng: random.Random
  deadline: float

  def disturb(self, kills: int, found: list[rows.Row]) -> int:
    """Kills the run so often, or until it has come to its end.

    Args:
      kills: how often.
      found: gets a row for each.

    Returns:
      How often it was killed.

    Raises:
      TimeoutError: if the time is up first.
    """
    for kill in range(1, kills + 1):
      row = self._kill()
      if row is None:
        return kill - 1
      found.append({'run': self.number, 'kill': kill} | row)
    return kills

  def _kill(self) -> rows.Row | None:
    """Starts the run and ends it once; nothing if it had come to its end."""
    day = 86_400
    ahead = self.rng.uniform(-day, day) if self.args.clock else 0.0
    started = self.launch.start(ahead=ahead)
    begin = time.monotonic()
    try:
      # A share of the kills falls into start-up, restoring, the first steps.
      early = self.rng.random() < self.args.early
      latest = self.args.startup if early else self.args.pause
      pause = self.rng.uniform(0, latest)
      if early or _wait_for_training(self.launch, started, self.deadline):
        time.sleep(pause)
      victim = started[self.rng.randrange(len(started))]
      alive = victim.poll() is None
      by = self._end(victim)
      patience = 60 + 2 * self.args.heartbeat
      statuses = [process.wait(patience) for process in started]
    finally:
      for process in started:
        process.kill()
        process.wait(60)
    if not alive:
      return None
    if self.rng.random() < self.args.damage and _damage(self.launch, self.rng):
      by += ', damage'
    return {
      'by': by,
      'after': time.monotonic() - begin,
      'logged': _steps_logged(self.launch),
      'resumed at': _newest(self.launch),
      'status': ' '.join(map(str, statuses)),
    }

  def _end(self, victim: runs.Running) -> str:
    """Ends a process, or what it needs; says by what."""
    if self.rng.random() < self.args.full:
      ballast = _fill(self.launch.data.parent)
      try:
        victim.wait(60)
      except (TimeoutError, subprocess.TimeoutExpired):
        victim.kill()
      finally:
        ballast.unlink()
      return 'full disk'
    if self.args.signal == 'STOP':
      victim.send_signal(signal.SIGSTOP)
      time.sleep(self.rng.uniform(0, self.args.pause))
      victim.send_signal(signal.SIGCONT)
      time.sleep(self.rng.uniform(0, self.args.pause))
      victim.kill()
    else:
      victim.send_signal(signal.Signals[f'SIG{self.args.signal}'])
    return self.args.signal


def compare(whole: runs.Launch, cut: runs.Launch) -> list[str]:
  """What differs between two finished runs; nothing if all is well."""
  found = []
  ends = [runs.last_checkpoint(launch.workdir) for launch in (whole, cut)]
  name = cut.workdir.name
  if ends[0] != ends[1]:
    found.append(f'the last checkpoint of {name} differs')
  if whole.log() != cut.log():
    found.append(f'the log of {name} differs')
  return found


def _share(args: argparse.Namespace, number: int) -> int:
  """How often one of the runs is killed."""
  return args.kills // args.runs + (number < args.kills % args.runs)


def _run(args: argparse.Namespace, found: list[rows.Row]) -> None:
  """One run that is left alone, others that are not, and what differs."""
  with tempfile.TemporaryDirectory(dir=args.folder) as name:
    folder = Path(name)
    runs.make_pairs(folder / 'data')
    whole = _launch(args, folder, 'whole')
    whole.finish()
    deadline = time.monotonic() + 60 * args.minutes

    def one(number: int) -> list[str]:
      cut = _launch(args, folder, f'cut{number}')
      rng = random.Random(args.seed + number)
      kills = _share(args, number)
      disturber = Disturber(args, cut, number, rng, deadline)
      done = disturber.disturb(kills, found)
      cut.finish()
      short = f'it ended after {done} kills: raise --steps'
      return compare(whole, cut) + [short] * (done < kills)

    with concurrent.futures.ThreadPoolExecutor(args.runs) as pool:
      told = pool.map(one, range(args.runs))
      differences = [what for each in told for what in each]
  if differences:
    raise RuntimeError('; '.join(differences))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
  parser = front.parser(__spec__.name, __doc__)

  def number(name, value, text, least=1, kind=int):
    read = front.number(least, kind)
    parser.add_argument(f'--{name}', type=read, default=value, help=text)

  number('kills', 30, 'how often runs are killed, all together')
  number('runs', 1, 'that go on side by side')
  number('seed', 0, 'of the moments', 0)
  number('steps', 600, 'updates of a run')
  number('save-every', 5, 'updates between checkpoints')
  number('processes', 1, 'that train together; one of them is killed')
  number('heartbeat', 10, 'seconds until a dead process is noticed')
  number('early', 0.3, 'share of kills before the first step', 0, float)
  number('startup', 12.0, 'latest moment of those, in seconds', 0, float)
  number('pause', 1.5, 'latest moment after the first step', 0, float)
  number('damage', 0.0, 'share of kills that harm a checkpoint', 0, float)
  number('full', 0.0, 'share that are a full disk instead', 0, float)
  number('minutes', 40, 'time after which it gives up', 0, float)
  parser.add_argument(
    '--signal', choices=('KILL', 'TERM', 'STOP'), default='KILL'
  )
  parser.add_argument('--folder', help='where runs live; removed at the end')
  parser.switch('--warm', help='processes start with all imported')
  parser.switch(
    '--clock', help='each start has a clock up to a day off; needs --warm'
  )
  args = front.parse(parser, arguments)
  if args.clock and not args.warm:
    raise InputError('--clock: needs --warm')
  if args.full and args.runs > 1:
    raise InputError(
      f'--runs={args.runs}: one alone with --full, whose disk it is'
    )
  if args.full and not args.folder:
    raise InputError('--full: give the --folder of a small disk')
  if args.folder and not Path(args.folder).is_dir():
    raise InputError(f'--folder={args.folder}: no such folder; make it first')
  if args.full and shutil.disk_usage(args.folder).free > _SMALL:
    raise InputError(
      f'--folder={args.folder}: its disk has more than {_SMALL / 1e9:g} GB '
      'left; give one that can be filled'
    )
  return args


def main(arguments: Sequence[str] | None = None) -> int:
  """Prints a table of kills and the verdict."""
  args = _parse(arguments)
  if args.dry_run:
    return rows.preview(
      [
        {'run': number, 'kill': kill + 1}
        for number in range(args.runs)
        for kill in range(_share(args, number))
      ]
    )
  found: list[rows.Row] = []
  begin = time.monotonic()
  end = rows.attempt({}, lambda: _run(args, found) or {})
  minutes = (time.monotonic() - begin) / 60
  note = f'{len(found)} kills in {minutes:.1f} minutes; bitwise equal'
  if 'error' in end:
    note = f'{len(found)} kills; not shown to be equal'
    found.append({'kills': len(found)} | end)
  return rows.report(args, (found, COLUMNS), note=note)


if __name__ == '__main__':
  front.run(main)
