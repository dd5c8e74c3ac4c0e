"""How fast and how small is the entropy loss, in which form?

Times value and gradient of `spatial_entropy_loss` in each form, of its dense
definition in JAX, and of a dense loss in PyTorch written as the published
release writes it. Each in a process of its own, on the same images.

  python -m benchmarks.entropy --baseline=torch --definition=reference,ours
  python -m benchmarks.entropy --sizes=64,128,256,512
  python -m benchmarks.entropy --windows=3,5,7,15,31 --forms=tiles,rows
  python -m benchmarks.entropy --batch=8 --levels=256 --input=photo,noise
"""

import argparse
from collections.abc import Sequence
import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.lib import front
from benchmarks.lib import measure
from benchmarks.lib import rows
from sel_jax import entropy
from sel_jax.entropy import fused
from sel_jax.entropy.divergences import DIVERGENCES
from sel_jax.entropy.kernels import KERNELS
from sel_jax.errors import InputError

COLUMNS = {
  'input': 's',
  'definition': 's',
  'form': 's',
  'size': 'd',
  'window': 'd',
  'forward': '.3f',
  'both': '.3f',
  'best': '.3f',
  'memory': ',.0f',
  'planned': ',.0f',
  'value': '.6f',
  'times': '.1f',
  'memory times': '.1f',
  'to window 5': '.2f',
}

# What the forms are compared with.
_BASELINES = ('torch', 'dense')


def _spec(
  args: argparse.Namespace, form: str, windows: Sequence[int] = ()
) -> entropy.EntropySpec:
  changes = {'kernel': args.kernel, 'bandwidth': args.bandwidth, 'form': form}
  if windows:
    changes['windows'] = tuple(windows)
  if args.definition == 'reference':
    return entropy.EntropySpec.reference(
      args.distance, levels=args.levels, **changes
    )
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
  h = entropy.bandwidth.per_image(spec.bandwidth, u)
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


def _in_jax(
  args: argparse.Namespace, form: str, size: int, windows: Sequence[int]
) -> rows.Row:
  dense = form == 'dense'
  spec = _spec(args, fused.AUTO if dense else form, windows)
  loss = entropy.spatial_entropy_loss
  if dense:
    loss = functools.partial(dense_loss, weights=entropy.uniform_weights())
  pred, target = map(jnp.asarray, measure.images(args.input, size, args.batch))

  def mean(x, y):
    return jnp.mean(loss(x, y, spec=spec))

  forward = jax.jit(mean).lower(pred, target).compile()
  both = jax.jit(jax.value_and_grad(mean)).lower(pred, target).compile()
  run = lambda: jax.block_until_ready(both(pred, target))
  repeats = _repeats(args, form)
  memory = measure.peak_extra_array_megabytes(run)
  time = measure.seconds(run, repeats)
  ahead = measure.seconds(
    lambda: jax.block_until_ready(forward(pred, target)), repeats
  )
  return {
    'forward': ahead['median'],
    'both': time['median'],
    'best': time['best'],
    'memory': memory,
    'planned': measure.planned_megabytes(both),
    'value': float(run()[0]),
  }


def _in_torch(
  args: argparse.Namespace, size: int, windows: Sequence[int]
) -> rows.Row:
  import torch

  from benchmarks.lib import torch_baseline
  from benchmarks.lib import torch_density

  found = measure.images(args.input, size, args.batch)
  pred, target = torch_baseline.images(*found)
  pred.requires_grad_()
  loss = functools.partial(
    torch_density.published_loss,
    target=target,
    levels=args.levels,
    bandwidth=args.bandwidth,
    windows=_spec(args, fused.AUTO, windows).windows,
  )

  def both():
    pred.grad = None
    loss(pred).backward()
    torch_baseline.wait()

  def forward():
    with torch.no_grad():
      return float(loss(pred))

  repeats = _repeats(args, 'torch')
  memory = torch_baseline.peak_extra_megabytes(both)
  time = measure.seconds(both, repeats)
  ahead = measure.seconds(forward, repeats)
  return {
    'forward': ahead['median'],
    'both': time['median'],
    'best': time['best'],
    'memory': memory,
    'value': forward(),
  }


def _repeats(args: argparse.Namespace, form: str) -> int:
  """A slow baseline needs no many repeats."""
  return min(args.repeats, 2) if form in _BASELINES else args.repeats


def _with(
  args: argparse.Namespace, definition: str | None, source: str | None
) -> argparse.Namespace:
  """The flags with one definition and one input."""
  one = {
    'definition': definition or args.definition[0],
    'input': source or args.input[0],
  }
  return argparse.Namespace(**vars(args) | one)


def _row(
  args: argparse.Namespace,
  form: str,
  size: int,
  window: int | None = None,
  definition: str | None = None,
  input: str | None = None,
) -> rows.Row:
  """The figures of one form, size, window, definition and input, here."""
  args = _with(args, definition, input)
  windows = () if window is None else (window,)
  if form == 'torch':
    return _in_torch(args, size, windows)
  return _in_jax(args, form, size, windows)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
  parser = front.parser(__spec__.name, __doc__)
  add = parser.add_argument
  add('--sizes', type=front.numbers(), default='128', help='sides: 64,128')
  windows = (
    'each alone, in rows of its own: 3,5,31; none is 1, 3 and 5 together'
  )
  add('--windows', type=front.numbers(), default='', help=windows)
  add('--batch', type=front.number(), default=1, help='pairs of images')
  add('--levels', type=front.number(), default=32, help='bins of a density')
  add('--distance', choices=DIVERGENCES, default='hellinger')
  add('--kernel', choices=KERNELS, default='logistic')
  add('--bandwidth', type=float, default=0.5, help='in bins')
  definitions = front.names(('ours', 'reference'))
  add('--definition', type=definitions, default='ours', help='or both')
  inputs = front.names(('photo', 'noise'))
  add('--input', type=inputs, default='photo', help='or both')
  forms = front.names(fused.form_names())
  add('--forms', type=forms, default=fused.AUTO, help='such as tiles,rows')
  add('--baseline', choices=('', *_BASELINES), default='', help='what to beat')
  add('--repeats', type=front.number(), default=5, help='calls that are timed')
  args = front.parse(parser, arguments)
  args.forms = [fused.choose_form(form) for form in args.forms]
  _check(args)
  return args


def _check(args: argparse.Namespace) -> None:
  """What flags ask of one another."""
  for flag in ('sizes', 'forms', 'definition', 'input'):
    if not getattr(args, flag):
      raise InputError(f'--{flag}: give at least one')
  for form in args.forms:
    for definition in args.definition:
      _spec(_with(args, definition, None), form, args.windows)
  for source in args.input:
    for size in args.sizes:
      measure.check_side(source, size)
  if args.baseline != 'torch':
    return
  front.require_torch()
  if (args.distance, args.kernel) != ('hellinger', 'logistic'):
    raise InputError(
      '--baseline=torch knows hellinger with the logistic kernel alone; leave '
      'out --distance and --kernel'
    )


def _compare(found: Sequence[rows.Row], baseline: str) -> None:
  """Adds each row's ratios to its baseline's, where both have figures."""
  known: dict[tuple[object, ...], rows.Row] = {}
  for row in found:
    case = tuple(row.get(key) for key in ('input', 'size', 'window'))
    own = (*case, row.get('definition'))
    if row['form'] == baseline and 'both' in row:
      known[own] = row
    # One row of PyTorch's stands for both definitions.
    slow = known.get(own) or known.get((*case, None))
    if slow and 'both' in row:
      row['times'] = slow['both'] / row['both']
      row['memory times'] = slow['memory'] / max(row['memory'], 1.0)


def _widen(found: Sequence[rows.Row]) -> None:
  """Adds the ratio to a window of 5 of the same form and size, if taken."""
  keys = ('form', 'size', 'input', 'definition')
  known = {
    tuple(row.get(key) for key in keys): row['best']
    for row in found
    if row.get('window') == 5 and 'best' in row
  }
  for row in found:
    time = known.get(tuple(row.get(key) for key in keys))
    if time and 'best' in row:
      row['to window 5'] = row['best'] / time


def _growth(found: Sequence[rows.Row], form: str) -> str:
  """How time grows with the size, if there are three."""
  last = [row for row in found if row['form'] == form and 'both' in row]
  kinds = {(row.get('input'), row.get('definition')) for row in last}
  if len(last) < 3 or len(kinds) > 1 or 'window' in last[0]:
    return ''
  pixels = [math.log(row['size'] ** 2) for row in last]
  slope = np.polyfit(pixels, [math.log(row['both']) for row in last], 1)[0]
  return f'{form}: time grows as pixels^{slope:.2f}'


def _cases(args: argparse.Namespace) -> list[rows.Row]:
  """The rows to take; PyTorch knows one definition, and has one row."""
  found = []
  for size, window, source in itertools.product(
    args.sizes, args.windows or [None], args.input
  ):
    case = {'input': source, 'size': size}
    case |= {} if window is None else {'window': window}
    if args.baseline == 'torch':
      found.append({'form': 'torch'} | case)
    forms = [*(['dense'] if args.baseline == 'dense' else []), *args.forms]
    found += [
      {'definition': definition, 'form': form} | case
      for definition in args.definition
      for form in forms
    ]
  return found


def main(arguments: Sequence[str] | None = None) -> int:
  """Prints a table of forms, sizes and windows."""
  args = _parse(arguments)
  if args.case:
    return rows.answer(_row(args, **args.case))
  cases = _cases(args)
  if args.dry_run:
    return rows.preview(cases)
  found = [rows.in_child(args, case) for case in cases]
  _compare(found, args.baseline)
  _widen(found)
  return rows.report(
    args,
    (found, COLUMNS),
    heading='\n'.join(
      [
        *(
          f'{name}: {_spec(_with(args, name, None), fused.AUTO, args.windows)}'
          for name in args.definition
        ),
        f'{args.batch} pair(s) of images; seconds, MB',
      ]
    ),
    note=_growth(found, args.forms[-1]),
  )


if __name__ == '__main__':
  front.run(main)
