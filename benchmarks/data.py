"""Do batches come faster than the device takes them?

Counts the crops a second that `TrainingData` makes, for each cache and each
number of threads and worker processes, on every core of the machine; and how
long a consumer waits for a batch that is busy for a while with the last one.

  python -m benchmarks.data                     # the built-in set
  python -m benchmarks.data --root=/data/LOL --crop=128 --batch=16
  python -m benchmarks.data --root=/data/tfds --tfds=lol_v1
"""

import argparse
import tempfile
import time

from benchmarks.lib import measure
from sel_jax.data import cache
from sel_jax.data import pairs
from sel_jax.data import pipeline
from sel_jax.data.augment import AugmentSpec

COLUMNS = {
  'cache': 's',
  'threads': 'd',
  'workers': 'd',
  'pairs': 'd',
  'decode': '.2f',
  'crops/s': ',.0f',
  'wait ms': '.2f',
  'times': '.1f',
}


def _spec(args: argparse.Namespace) -> pairs.PairsSpec:
  if args.tfds:
    return pairs.PairsSpec.create(source='tfds', root=args.root, name=args.tfds)
  source = 'folder' if args.root else 'sample'
  return pairs.PairsSpec.create(source=source, root=args.root)


def _walk(data, steps: int, busy: float) -> tuple[float, float]:
  """Seconds for all batches after the first, and spent waiting for each."""
  waited, start = 0.0, 0.0
  batches = data.batches(0, steps)
  next(batches)
  start = last = time.perf_counter()
  for _ in batches:
    waited += time.perf_counter() - last
    time.sleep(busy)
    last = time.perf_counter()
  return time.perf_counter() - start, waited / (steps - 1)


def _row(args, opened, kind: str, threads: int, workers: int) -> measure.Row:
  with tempfile.TemporaryDirectory() as folder:
    start = time.perf_counter()
    kept = cache.keep(opened, cache.CacheSpec(kind, cache_dir=folder))
    decode = time.perf_counter() - start
    data = pipeline.TrainingData(
      kept,
      seed=0,
      augment=AugmentSpec(crop=args.crop),
      loader=pipeline.LoaderSpec(args.batch, threads, workers),
    )
    steps = args.steps if kind != 'none' else max(2, args.steps // 10)
    seconds, _ = _walk(data, steps, 0.0)
    _, wait = _walk(data, max(2, args.steps // 10), args.busy)
    rate = (steps - 1) * args.batch / seconds
  return {
    'cache': kind,
    'threads': threads,
    'workers': workers,
    'pairs': len(kept),
    'decode': decode,
    'crops/s': rate,
    'wait ms': 1e3 * wait,
    'times': rate * args.busy / args.batch,
  }


def main() -> None:
  """Prints a table; 'times' is against a step that takes --busy seconds."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--root', default='', help='folder of pairs or records')
  parser.add_argument('--tfds', default='', help='name of a prepared data set')
  parser.add_argument('--batch', type=int, default=8)
  parser.add_argument('--crop', type=int, default=64)
  parser.add_argument('--steps', type=int, default=200)
  parser.add_argument('--busy', type=float, default=0.2, help='seconds a step')
  parser.add_argument('--threads', default='1,2,16')
  parser.add_argument('--workers', default='2', help='processes, or nothing')
  parser.add_argument('--json', help='also write the figures to this file')
  args = parser.parse_args()
  opened = pairs.open_pairs(_spec(args), 'train')
  rows = []
  for kind in cache.CACHES:
    for threads in map(int, args.threads.split(',')):
      rows.append(_row(args, opened, kind, threads, 0))
    for workers in filter(None, args.workers.split(',')):
      rows.append(_row(args, opened, kind, 1, int(workers)))
  print(f'{measure.machine()}\n')
  measure.show(rows, COLUMNS)
  measure.save(args.json, vars(args), rows)


if __name__ == '__main__':
  main()
