"""Do batches come faster than the device takes them?

Times `TrainingData`: decoding all pairs once, then batches of augmented crops,
alone and one ahead of a consumer that is busy for a while.

  python -m benchmarks.data                     # the built-in set
  python -m benchmarks.data --root=/data/LOL --crop=128
"""

import argparse
import time

from benchmarks import measure
from sel_jax.data import pipeline
from sel_jax.data.augmentations import Augmentation

COLUMNS = {
  'pairs': 'd',
  'batch': 'd',
  'crop': 'd',
  'decode': '.2f',
  'batch ms': '.2f',
  'crops/s': ',.0f',
  'busy ms': '.0f',
  'wait ms': '.2f',
}


def _wait(data: pipeline.TrainingData, steps: int, busy: float) -> float:
  """Mean seconds that a consumer waits for the next batch, made ahead."""
  waited, last = 0.0, None
  for _ in data.batches(0, steps):
    if last is not None:
      waited += time.perf_counter() - last
    time.sleep(busy)
    last = time.perf_counter()
  return waited / (steps - 1)


def main() -> None:
  """Prints a table of batch sizes."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--root', default='', help='folder of pairs')
  parser.add_argument('--batches', default='8,16,64', help='batch sizes')
  parser.add_argument('--crop', type=int, default=48)
  parser.add_argument('--repeats', type=int, default=20)
  parser.add_argument('--busy', type=float, default=0.05, help='seconds')
  parser.add_argument('--json', help='also write the figures to this file')
  args = parser.parse_args()
  source = 'folder' if args.root else 'sample'
  photos = pipeline.Photos(
    pipeline.DataSpec(source=source, root=args.root), 'train'
  )
  rows = []
  for size in map(int, args.batches.split(',')):
    start = time.perf_counter()
    data = pipeline.TrainingData(
      photos,
      seed=0,
      batch_size=size,
      augmentation=Augmentation(crop=args.crop),
    )
    decode = time.perf_counter() - start
    steps = iter(range(10**9))
    draw = lambda data=data, steps=steps: data.batch(next(steps))
    timing = measure.seconds(draw, args.repeats)
    rows.append(
      {
        'pairs': len(data),
        'batch': size,
        'crop': args.crop,
        'decode': decode,
        'batch ms': 1e3 * timing['median'],
        'crops/s': size / timing['median'],
        'busy ms': 1e3 * args.busy,
        'wait ms': 1e3 * _wait(data, args.repeats, args.busy),
      }
    )
  print(f'{measure.machine()}\n')
  measure.show(rows, COLUMNS)
  measure.save(args.json, vars(args), rows)


if __name__ == '__main__':
  main()
