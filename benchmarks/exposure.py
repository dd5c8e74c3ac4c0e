"""Is a request for brightness met, and is the guess of it honest?

Each request, the mean intensity that is asked for, on every photograph of a
split: the mean of what the network makes of it, that of the results, and how
far they are from what was asked for. Then the guess:
the share of the exposure's variance that its medians explain, their error, and
how many clean photographs lie within its intervals of 50, 80 and 95 %. 'stored'
is the model's own; 'folds' is made anew from whole scenes of the train split,
and measured on the others.

  python -m benchmarks.exposure --checkpoint=runs/told --data=/data/LOL
"""

import argparse
from collections.abc import Sequence

import numpy as np

from benchmarks.lib import front
from benchmarks.lib import pairs
from benchmarks.lib import rows
from sel_jax import allocator
from sel_jax.data import splits
from sel_jax.data.pairs import open_pairs
from sel_jax.errors import InputError
from sel_jax.images import codec
from sel_jax.inference import Enhancer
from sel_jax.training import exposures

REQUESTS = {
  'request': '.2f',
  'network': '.3f',
  'mean': '.3f',
  'off by': '.3f',
  'at most': '.3f',
}
GUESSES = {
  'guess': 's',
  'photographs': 'd',
  'r2': '.3f',
  'off by': '.3f',
  'in 50 %': '.2f',
  'in 80 %': '.2f',
  'in 95 %': '.2f',
}


def _asked(enhancer: Enhancer, lows: list[np.ndarray], request: float):
  """What comes of one request."""
  alone = enhancer.with_settings(meet=False)
  network, means = (
    np.array([codec.mean_intensity(f(low, exposure=request)) for low in lows])
    for f in (alone, enhancer)
  )
  errors = np.abs(means - request)
  return {
    'network': float(network.mean()),
    'mean': float(means.mean()),
    'off by': float(errors.mean()),
    'at most': float(errors.max()),
  }


def _honesty(found: exposures.Calibration, count: int) -> rows.Row:
  """A calibration as a row."""
  names = ('in 50 %', 'in 80 %', 'in 95 %')
  row = {'photographs': count, 'r2': found.r2, 'off by': found.error}
  return row | dict(zip(names, found.coverage, strict=True))


def _stored(enhancer: Enhancer, pairs) -> rows.Row:
  """The model's own guess, on photographs that it was not made from."""
  if enhancer.predictor is None:
    raise InputError('the model has no guess of the exposure')
  found = exposures.calibration(enhancer.predictor, pairs)
  return _honesty(found, len(pairs))


def _folds(enhancer: Enhancer, pairs, count: int) -> rows.Row:
  """Guesses from some scenes, on photographs of the others."""
  descriptors = [splits.descriptor(pair.clean) for pair in pairs]
  scenes = splits.group(np.stack(descriptors))
  names = np.random.default_rng(0).permutation(np.unique(scenes))
  fold = np.searchsorted(np.unique(scenes), scenes)
  fold = np.argsort(names)[fold] % count
  spec, predicted = enhancer.settings.data.augment, []
  for n in range(count):
    others = [pair for pair, k in zip(pairs, fold, strict=True) if k != n]
    guess = exposures.fit(others, spec)
    if guess is None:
      raise InputError('too few pairs for so many folds; lower --folds')
    mine = [pair for pair, k in zip(pairs, fold, strict=True) if k == n]
    predicted += [(guess(pair.low), pair) for pair in mine]
  found = exposures.measured(*zip(*predicted, strict=True))
  return _honesty(found, len(pairs))


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
  parser = front.parser(__spec__.name, __doc__)
  add = parser.add_argument
  add('--checkpoint', required=True, help='run, or weights in .safetensors')
  pairs.add(parser, split='val')
  add('--requests', default='0.15,0.25,0.35,0.45,0.55,0.65,0.75')
  add('--folds', type=front.number(0), default=10, help='of train; 0 is none')
  args = front.parse(parser, arguments)
  args.requests = [float(text) for text in args.requests.split(',')]
  return args


def main(arguments: Sequence[str] | None = None) -> int:
  """Prints a table of requests, and one of guesses."""
  args = _parse(arguments)
  allocator.keep_memory()
  measured = pairs.measured(args)
  enhancer = Enhancer.from_checkpoint(args.checkpoint)
  enhancer.require_exposure()
  cases = [{'request': request} for request in args.requests]
  guesses = [{'guess': 'stored'}] + [{'guess': 'folds'}] * bool(args.folds)
  if args.dry_run:
    return rows.preview(cases + guesses)
  lows = [codec.to_float(pair.low) for pair in measured]
  met = [
    rows.attempt(
      case, lambda case=case: _asked(enhancer, lows, case['request'])
    )
    for case in cases
  ]
  made = [rows.attempt(guesses[0], lambda: _stored(enhancer, measured))]
  if args.folds:
    train = list(open_pairs(pairs.spec(args), 'train'))
    made.append(
      rows.attempt(guesses[1], lambda: _folds(enhancer, train, args.folds))
    )
  heading = f'{args.checkpoint}, {len(measured)} photographs'
  return rows.report(args, (met, REQUESTS), (made, GUESSES), heading=heading)


if __name__ == '__main__':
  front.run(main)
