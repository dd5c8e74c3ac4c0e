"""The first photograph: how long does a person wait, and for what?

'seconds' is the command `enhance` for one photograph of 600x400, a process of
its own; 'bare JAX' imports JAX and adds two numbers. In 'first ever' the cache
of compiled programs is empty, in 'after it' it is full. What they are spent on
is told by a second process with such a cache, in Python: 'start' of Python
itself, imports, loading the model, compiling, which with a full cache is
tracing and reading from disk, and the network; the rest is the command's own.

  python -m benchmarks.first --rounds=5
"""

import argparse
from collections.abc import Sequence
import json
import os
from pathlib import Path
import subprocess
import sys
import tempfile
import time

from benchmarks import folder
from benchmarks.lib import front
from benchmarks.lib import rows
from sel_jax.images import codec

COLUMNS = {
  'run': 's',
  'round': 'd',
  'seconds': '.2f',
  'start': '.2f',
  'imports': '.2f',
  'loading': '.2f',
  'compiling': '.2f',
  'network': '.2f',
}
BARE, FIRST, AFTER = 'bare JAX', 'first ever', 'after it'
_BARE = 'import jax.numpy as jnp; (jnp.ones(3) + 1).block_until_ready()'
_WATCHED = """
import time
marks = [time.time()]
import json, sys
from sel_jax import programs
from sel_jax.images import codec
from sel_jax.inference import Enhancer
marks.append(time.time())
enhancer = Enhancer.from_checkpoint(sys.argv[1])
image = codec.to_float(codec.read_image(sys.argv[2]))
marks.append(time.time())
compiling = []
with programs.announced(lambda is_on: compiling.append(time.time())):
  enhancer(image)
marks.append(time.time())
print(json.dumps(marks + compiling))
"""


def _call(words: Sequence[str], cache: Path) -> tuple[float, float, str]:
  """When a process began, the seconds it took, and what it printed."""
  environment = os.environ | {'XDG_CACHE_HOME': str(cache)}
  for name in ('JAX_COMPILATION_CACHE_DIR', 'JAX_ENABLE_COMPILATION_CACHE'):
    environment.pop(name, None)
  begin = time.time()
  done = subprocess.run(
    [sys.executable, *words], env=environment, capture_output=True, text=True
  )
  if done.returncode:
    sys.stderr.write(done.stderr)
    raise RuntimeError(done.stderr.strip().splitlines()[-1])
  return begin, time.time() - begin, done.stdout


def _shares(checkpoint: str, photo: Path, cache: Path) -> rows.Row:
  """What a process in Python spends its time on."""
  begin, _, printed = _call(['-c', _WATCHED, checkpoint, str(photo)], cache)
  at, imported, loaded, done, *compiling = json.loads(printed)
  compiled = compiling[1] - compiling[0]
  return {
    'start': at - begin,
    'imports': imported - at,
    'loading': loaded - imported,
    'compiling': compiled,
    'network': done - loaded - compiled,
  }


def _row(args: argparse.Namespace, case: rows.Row, work: Path) -> rows.Row:
  """Seconds of one row; `work` has the photograph and the cache."""
  photo, cache = work / 'dark.png', work / 'cache'
  if case['run'] == BARE:
    return {'seconds': _call(['-c', _BARE], cache)[1]}
  command = ['-m', 'experiments.enhance', str(photo), '--overwrite']
  command += [f'--checkpoint={args.checkpoint}', f'--output={work / "out"}']
  if case['run'] == AFTER:
    shares = _shares(args.checkpoint, photo, cache)
    return shares | {'seconds': _call(command, cache)[1]}
  with tempfile.TemporaryDirectory() as other:
    shares = _shares(args.checkpoint, photo, Path(other))
  with tempfile.TemporaryDirectory() as other:
    return shares | {'seconds': _call(command, Path(other))[1]}


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
  parser = front.parser(__spec__.name, __doc__)
  add = parser.add_argument
  add('--checkpoint', default='shipped', help='a run, or weights, or shipped')
  add('--rounds', type=front.number(), default=5, help='processes of each kind')
  return front.parse(parser, arguments)


def main(arguments: Sequence[str] | None = None) -> int:
  """Prints a table of processes."""
  args = _parse(arguments)
  cases = [
    {'run': run, 'round': n + 1}
    for n in range(args.rounds)
    for run in (BARE, FIRST, AFTER)
  ]
  if args.dry_run:
    return rows.preview(cases)
  with tempfile.TemporaryDirectory() as name:
    work = Path(name)
    codec.write_image(work / 'dark.png', folder.pair(600, 400, seed=0)[0])
    _shares(args.checkpoint, work / 'dark.png', work / 'cache')  # fills it
    found = [
      rows.attempt(case, lambda case=case: _row(args, case, work))
      for case in cases
    ]
  return rows.report(args, (found, COLUMNS))


if __name__ == '__main__':
  front.run(main)
