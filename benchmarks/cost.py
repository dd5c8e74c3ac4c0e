"""What does a training run cost, and what fits a device?

Counts the operations of a step, and compiles it for this machine to read its
memory off the plan; nothing is run. From these: the largest batch of each
device and the hours of a run at an assumed share of its bfloat16 peak. Matrix
products and convolutions are counted, the entropy loss is not.

  python -m benchmarks.cost                       # the paper's preset
  python -m benchmarks.cost --preset=small --share=0.2
"""

import argparse
from collections.abc import Sequence
import functools
import time

import jax
import jax.numpy as jnp

from benchmarks.lib import front
from benchmarks.lib import measure
from benchmarks.lib import rows
from benchmarks.lib.operations import flops
from sel_jax import build
from sel_jax.errors import InputError
from sel_jax.sections import DTYPES
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
# Whether activations are recomputed -> the column of the largest batch.
_BATCH = {'no': 'batch', 'yes': 'batch, remat'}
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
  update = Update(build.build_optimizer(settings), settings.optim.clip_norm)
  crop = settings.data.augment.crop
  image = jax.ShapeDtypeStruct((batch, crop, crop, 3), jnp.float32)
  example = {
    'low': image,
    'clean': image,
    'index': jax.ShapeDtypeStruct((batch,), jnp.int32),
  }

  def make(key):
    blank = jnp.zeros((1, crop, crop, 3))
    t = jnp.ones((1,), jnp.int32)
    variables = method.model.init(key, blank, blank, t)
    return TrainState.create(variables['params'], update.tx)

  state = jax.eval_shape(make, jax.random.key(0))
  step = functools.partial(train_step, method=method, update=update)
  return method, state, example, step


def _gigabytes(tree) -> float:
  leaves = jax.tree.leaves(tree)
  return sum(x.size * x.dtype.itemsize for x in leaves) / 2**30


def plan(settings: Settings, batch: int) -> rows.Row:
  """The plan of a step, the state in GB, GFLOP of one example.

  The state counts parameters, gradient, moments and average.
  """
  method, state, example, step = _abstract(settings, batch)
  key = jax.random.key(0)
  begin = time.perf_counter()
  lowered = jax.jit(step, donate_argnums=0).lower(state, example, key)
  compiled = lowered.compile()
  seconds = time.perf_counter() - begin
  grads = _gigabytes(state.params)
  temporary = measure.planned_megabytes(compiled) / 2**10
  one = jax.ShapeDtypeStruct((1, *example['low'].shape[1:]), jnp.float32)
  t = jax.ShapeDtypeStruct((1,), jnp.int32)
  forward = jax.make_jaxpr(
    lambda p, x, t: method.model.apply({'params': p}, x, x, t)
  )(state.params, one, t)
  return {
    'activations GB': max(temporary - grads, 0.0),
    'compile s': seconds,
    'state GB': _gigabytes(state) + grads,
    'GFLOP': 3 * flops(forward.jaxpr) / 1e9,
  }


def _costs(args: argparse.Namespace, plans: Sequence[rows.Row]):
  """A row per device, from the plans of all batches."""
  few, many = args.batches
  work, state = plans[0]['GFLOP'] * 1e9, plans[0]['state GB']
  memory = {
    (row['remat'], row['batch']): row['activations GB'] for row in plans
  }
  per_example = {
    remat: max(memory[remat, many] - memory[remat, few], 1e-6) / (many - few)
    for remat in args.remat
  }
  settings = _settings(args)
  total = work * settings.data.loader.batch_size * settings.train.steps
  return [
    {'device': name, 'state GB': state}
    | {
      _BATCH[remat]: max(0, int((0.9 * room - state) / each))
      for remat, each in per_example.items()
    }
    | {'hours': total / (peak * 1e12 * args.share) / 3600}
    for name, (peak, room) in DEVICES.items()
  ]


def _settings(args: argparse.Namespace, remat: bool = False) -> Settings:
  changes = {'model.dtype': args.precision}
  if remat:
    changes['model.remat'] = True
  return front.settings(args.preset, changes)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
  parser = front.parser(__spec__.name, __doc__)
  add = parser.add_argument
  add('--preset', default='', help="of configs/lol.py; '' is the paper's")
  add('--precision', choices=DTYPES, default='float32')
  batches = front.numbers()
  add('--batches', type=batches, default='1,3', help='two, to be compiled')
  remat = front.names(_BATCH)
  add('--remat', type=remat, default='no,yes', help='recompute activations')
  add('--share', type=front.number(0, float), default=0.1, help='of the peak')
  args = front.parse(parser, arguments)
  if len(args.batches) != 2 or args.batches[0] >= args.batches[1]:
    raise InputError('--batches: give two sizes, the smaller one first')
  if not args.remat or not args.share:
    raise InputError('--remat: give no, yes or both; --share: above 0')
  for choice in args.remat:
    _settings(args, choice == 'yes')
  return args


def main(arguments: Sequence[str] | None = None) -> int:
  """Prints the plan of the step, and a row per device."""
  args = _parse(arguments)
  cases = [
    {'remat': remat, 'batch': batch}
    for remat in args.remat
    for batch in args.batches
  ]
  if args.dry_run:
    return rows.preview([*cases, *({'device': name} for name in DEVICES)])
  plans = [
    rows.attempt(
      case,
      lambda case=case: plan(
        _settings(args, case['remat'] == 'yes'), case['batch']
      ),
    )
    for case in cases
  ]
  tables, heading = [(plans, PLAN)], f'lol.py:{args.preset or "(paper)"}'
  if not any('error' in row for row in plans):
    heading += f', {plans[0]["GFLOP"]:,.1f} GFLOP per example'
    tables.append((_costs(args, plans), COSTS))
  return rows.report(args, *tables, heading=heading)


if __name__ == '__main__':
  front.run(main)
