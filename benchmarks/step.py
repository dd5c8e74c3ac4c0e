"""How long is a training step, and how much of it is the loss?

Times the compiled step of a preset, network x loss x precision, and, with
`--baseline=torch`, the same network in PyTorch with L1 alone or with the dense
entropy loss as well, of clean images whatever the preset's objective. Each in a
process of its own, in turn, three times; shown is the round in the middle.
FLOP/s count the products and sums of matrix products and convolutions, three
times the forward pass, and are set against the best matrix product found on the
device.

  python -m benchmarks.step --baseline=torch
  python -m benchmarks.step --levels=32 --baseline=torch
  python -m benchmarks.step --preset=light --losses=l1 --baseline=torch
  python -m benchmarks.step --preset=tune --losses=l1,detail
  python -m benchmarks.step --preset= --precisions=float32,bfloat16
"""

import argparse
from collections.abc import Sequence
import functools
import time
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.lib import front
from benchmarks.lib import measure
from benchmarks.lib import rows
from benchmarks.lib.operations import flops
from sel_jax import allocator
from sel_jax import build
from sel_jax import models
from sel_jax.errors import InputError
from sel_jax.sections import DTYPES
from sel_jax.settings import Settings
from sel_jax.training.parallel import Parallel
from sel_jax.training.state import TrainState
from sel_jax.training.step import train_step
from sel_jax.training.step import Update

_CASE = ('framework', 'loss', 'precision')
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


# Losses of a step -> keys of the configuration that ask for them.
LOSSES = {
  'l1': {'loss.entropy': 0.0, 'loss.l1': 1.0, 'loss.ssim': 0.0},
  'entropy': {},
  # The density of the detail layer, on a part of the crop, see --sample.
  'detail': {
    'loss.entropy': 0.1,
    'loss.l1': 1.0,
    'loss.ssim': 0.0,
    'entropy.detail': 3.0,
    'entropy.windows': (3, 7),
    'entropy.levels': 32,
  },
}


def _settings(
  args: argparse.Namespace, loss: str = 'entropy', precision: str = 'float32'
) -> Settings:
  changes = {'model.dtype': precision} | LOSSES[loss]
  if loss == 'detail':
    changes['entropy.sample'] = args.sample
  if args.levels:
    changes['entropy.levels'] = args.levels
  if args.batch:
    changes['data.batch_size'] = args.batch
  return front.settings(args.preset, changes)


def peak_flops(precision: str, repeats: int = 10) -> float:
  """Best FLOP/s of square matrix products on this device."""
  best = 0.0
  sizes = (1024, 2048) if jax.default_backend() == 'cpu' else (4096, 8192)
  for size in sizes:
    a = jnp.ones((size, size), precision)
    product = jax.jit(jnp.dot).lower(a, a).compile()
    run = lambda product=product, a=a: product(a, a).block_until_ready()
    best = max(best, 2 * size**3 / measure.seconds(run, repeats)['best'])
  return best


def _batch(settings: Settings) -> dict[str, np.ndarray]:
  size, batch = settings.data.augment.crop, settings.data.loader.batch_size
  clean, _ = measure.images('photo', size, batch)
  index = np.arange(batch, dtype=np.int32)
  return {'low': 0.2 * clean, 'clean': clean, 'index': index}


def _compiled(settings: Settings):
  """The compiled step, its state and batch, and the seconds it took."""
  method = build.build_method(settings)
  update = Update(
    build.build_optimizer(settings),
    clip_norm=settings.optim.clip_norm,
    decay=settings.optim.ema_decay,
  )
  params = models.init_params(jax.random.key(0), method.model)
  host = jax.device_get(TrainState.create(params, update.tx))
  spread = Parallel(
    settings.parallel, batch_size=settings.data.loader.batch_size
  )
  layout = spread.layout(host)
  state = layout.place(host)
  mapped = layout.map_step(
    functools.partial(train_step, method=method, update=update)
  )
  step = cast(jax.stages.Wrapped, mapped)  # jitted, as one process has it
  batch = spread.put_batch(_batch(settings))
  key = jax.random.key(1)
  begin = time.perf_counter()
  compiled = step.lower(state, batch, key).compile()
  spent = time.perf_counter() - begin
  return lambda state: compiled(state, batch, key), state, spent


def forward_flops(settings: Settings) -> float:
  """Operations of the network on one batch."""
  model = build.build_method(settings).model
  crop, size = settings.data.augment.crop, settings.data.loader.batch_size
  image = jax.ShapeDtypeStruct((size, crop, crop, 3), jnp.float32)
  t = jax.ShapeDtypeStruct((size,), jnp.int32)
  variables = jax.eval_shape(model.init, jax.random.key(0), image, image, t)
  return flops(jax.make_jaxpr(model.apply)(variables, image, image, t).jaxpr)


def _in_jax(args: argparse.Namespace, loss: str, precision: str) -> rows.Row:
  allocator.keep_memory()  # as training does
  settings = _settings(args, loss, precision)
  compiled, state, spent = _compiled(settings)

  def run():
    nonlocal state
    state, scalars = compiled(state)
    jax.block_until_ready((state, scalars))

  timing = measure.seconds(run, args.repeats)
  peak = peak_flops(precision, min(args.repeats, 10))
  rate = 3 * forward_flops(settings) / timing['median']
  return {
    'seconds': timing['median'],
    'best': timing['best'],
    'compile': spent,
    'GFLOP/s': rate / 1e9,
    'of peak': rate / (peak * jax.device_count()),
  }


def _in_torch(args: argparse.Namespace, loss: str) -> rows.Row:
  import torch

  from benchmarks.lib import torch_baseline

  settings = _settings(args, loss)
  torch.manual_seed(0)
  step = torch_baseline.TrainingStep.create(settings)
  batch = _batch(settings)
  low, clean = torch_baseline.images(batch['low'], batch['clean'])
  repeats = min(args.repeats, 3) if loss != 'l1' else args.repeats
  timing = measure.seconds(lambda: step(low, clean), repeats)
  return {'seconds': timing['median'], 'best': timing['best']}


def _row(
  args: argparse.Namespace, framework: str, loss: str, precision: str
) -> rows.Row:
  """The figures of one case, in this process."""
  if framework == 'torch':
    return _in_torch(args, loss)
  return _in_jax(args, loss, precision)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
  parser = front.parser(__spec__.name, __doc__)
  add = parser.add_argument
  add('--preset', default='small', help="of configs/lol.py; '' is the paper's")
  add('--losses', type=front.names(LOSSES), default='l1,entropy')
  precisions = front.names(DTYPES)
  add('--precisions', type=precisions, default='float32', help='or bfloat16')
  add('--levels', type=front.number(0), default=0, help="0: the preset's")
  sample = {'type': front.number(0, float), 'default': 0.25}
  add('--sample', **sample, help="share of the crop that 'detail' looks at")
  add('--batch', type=front.number(0), default=0, help="0: the preset's")
  add('--baseline', choices=('', 'torch'), default='', help='what to beat')
  add('--repeats', type=front.number(), default=15, help='steps that are timed')
  add('--rounds', type=front.number(), default=3, help='processes of each row')
  args = front.parse(parser, arguments)
  _check(args)
  return args


def _check(args: argparse.Namespace) -> None:
  """What flags and preset ask of one another."""
  if not args.losses or not args.precisions:
    raise InputError('--losses and --precisions: give at least one of each')
  for loss in args.losses:
    _settings(args, loss)
  settings = _settings(args)
  Parallel(settings.parallel, batch_size=settings.data.loader.batch_size)
  measure.check_side('photo', settings.data.augment.crop)
  if args.baseline != 'torch':
    return
  front.require_torch()
  for loss in args.losses:
    if unknown := _beyond_torch(_settings(args, loss)):
      raise InputError(
        f'--baseline=torch: the baseline has no {unknown}, which '
        f'lol.py:{args.preset} asks for; take --preset=small or --losses=l1'
      )


def _beyond_torch(settings: Settings) -> str:
  """What the settings ask for and the baseline lacks, if anything."""
  model, entropy = settings.model, settings.entropy
  lacks = {
    f'network {model.name}': model.name != 'nafnet',
    f'divergence {entropy.distance}': entropy.distance != 'hellinger',
    f'kernel {entropy.kernel}': entropy.kernel != 'logistic',
    f'bandwidth {entropy.bandwidth}': isinstance(entropy.bandwidth, str),
    'density of a detail layer': bool(settings.loss.entropy and entropy.detail),
    'loss besides l1': bool(dict(settings.loss.weights).keys() - {'l1'}),
  }
  return next((name for name, lacking in lacks.items() if lacking), '')


def _rounds(args: argparse.Namespace, cases: Sequence[rows.Row]):
  """Every case in turn, `--rounds` times; of each the round in the middle.

  A case that failed in any round is a row that failed.
  """
  found = [
    [rows.in_child(args, case) for case in cases] for _ in range(args.rounds)
  ]
  middle = []
  for runs in zip(*found, strict=True):
    failed = [row for row in runs if 'error' in row]
    ordered = failed or sorted(runs, key=lambda row: row['seconds'])
    row = ordered[len(ordered) // 2]
    if not failed:
      times = [run['seconds'] for run in ordered]
      row = row | {'least': times[0], 'most': times[-1]}
    middle.append(row)
  return middle


def _compare(found: Sequence[rows.Row]) -> None:
  """Adds each row's ratio to PyTorch and the share of its loss."""
  seconds = {
    (r['framework'], r['loss'], r['precision']): r['seconds']
    for r in found
    if 'seconds' in r
  }
  for row in found:
    framework, loss, precision = (row[k] for k in _CASE)
    own = seconds.get((framework, loss, precision))
    plain = seconds.get((framework, 'l1', precision))
    torch = seconds.get(('torch', loss, 'float32'))
    if own and plain and loss != 'l1':
      row['share of loss'] = 1 - plain / own
    if own and torch:
      row['times'] = torch / own


def main(arguments: Sequence[str] | None = None) -> int:
  """Prints a table of frameworks, losses and precisions."""
  args = _parse(arguments)
  if args.case:
    return rows.answer(_row(args, **args.case))
  frameworks = [*filter(None, [args.baseline]), 'jax']
  cases = [
    dict(zip(_CASE, (framework, loss, precision), strict=True))
    for loss in args.losses
    for framework in frameworks
    for precision in args.precisions
    if framework == 'jax' or precision == 'float32'
  ]
  if args.dry_run:
    return rows.preview(cases)
  found = _rounds(args, cases)
  _compare(found)
  settings = _settings(args)
  crop, batch = settings.data.augment.crop, settings.data.loader.batch_size
  heading = (
    f'lol.py:{args.preset or "(paper)"}, {batch} x {crop} x {crop}, '
    f'{settings.entropy.levels} levels'
  )
  return rows.report(args, (found, COLUMNS), heading=heading)


if __name__ == '__main__':
  front.run(main)
