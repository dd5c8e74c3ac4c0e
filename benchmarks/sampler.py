"""How far from the truth are few steps, and what do they cost?

Sampler x grid x network calls. The error is known without drawing: for data
N(0.6, spread^2) the best denoiser is linear, and the Wasserstein-2 distance
between what a sampler makes and the data follows exactly (`analytic.py`).
Seconds are of whole restorations with a preset's network at random weights.

  python -m benchmarks.sampler --preset=small --sizes=128 --steps=5,10,20
"""

import argparse
from collections.abc import Sequence
import dataclasses
import functools
from typing import Any

import jax
import numpy as np

from benchmarks.lib import analytic
from benchmarks.lib import front
from benchmarks.lib import measure
from benchmarks.lib import rows
from sel_jax import allocator
from sel_jax import build
from sel_jax import models
from sel_jax.diffusion import GRIDS
from sel_jax.diffusion import SAMPLERS
from sel_jax.eval_section import EvalSpec
from sel_jax.inference import Restorer
from sel_jax.method import Method

# Standard deviations of the data.
_SPREADS = (0.02, 0.1, 0.2)
COLUMNS = {
  'sampler': 's',
  'grid': 's',
  'steps': 'd',
  **{f'error {spread}': '.4f' for spread in _SPREADS},
  'size': 'd',
  'seconds': '.3f',
  'best': '.3f',
  'per call': '.4f',
  'first': '.1f',
}


def _timed(restore, size: int, steps: int, repeats: int) -> rows.Row:
  """Seconds of one photograph."""
  image = measure.images('photo', size, 1)[0][0]
  run = lambda: np.asarray(restore(image))
  first = measure.once(run)
  time = measure.seconds(run, repeats)
  return {
    'seconds': time['median'],
    'best': time['best'],
    'per call': time['median'] / steps,
    'first': first,
  }


def _errors(method: Method, sampler: str, grid: str, steps: int) -> rows.Row:
  """Distance from the truth for each spread of the data."""
  times = GRIDS[grid](method.sde, steps)
  return {
    f'error {spread}': analytic.error(
      analytic.GaussianData(spread=spread), method.sde, sampler, times
    )
    for spread in _SPREADS
  }


def _row(
  method: Method, params: Any, spec: EvalSpec, size: int, repeats: int
) -> rows.Row:
  """Error and, for a size, seconds of one sampler."""
  found = _errors(method, spec.sampler, spec.grid, spec.steps)
  if size:
    restorer = Restorer(method, spec)
    restore = functools.partial(restorer, jax.device_put(params))
    found |= _timed(restore, size, spec.steps, repeats)
  return found


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
  parser = front.parser(__spec__.name, __doc__)
  add = parser.add_argument
  add('--preset', default='small', help="of configs/lol.py; '' is the paper's")
  add('--samplers', type=front.names(SAMPLERS), default=','.join(SAMPLERS))
  add('--grids', type=front.names(GRIDS), default=','.join(GRIDS))
  add('--steps', type=front.numbers(), default='2,5,10,20,50', help='calls')
  add(
    '--sizes', type=front.numbers(), default='', help='sides to time, or none'
  )
  add('--repeats', type=front.number(), default=5, help='calls that are timed')
  args = front.parse(parser, arguments)
  for size in args.sizes:
    measure.check_side('photo', size)
  return args


def main(arguments: Sequence[str] | None = None) -> int:
  """Prints a table of samplers, grids and steps."""
  args = _parse(arguments)
  settings = front.settings(args.preset)
  for steps in args.steps:
    settings.changed({'eval.steps': steps})
  cases = [
    {'sampler': sampler, 'grid': grid, 'steps': steps}
    | ({'size': size} if size else {})
    for sampler in args.samplers
    for grid in args.grids
    for steps in args.steps
    for size in args.sizes or [0]
  ]
  if args.dry_run:
    return rows.preview(cases)
  allocator.keep_memory()
  method = build.build_method(settings)
  params = models.init_params(jax.random.key(0), method.model)

  def measured(case: rows.Row) -> rows.Row:
    chosen = {k: v for k, v in case.items() if k != 'size'}
    spec = dataclasses.replace(settings.eval, **chosen)
    return _row(method, params, spec, case.get('size', 0), args.repeats)

  found = [
    rows.attempt(case, lambda case=case: measured(case)) for case in cases
  ]
  heading = f'lol.py:{args.preset or "(paper)"}'
  return rows.report(args, (found, COLUMNS), heading=heading)


if __name__ == '__main__':
  front.run(main)
