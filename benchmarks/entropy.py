"""How fast and how small is the entropy loss, in which form?

Times value and gradient of `spatial_entropy_loss` in each form, of its dense
definition in JAX, and of a dense loss in PyTorch written as the published
release writes it. Each in a process of its own, on the same images.

  python -m benchmarks.entropy --baseline=torch --definition=reference
  python -m benchmarks.entropy --sizes=64,128,256,512
  python -m benchmarks.entropy --batch=8 --levels=256 --input=noise
"""

import argparse
import functools
import json
import math

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.lib import measure
from sel_jax import entropy
from sel_jax.entropy import fused

COLUMNS = {
  'form': 's',
  'size': 'd',
  'forward': '.3f',
  'both': '.3f',
  'best': '.3f',
  'memory': ',.0f',
  'planned': ',.0f',
  'value': '.6f',
  'times': '.1f',
  'memory times': '.1f',
}


def _spec(args: argparse.Namespace, form: str) -> entropy.EntropySpec:
  changes = {'kernel': args.kernel, 'bandwidth': args.bandwidth, 'form': form}
  if args.definition == 'reference':
    return entropy.EntropySpec.reference(args.distance, args.levels, **changes)
  return entropy.EntropySpec(
    distance=args.distance, levels=args.levels, **changes
  )


def dense_loss(pred, target, *, spec, weights):
  """The loss straight from the definition, with all L*L bins in memory."""
  densities = functools.partial(
    entropy.local_density, spec=spec, neighbor_weights=weights
  )
  swap = spec.distance == 'cross' and spec.cross_order == 'prediction'
  u, _ = entropy.density.coordinates(target, weights, spec=spec)
  h = entropy.bandwidth.resolve_bandwidth(spec.bandwidth, u)
  total = 0.0
  for window in spec.windows:
    p = densities(pred, window=window, bandwidth=h)
    q = densities(target, window=window, bandwidth=h)
    p, q = (q, p) if swap else (p, q)
    distance = entropy.divergence(
      spec.distance, p, q, axis=(-2, -1), eps=spec.eps
    )
    total = total + jnp.mean(distance, axis=(1, 2, 3))
  return total / len(spec.windows)


def _in_jax(args: argparse.Namespace) -> measure.Row:
  form = 'auto' if args.only == 'dense' else args.only
  spec = _spec(args, form)
  loss = entropy.spatial_entropy_loss
  if args.only == 'dense':
    loss = functools.partial(dense_loss, weights=entropy.uniform_weights())
  pred, target = map(
    jnp.asarray, measure.images(args.input, args.size, args.batch)
  )

  def mean(x, y):
    return jnp.mean(loss(x, y, spec=spec))

  forward = jax.jit(mean).lower(pred, target).compile()
  both = jax.jit(jax.value_and_grad(mean)).lower(pred, target).compile()
  run = lambda: jax.block_until_ready(both(pred, target))
  memory = measure.peak_extra_megabytes(run)
  time = measure.seconds(run, args.repeats)
  ahead = measure.seconds(
    lambda: jax.block_until_ready(forward(pred, target)), args.repeats
  )
  return {
    'forward': ahead['median'],
    'both': time['median'],
    'best': time['best'],
    'memory': memory,
    'planned': both.memory_analysis().temp_size_in_bytes / 2**20,
    'value': float(run()[0]),
  }


def _in_torch(args: argparse.Namespace) -> measure.Row:
  import torch

  from benchmarks.lib import torch_baseline

  if (args.distance, args.kernel) != ('hellinger', 'logistic'):
    raise ValueError('the baseline knows hellinger with the logistic kernel')
  pred, target = (
    torch.tensor(np.moveaxis(x, -1, 1).copy())
    for x in measure.images(args.input, args.size, args.batch)
  )
  pred.requires_grad_()
  loss = functools.partial(
    torch_baseline.hellinger_loss,
    target=target,
    levels=args.levels,
    bandwidth=args.bandwidth,
  )

  def both():
    pred.grad = None
    loss(pred).backward()

  def forward():
    with torch.no_grad():
      return float(loss(pred))

  memory = measure.peak_extra_megabytes(both)
  time = measure.seconds(both, args.repeats)
  ahead = measure.seconds(forward, args.repeats)
  return {
    'forward': ahead['median'],
    'both': time['median'],
    'best': time['best'],
    'memory': memory,
    'value': forward(),
  }


def _parse() -> argparse.Namespace:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--sizes', default='128', help='sides, such as 64,128')
  parser.add_argument('--batch', type=int, default=1)
  parser.add_argument('--levels', type=int, default=32)
  parser.add_argument('--distance', default='hellinger')
  parser.add_argument('--kernel', default='logistic')
  parser.add_argument('--bandwidth', type=float, default=0.5)
  parser.add_argument('--definition', default='ours', help='or reference')
  parser.add_argument('--input', default='photo', help='or noise')
  default = fused.choose_form('auto')
  parser.add_argument('--forms', default=default, help='such as tiles,rows')
  parser.add_argument('--baseline', default='', help='torch or dense')
  parser.add_argument('--repeats', type=int, default=5)
  parser.add_argument('--json', help='also write the figures to this file')
  parser.add_argument('--only', help=argparse.SUPPRESS)
  args = parser.parse_args()
  args.sizes = [int(size) for size in args.sizes.split(',')]
  args.size = args.sizes[0]
  return args


def _child(args: argparse.Namespace, form: str, size: int) -> measure.Row:
  keep = ('batch', 'levels', 'distance', 'kernel', 'bandwidth', 'definition')
  options = {k: getattr(args, k) for k in (*keep, 'input')}
  # A slow baseline needs no many repeats.
  repeats = min(args.repeats, 2) if form in ('torch', 'dense') else args.repeats
  options |= {'only': form, 'sizes': size, 'repeats': repeats}
  flags = [f'--{key}={value}' for key, value in options.items()]
  return measure.in_child('benchmarks.entropy', flags) | {
    'form': form,
    'size': size,
  }


def main() -> None:
  """Prints a table of forms and sizes."""
  args = _parse()
  if args.only:
    row = _in_torch(args) if args.only == 'torch' else _in_jax(args)
    print(json.dumps(row))
    return
  forms = [*filter(None, [args.baseline]), *args.forms.split(',')]
  rows = []
  for size in args.sizes:
    found = [_child(args, form, size) for form in forms]
    for row in found:
      base = found[0]
      if args.baseline and 'both' in base and 'both' in row:
        row['times'] = base['both'] / row['both']
        row['memory times'] = base['memory'] / max(row['memory'], 1.0)
    rows += found
  print(f'{measure.machine()}\n{_spec(args, "auto")}')
  print(f'{args.batch} pair(s) of {args.input}; seconds, MB\n')
  measure.show(rows, COLUMNS)
  last = [row for row in rows if row['form'] == forms[-1] and 'both' in row]
  if len(last) > 2:
    slope = np.polyfit(
      [math.log(row['size'] ** 2) for row in last],
      [math.log(row['both']) for row in last],
      1,
    )[0]
    print(f'\n{forms[-1]}: time grows as pixels^{slope:.2f}')
  measure.save(args.json, vars(args), rows)


if __name__ == '__main__':
  main()
