"""How far from the truth are few steps, and what do they cost?

Sampler x grid x network calls. The error is known without drawing: for data
N(0.6, spread^2) the best denoiser is linear, and the Wasserstein-2 distance
between what a sampler makes and the data follows exactly (`analytic.py`).
Seconds are of whole restorations with a preset's network at random weights.

  python -m benchmarks.sampler --preset=small --sizes=128 --steps=5,10,20
"""

import argparse
import dataclasses
import itertools

import jax
import numpy as np

from benchmarks.lib import analytic
from benchmarks.lib import measure
from sel_jax import allocator
from sel_jax import build
from sel_jax import models
from sel_jax.configs import lol
from sel_jax.diffusion import GRIDS
from sel_jax.diffusion import SAMPLERS
from sel_jax.inference import Restorer
from sel_jax.settings import Settings

COLUMNS = {
  'sampler': 's',
  'grid': 's',
  'steps': 'd',
  'error 0.02': '.4f',
  'error 0.1': '.4f',
  'error 0.2': '.4f',
  'size': 'd',
  'seconds': '.3f',
  'best': '.3f',
  'per call': '.4f',
  'first': '.1f',
}


def _timed(restore, size: int, steps: int, repeats: int) -> measure.Row:
  """Seconds of one photograph."""
  image = measure.images('photo', size, 1)[0][0]
  run = lambda: np.asarray(restore(image))
  first = measure.once(run)
  time = measure.seconds(run, repeats)
  return {
    'size': size,
    'seconds': time['median'],
    'best': time['best'],
    'per call': time['median'] / steps,
    'first': first,
  }


def main() -> None:
  """Prints a table of samplers, grids and steps."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--preset', default='small', help='of configs/lol.py')
  parser.add_argument('--samplers', default=','.join(SAMPLERS))
  parser.add_argument('--grids', default=','.join(GRIDS))
  parser.add_argument('--steps', default='2,5,10,20,50')
  parser.add_argument('--sizes', default='', help='to time; empty is none')
  parser.add_argument('--repeats', type=int, default=5)
  parser.add_argument('--json', help='also write the figures to this file')
  args = parser.parse_args()
  for name, known in (('samplers', SAMPLERS), ('grids', GRIDS)):
    if unknown := set(getattr(args, name).split(',')) - set(known):
      parser.error(f'--{name}: {sorted(unknown)} not in {sorted(known)}')
  allocator.keep_memory()
  settings = Settings.parse(lol.get_config(args.preset))
  method = build.build_method(settings)
  params = models.init_params(method.model, jax.random.key(0))
  rows = []
  for sampler, grid, steps in itertools.product(
    args.samplers.split(','),
    args.grids.split(','),
    map(int, args.steps.split(',')),
  ):
    times = GRIDS[grid](method.sde, steps)
    row = {'sampler': sampler, 'grid': grid, 'steps': steps}
    for spread in (0.02, 0.1, 0.2):
      data = analytic.GaussianData(spread=spread)
      error = analytic.error(data, method.sde, sampler, times)
      row[f'error {spread}'] = error
    sizes = [int(size) for size in filter(None, args.sizes.split(','))]
    spec = dataclasses.replace(
      settings.eval, sampler=sampler, steps=steps, grid=grid
    )
    restore = Restorer(method, spec).bind(params)
    rows += [row | _timed(restore, n, steps, args.repeats) for n in sizes]
    if not sizes:
      rows.append(row)
  print(f'{measure.machine()}\nlol.py:{args.preset or "(paper)"}\n')
  shown = {key: form for key, form in COLUMNS.items() if key in rows[0]}
  measure.show(rows, shown)
  measure.save(args.json, vars(args), rows)


if __name__ == '__main__':
  main()
