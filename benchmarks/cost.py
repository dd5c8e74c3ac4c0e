"""What does a training run cost, and what fits a device?

Counts the operations of a step, and compiles it for this machine to read its
memory off the plan; nothing is run. From these: the largest batch of each
device and the hours of a run at an assumed share of its bfloat16 peak. Matrix
products and convolutions are counted, the entropy loss is not.

  python -m benchmarks.cost                       # the paper's preset
  python -m benchmarks.cost --preset=small --share=0.2
"""

import argparse
import functools
import time

import jax
import jax.numpy as jnp

from benchmarks.lib import measure
from benchmarks.step import flops
from sel_jax import build
from sel_jax.configs import lol
from sel_jax.settings import Settings
from sel_jax.training.state import TrainState
from sel_jax.training.step import train_step
from sel_jax.training.step import Update

# Name -> (dense bfloat16 TFLOP/s, GB of memory), as their makers state them.
DEVICES = {
  'NVIDIA A100 40 GB': (312, 40),
  'NVIDIA H100 80 GB': (989, 80),
  'NVIDIA L4 24 GB': (121, 24),
  'Cloud TPU v4 (chip)': (275, 32),
  'Cloud TPU v5e (chip)': (197, 16),
}

PLAN = {
  'remat': 's',
  'batch': 'd',
  'activations GB': '.2f',
  'compile s': '.0f',
}
COSTS = {
  'device': 's',
  'state GB': '.1f',
  'batch': 'd',
  'batch, remat': 'd',
  'hours': ',.1f',
}


def _abstract(settings: Settings, batch: int):
  """Shapes of state and batch, and the step."""
  method = build.build_method(settings)
  update = Update(build.build_optimizer(settings), 1.0)
  crop = settings.data.augment.crop
  image = jax.ShapeDtypeStruct((batch, crop, crop, 3), jnp.float32)
  example = {
    'low': image,
    'clean': image,
    'index': jax.ShapeDtypeStruct((batch,), jnp.int32),
  }

  def make(key):
    blank = jnp.zeros((1, 32, 32, 3))
    variables = method.model.init(key, blank, blank, jnp.ones((1,)))
    return TrainState.create(variables['params'], update.tx)

  state = jax.eval_shape(make, jax.random.key(0))
  step = functools.partial(train_step, method=method, update=update)
  return method, state, example, step


def _gigabytes(tree) -> float:
  leaves = jax.tree.leaves(tree)
  return sum(x.size * x.dtype.itemsize for x in leaves) / 2**30


def plan(preset: str, precision: str, remat: bool, batch: int):
  """A row of the plan of a step, the state in GB, FLOP of one example.

  The state counts parameters, gradient, moments and average.
  """
  settings = Settings.parse(lol.get_config(preset)).changed(
    {'model.dtype': precision, 'model.remat': remat}
  )
  method, state, example, step = _abstract(settings, batch)
  key = jax.random.key(0)
  begin = time.perf_counter()
  lowered = jax.jit(step, donate_argnums=0).lower(state, example, key)
  compiled = lowered.compile()
  seconds = time.perf_counter() - begin
  grads = _gigabytes(state.params)
  temporary = compiled.memory_analysis().temp_size_in_bytes / 2**30
  one = jax.ShapeDtypeStruct((1, *example['low'].shape[1:]), jnp.float32)
  t = jax.ShapeDtypeStruct((1,), jnp.int32)
  forward = jax.make_jaxpr(
    lambda p, x, t: method.model.apply({'params': p}, x, x, t)
  )(state.params, one, t)
  row = {
    'remat': 'yes' if remat else 'no',
    'batch': batch,
    'activations GB': max(temporary - grads, 0.0),
    'compile s': seconds,
  }
  return row, _gigabytes(state) + grads, 3 * flops(forward.jaxpr)


def main() -> None:
  """Prints the plan of the step and a row a device."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--preset', default='', help='of configs/lol.py')
  parser.add_argument('--precision', default='float32')
  parser.add_argument('--batches', default='1,3', help='two to compile')
  parser.add_argument('--share', type=float, default=0.1, help='of the peak')
  parser.add_argument('--json', help='also write the figures to this file')
  args = parser.parse_args()
  few, many = map(int, args.batches.split(','))
  rows, per_example = [], {}
  for remat in (False, True):
    found = [
      plan(args.preset, args.precision, remat, batch) for batch in (few, many)
    ]
    (first, state, work), (second, _, _) = found
    rows += [first, second]
    grown = second['activations GB'] - first['activations GB']
    per_example[remat] = max(grown, 1e-6) / (many - few)
  settings = Settings.parse(lol.get_config(args.preset))
  total = work * settings.data.loader.batch_size * settings.train.steps
  costs = []
  for name, (peak, memory) in DEVICES.items():
    room = 0.9 * memory - state
    costs.append(
      {
        'device': name,
        'state GB': state,
        'batch': max(0, int(room / per_example[False])),
        'batch, remat': max(0, int(room / per_example[True])),
        'hours': total / (peak * 1e12 * args.share) / 3600,
      }
    )
  print(f'{measure.machine()}\n{work / 1e9:,.1f} GFLOP an example\n')
  measure.show(rows, PLAN)
  print()
  measure.show(costs, COSTS)
  measure.save(args.json, vars(args), rows + costs)


if __name__ == '__main__':
  main()
