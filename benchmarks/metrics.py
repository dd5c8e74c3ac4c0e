"""What does a figure of an image cost?

Each metric of one pair of 600x400, a photograph and the same darker and with
noise, as in an evaluation: plain, then with GT-mean of the same clean image.
'first' is the first call, compiling and reading of weights included; 'CPU' are
seconds of all cores together.

  python -m benchmarks.metrics
"""

import argparse
from collections.abc import Sequence
import time

import numpy as np

from benchmarks import folder
from benchmarks.lib import front
from benchmarks.lib import measure
from benchmarks.lib import rows
from sel_jax.errors import InputError
from sel_jax.evaluation import METRICS

COLUMNS = {
  'metric': 's',
  'first': '.2f',
  'seconds': '.3f',
  'CPU': '.3f',
  'with GT-mean': '.3f',
  'value': '.6g',
}


def _images(size: tuple[int, int]) -> tuple[np.ndarray, ...]:
  """Restored, the same of another brightness, and clean."""
  clean = folder.pair(*size, seed=0)[1]
  noise = np.random.default_rng(0).normal(0, 6, clean.shape)
  worse = [np.clip(share * clean + noise, 0, 255) for share in (0.8, 0.9)]
  return *(image.astype(np.uint8) for image in worse), clean


def _row(name: str, size: tuple[int, int], repeats: int) -> rows.Row:
  """Seconds of one metric; the median of some calls."""
  restored, matched, clean = _images(size)
  function, value = METRICS[name].function, 0.0
  plain = lambda: function(restored=restored, clean=clean)
  first = measure.once(plain)
  costs = []
  for _ in range(repeats):
    # As of a new image: what belongs to the clean one is not there yet.
    function(restored=clean[::-1], clean=restored)
    begin, before = time.perf_counter(), time.process_time()
    value = plain()
    middle, used = time.perf_counter(), time.process_time()
    function(restored=matched, clean=clean)
    costs.append((middle - begin, used - before, time.process_time() - before))
  seconds, alone, both = np.median(costs, axis=0)
  found = {'seconds': seconds, 'CPU': alone, 'with GT-mean': both}
  return found | {'first': first, 'value': value}


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
  parser = front.parser(__spec__.name, __doc__)
  add = parser.add_argument
  add('--metrics', type=front.names(METRICS), default=','.join(METRICS))
  add('--size', type=front.sides, default='600x400', help='WIDTHxHEIGHT')
  add('--repeats', type=front.number(), default=5, help='calls that are timed')
  args = front.parse(parser, arguments)
  if len(args.size) != 1:
    raise InputError('--size: give one WIDTHxHEIGHT')
  for name in args.metrics:
    if available := METRICS[name].available:
      available()
  return args


def main(arguments: Sequence[str] | None = None) -> int:
  """Prints a table of metrics, and their sum."""
  args = _parse(arguments)
  cases = [{'metric': name} for name in args.metrics]
  if args.dry_run:
    return rows.preview([*cases, {'metric': 'all'}])
  found = [
    rows.attempt(
      case, lambda case=case: _row(case['metric'], args.size[0], args.repeats)
    )
    for case in cases
  ]
  keys = ('seconds', 'CPU', 'with GT-mean')
  total = {key: sum(row.get(key, 0.0) for row in found) for key in keys}
  return rows.report(args, ([*found, {'metric': 'all'} | total], COLUMNS))


if __name__ == '__main__':
  front.run(main)
