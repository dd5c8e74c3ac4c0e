"""How long does it take to restore one photograph?

Times whole restorations, sampler x network calls x size, with a preset's
network at random weights.

  python -m benchmarks.sampler --preset=small --sizes=128,256 --steps=5,20
"""

import argparse
import dataclasses
import itertools

import jax
import numpy as np

from benchmarks import measure
from configs import lol
from sel_jax import allocator
from sel_jax import build
from sel_jax import models
from sel_jax.diffusion import SAMPLERS
from sel_jax.inference import Restorer

COLUMNS = {
  'sampler': 's',
  'steps': 'd',
  'size': 'd',
  'seconds': '.3f',
  'best': '.3f',
  'per call': '.4f',
  'first': '.1f',
}


def main() -> None:
  """Prints a table of samplers, steps and sizes."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--preset', default='small', help='of configs/lol.py')
  parser.add_argument('--samplers', default='posterior')
  parser.add_argument('--steps', default='5,20')
  parser.add_argument('--sizes', default='128,256')
  parser.add_argument('--repeats', type=int, default=5)
  parser.add_argument('--json', help='also write the figures to this file')
  args = parser.parse_args()
  unknown = set(args.samplers.split(',')) - set(SAMPLERS)
  if unknown:
    parser.error(f'--samplers: {sorted(unknown)} not in {sorted(SAMPLERS)}')
  allocator.keep_memory()
  config = lol.get_config(args.preset)
  method = build.build_method(config)
  params = models.init_params(method.model, jax.random.key(0))
  rows = []
  for sampler, steps, size in itertools.product(
    args.samplers.split(','),
    map(int, args.steps.split(',')),
    map(int, args.sizes.split(',')),
  ):
    spec = dataclasses.replace(
      build.eval_spec(config), sampler=sampler, steps=steps
    )
    restore = Restorer(method, spec).bind(params)
    image = measure.images('photo', size, 1)[0][0]
    run = lambda restore=restore, image=image: np.asarray(restore(image))
    first = measure.once(run)
    time = measure.seconds(run, args.repeats)
    rows.append(
      {
        'sampler': sampler,
        'steps': steps,
        'size': size,
        'seconds': time['median'],
        'best': time['best'],
        'per call': time['median'] / steps,
        'first': first,
      }
    )
  print(f'{measure.machine()}\nlol.py:{args.preset or "(paper)"}\n')
  measure.show(rows, COLUMNS)
  measure.save(args.json, vars(args), rows)


if __name__ == '__main__':
  main()
