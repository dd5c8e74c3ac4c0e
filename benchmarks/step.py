"""How long is a training step, and how much of it is the loss?

Times the compiled step of a preset, network x loss x precision, and, with
`--baseline=torch`, the same network in PyTorch with L1 alone or with the dense
entropy loss as well. Each in a process of its own, in turn, three times; shown
is the round in the middle. FLOP/s count the products and sums of matrix
products and convolutions, three times the forward pass, and are set against the
best matrix product found on the device.

  python -m benchmarks.step --baseline=torch
  python -m benchmarks.step --levels=32 --baseline=torch
  python -m benchmarks.step --preset= --precisions=float32,bfloat16
"""

import argparse
import functools
import json
import math
import time

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.lib import measure
from sel_jax import allocator
from sel_jax import build
from sel_jax import models
from sel_jax.configs import lol
from sel_jax.settings import Settings
from sel_jax.training.parallel import Parallel
from sel_jax.training.state import TrainState
from sel_jax.training.step import train_step
from sel_jax.training.step import Update

COLUMNS = {
  'framework': 's',
  'loss': 's',
  'precision': 's',
  'seconds': '.4f',
  'least': '.4f',
  'most': '.4f',
  'compile': '.1f',
  'GFLOP/s': ',.0f',
  'of peak': '.1%',
  'share of loss': '.1%',
  'times': '.2f',
}


def _settings(args: argparse.Namespace) -> Settings:
  changes = {'model.dtype': args.precision}
  if args.levels:
    changes['entropy.levels'] = args.levels
  if args.batch:
    changes['data.batch_size'] = args.batch
  if args.loss == 'l1':
    changes |= {'loss.entropy': 0.0, 'loss.l1': 1.0}
  return Settings.parse(lol.get_config(args.preset)).changed(changes)


def flops(jaxpr) -> float:
  """Floating-point operations of matrix products and convolutions.

  Args:
    jaxpr: of a function; loops count as often as they run, branches never.
  """
  total = 0.0
  for equation in jaxpr.eqns:
    name, out = equation.primitive.name, equation.outvars[0].aval
    shapes = [getattr(v.aval, 'shape', ()) for v in equation.invars]
    if name == 'dot_general':
      (contract, _), _ = equation.params['dimension_numbers']
      total += 2 * out.size * math.prod(shapes[0][d] for d in contract)
    elif name == 'conv_general_dilated':
      rhs = equation.params['dimension_numbers'].rhs_spec
      total += 2 * out.size * math.prod(shapes[1]) / shapes[1][rhs[0]]
    times = equation.params.get('length', 1) if name == 'scan' else 1
    for inner in equation.params.values():
      inner = getattr(inner, 'jaxpr', inner)
      if hasattr(inner, 'eqns'):
        total += times * flops(inner)
  return total


def peak_flops(precision: str) -> float:
  """Best FLOP/s of square matrix products on this device."""
  best = 0.0
  sizes = (1024, 2048) if jax.default_backend() == 'cpu' else (4096, 8192)
  for size in sizes:
    a = jnp.ones((size, size), precision)
    product = jax.jit(jnp.dot).lower(a, a).compile()
    run = lambda product=product, a=a: product(a, a).block_until_ready()
    best = max(best, 2 * size**3 / measure.seconds(run, 10)['best'])
  return best


def _batch(settings: Settings) -> dict[str, np.ndarray]:
  size, batch = settings.data.augment.crop, settings.data.loader.batch_size
  clean, _ = measure.images('photo', size, batch)
  index = np.arange(batch, dtype=np.int32)
  return {'low': 0.2 * clean, 'clean': clean, 'index': index}


def _in_jax(args: argparse.Namespace) -> measure.Row:
  allocator.keep_memory()  # as training does
  settings = _settings(args)
  method = build.build_method(settings)
  update = Update(build.build_optimizer(settings), clip_norm=1.0)
  params = models.init_params(method.model, jax.random.key(0))
  host = jax.device_get(TrainState.create(params, update.tx))
  spread = Parallel(
    settings.parallel, batch_size=settings.data.loader.batch_size
  )
  layout = spread.layout(host)
  state = layout.place(host)
  step = layout.map_step(
    functools.partial(train_step, method=method, update=update)
  )
  batch = spread.put_batch(_batch(settings))
  key = jax.random.key(1)
  begin = time.perf_counter()
  compiled = step.lower(state, batch, key).compile()
  spent = time.perf_counter() - begin

  def run():
    nonlocal state
    state, scalars = compiled(state, batch, key)
    jax.block_until_ready((state, scalars))

  timing = measure.seconds(run, args.repeats)
  x = jax.ShapeDtypeStruct(batch['low'].shape, jnp.float32)
  t = jax.ShapeDtypeStruct((len(batch['index']),), jnp.int32)
  forward = jax.make_jaxpr(
    lambda p, x, t: method.model.apply({'params': p}, x, x, t)
  )(params, x, t)
  rate = 3 * flops(forward.jaxpr) / timing['median']
  return {
    'seconds': timing['median'],
    'best': timing['best'],
    'compile': spent,
    'GFLOP/s': rate / 1e9,
    'of peak': rate / (peak_flops(args.precision) * jax.device_count()),
  }


def _in_torch(args: argparse.Namespace) -> measure.Row:
  import torch

  from benchmarks.lib import torch_baseline

  settings = _settings(args)
  model = settings.model.network
  torch.manual_seed(0)
  net = torch_baseline.ConditionalNAFNet(
    model.width, model.enc, model.middle, model.dec
  )

  def loss(pred, target):
    total = (pred - target).abs().mean()
    if args.loss == 'l1':
      return total
    dense = torch_baseline.hellinger_loss(
      pred, target, levels=settings.entropy.levels
    )
    return total + settings.loss.entropy * dense

  step = torch_baseline.TrainingStep(
    net, build.build_method(settings).sde, loss
  )
  low, clean = (
    torch.tensor(np.moveaxis(_batch(settings)[k], -1, 1).copy())
    for k in ('low', 'clean')
  )
  timing = measure.seconds(lambda: step(low, clean), args.repeats)
  return {'seconds': timing['median'], 'best': timing['best']}


def _parse() -> argparse.Namespace:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--preset', default='small', help='of configs/lol.py')
  parser.add_argument('--losses', default='l1,entropy')
  parser.add_argument('--precisions', default='float32', help='or bfloat16')
  parser.add_argument('--levels', type=int, default=0, help="0: the preset's")
  parser.add_argument('--batch', type=int, default=0, help="0: the preset's")
  parser.add_argument('--baseline', default='', help='torch')
  parser.add_argument('--repeats', type=int, default=15)
  parser.add_argument('--rounds', type=int, default=3, help='processes each')
  parser.add_argument('--json', help='also write the figures to this file')
  for hidden in ('only', 'loss', 'precision'):
    parser.add_argument(f'--{hidden}', help=argparse.SUPPRESS)
  args = parser.parse_args()
  args.loss = args.loss or args.losses.split(',')[0]
  args.precision = args.precision or args.precisions.split(',')[0]
  return args


def _child(args, framework: str, loss: str, precision: str) -> measure.Row:
  options = {k: getattr(args, k) for k in ('preset', 'levels', 'batch')}
  slow = framework == 'torch' and loss != 'l1'
  options |= {'only': framework, 'loss': loss, 'precision': precision}
  options |= {'repeats': min(args.repeats, 3) if slow else args.repeats}
  flags = [f'--{key}={value}' for key, value in options.items()]
  return {
    'framework': framework,
    'loss': loss,
    'precision': precision,
    **measure.in_child('benchmarks.step', flags),
  }


def _rounds(args, cases) -> list[measure.Row]:
  """Every case in turn, `--rounds` times; of each the round in the middle."""
  found = [
    [_child(args, *case) for case in cases] for _ in range(max(args.rounds, 1))
  ]
  rows = []
  for runs in zip(*found, strict=True):
    ordered = sorted(runs, key=lambda row: row.get('seconds', math.inf))
    times = [row['seconds'] for row in ordered if 'seconds' in row]
    spread = {'least': times[0], 'most': times[-1]} if times else {}
    rows.append(ordered[len(times) // 2] | spread)
  return rows


def _compare(rows: list[measure.Row]) -> None:
  """Adds each row's ratio to PyTorch and the share of its loss."""
  found = {
    (r['framework'], r['loss'], r['precision']): r['seconds']
    for r in rows
    if 'seconds' in r
  }
  for row in rows:
    key = (row['framework'], row['loss'], row['precision'])
    plain = found.get((key[0], 'l1', key[2]))
    if key[1] != 'l1' and plain and key in found:
      row['share of loss'] = 1 - plain / found[key]
    torch = found.get(('torch', key[1], 'float32'))
    if torch and key in found:
      row['times'] = torch / found[key]


def main() -> None:
  """Prints a table of frameworks, losses and precisions."""
  args = _parse()
  if args.only:
    row = _in_torch(args) if args.only == 'torch' else _in_jax(args)
    print(json.dumps(row))
    return
  frameworks = [*filter(None, [args.baseline]), 'jax']
  cases = [
    (framework, loss, precision)
    for loss in args.losses.split(',')
    for framework in frameworks
    for precision in args.precisions.split(',')
    if framework == 'jax' or precision == 'float32'
  ]
  rows = _rounds(args, cases)
  _compare(rows)
  config = _config(args)
  crop = config.data.crop
  print(f'{measure.machine()}\nlol.py:{args.preset or "(paper)"}', end=', ')
  print(f'{config.data.batch_size} x {crop} x {crop}', end=', ')
  print(f'{config.entropy.levels} levels\n')
  measure.show(rows, COLUMNS)
  measure.save(args.json, vars(args), rows)


if __name__ == '__main__':
  main()
