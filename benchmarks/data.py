"""Do batches come faster than the device takes them?

Counts the crops a second that `TrainingData` makes, for each cache and each
number of threads and worker processes, on every core of the machine; and how
long a consumer waits for a batch that is busy for a while with the last one.
'MB' is the memory at its peak, from the first file to the last batch; pages of
the disk's cache, which the system takes back when it needs them, do not count.

  python -m benchmarks.data                     # the built-in set
  python -m benchmarks.data --make=12 --megapixels=24 --crop=128
  python -m benchmarks.data --root=/data/LOL --crop=128 --batch=16
  python -m benchmarks.data --root=/data/tfds --tfds=lol_v1
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
import tempfile
import time
from typing import Any

import cv2
import numpy as np
import skimage.data

from benchmarks.lib import front
from benchmarks.lib import measure
from benchmarks.lib import rows
from sel_jax.data import cache
from sel_jax.data import pairs
from sel_jax.data import pipeline
from sel_jax.data.augment import AugmentSpec
from sel_jax.errors import InputError
from sel_jax.images import codec

COLUMNS = {
  'cache': 's',
  'threads': 'd',
  'workers': 'd',
  'pairs': 'd',
  'decode': '.2f',
  'crops/s': ',.3g',
  'MB': ',.0f',
  'wait ms': '.2f',
  'times': '.1f',
}


def _make(args: argparse.Namespace, folder: str) -> str:
  """Pairs of noisy photographs, 3 by 2, in the layout of NTIRE 2024."""
  height = round((args.megapixels * 1e6 / 1.5) ** 0.5)
  size = round(1.5 * height), height
  rng = np.random.default_rng(0)
  clean = cv2.resize(skimage.data.coffee(), size)
  for number in range(args.make):
    grain = rng.integers(0, 9, clean.shape, np.uint8)
    for side, image in (('GT', clean), ('Input', clean // 12 + grain)):
      path = Path(folder, side, f'{number}.png')
      path.parent.mkdir(exist_ok=True)
      codec.write_image(path, np.roll(image, 97 * number, 1))
  return folder


def _spec(args: argparse.Namespace) -> pairs.PairsSpec:
  if args.tfds:
    return pairs.PairsSpec.create(source='tfds', root=args.root, name=args.tfds)
  if args.root:
    return pairs.PairsSpec.create(root=args.root, held_out=0)
  return pairs.PairsSpec.create(source='sample')


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


def _row(
  args: argparse.Namespace,
  opened: pairs.Pairs,
  kind: str,
  threads: int,
  workers: int,
) -> rows.Row:
  memory = measure.Anonymous()
  with tempfile.TemporaryDirectory() as folder, memory:
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
    'pairs': len(kept),
    'decode': decode,
    'crops/s': rate,
    'MB': memory.megabytes,
    'wait ms': 1e3 * wait,
    'times': rate * args.busy / args.batch,
  }


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
  parser = front.parser(__spec__.name, __doc__)
  add = parser.add_argument
  add('--root', default='', help='folder of pairs or records')
  add('--tfds', default='', help='name of a prepared data set')
  make = front.number(0)
  add('--make', type=make, default=0, help='pairs to make, instead of --root')
  size = front.number(0, float)
  add('--megapixels', type=size, default=24.0, help='of each of these')
  add('--batch', type=front.number(), default=8, help='examples')
  add('--crop', type=front.number(), default=64, help='side, pixels')
  add('--steps', type=front.number(2), default=200, help='batches')
  seconds = front.number(0, float)
  add('--busy', type=seconds, default=0.2, help='seconds per step')
  caches = front.names(cache.CACHES)
  add('--caches', type=caches, default=','.join(cache.CACHES))
  add('--threads', type=front.numbers(), default='1,2,16')
  add('--workers', type=front.numbers(), default='2', help='processes, or none')
  return front.parse(parser, arguments)


def _check(args: argparse.Namespace, opened: pairs.Pairs) -> None:
  """Early: that the first pair has room for a crop."""
  height, width = opened[0].low.shape[:2]
  if min(height, width) < args.crop:
    raise InputError(
      f'--crop={args.crop}: {opened[0].name} has {width}x{height} pixels; give '
      'less'
    )


def main(arguments: Sequence[str] | None = None) -> int:
  """Prints a table; 'times' is against a step that takes --busy seconds."""
  args = _parse(arguments)
  with tempfile.TemporaryDirectory() as folder:
    if args.make:
      args.root = _make(args, folder)
    return _measure(args)


def _measure(args: argparse.Namespace) -> int:
  opened = pairs.open_pairs(_spec(args), 'train')
  _check(args, opened)
  makers = [(threads, 0) for threads in args.threads]
  makers += [(1, workers) for workers in args.workers]
  cases: list[dict[str, Any]] = [
    {'cache': kind, 'threads': threads, 'workers': workers}
    for kind in args.caches
    for threads, workers in makers
  ]
  if args.dry_run:
    return rows.preview(cases)
  found = [
    rows.attempt(case, lambda case=case: _row(args, opened, *case.values()))
    for case in cases
  ]
  return rows.report(args, (found, COLUMNS))


if __name__ == '__main__':
  front.run(main)
