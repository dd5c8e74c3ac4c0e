"""How good is a trained model with few steps, and by which sampler?

Sampler x grid x network calls on a split of pairs. Each setting sees the same
images, one per device at a time; seconds are those of the median image, which
leaves compilation out.

  python -m benchmarks.few_steps --data=/data/LOL --steps=1,2,5,10,100
"""

import argparse
from collections.abc import Sequence

import numpy as np

from benchmarks.lib import front
from benchmarks.lib import pairs
from benchmarks.lib import rows
from sel_jax import allocator
from sel_jax.commands import flags
from sel_jax.data.pairs import open_pairs
from sel_jax.diffusion import GRIDS
from sel_jax.diffusion import SAMPLERS
from sel_jax.evaluation import evaluator
from sel_jax.evaluation import METRICS
from sel_jax.evaluation import text_report
from sel_jax.inference import Enhancer
from sel_jax.inference import SHIPPED

COLUMNS = {
  'sampler': 's',
  'grid': 's',
  'steps': 'd',
  'psnr': '.2f',
  'psnr low': '.2f',
  'psnr high': '.2f',
  'psnr_gt_mean': '.2f',
  'seconds': '.2f',
}
# PSNR once the mean is matched to the ground truth's.
_MATCHED = 'psnr_gt_mean'


def _measured(enhancer: Enhancer, pairs, args: argparse.Namespace) -> rows.Row:
  """Means over a split."""
  found = evaluator.evaluate(
    enhancer, pairs, names=args.metrics, limit=args.limit
  )
  summary = text_report.summarize(found)
  means = {key: summary[key]['mean'] for key in (*args.metrics, _MATCHED)}
  return means | {
    'psnr low': summary['psnr']['low'],
    'psnr high': summary['psnr']['high'],
    'seconds': float(np.median([float(row['seconds']) for row in found])),
  }


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
  parser = front.parser(__spec__.name, __doc__)
  add = parser.add_argument
  add('--checkpoint', default=SHIPPED, help='run, or weights in .safetensors')
  pairs.add(parser, split='test')
  add('--samplers', type=front.names(SAMPLERS), default='posterior')
  add('--grids', type=front.names(GRIDS), default='time')
  add('--steps', type=front.numbers(), default='1,2,5,10', help='calls')
  add('--metrics', default='psnr,ssim,lpips_alex')
  args = front.parse(parser, arguments)
  args.metrics = flags.metrics(args.metrics)
  return args


def main(arguments: Sequence[str] | None = None) -> int:
  """Prints a table of samplers, grids and steps."""
  args = _parse(arguments)
  allocator.keep_memory()
  found_pairs = open_pairs(pairs.spec(args), args.split)
  enhancer = Enhancer.from_checkpoint(args.checkpoint)
  cases = [
    {'sampler': sampler, 'grid': grid, 'steps': steps}
    for sampler in args.samplers
    for grid in args.grids
    for steps in args.steps
  ]
  for case in cases:
    enhancer.settings.changed({f'eval.{k}': v for k, v in case.items()})
  if args.dry_run:
    return rows.preview(cases)
  found = [
    rows.attempt(
      case,
      lambda case=case: _measured(
        enhancer.with_settings(**case), found_pairs, args
      ),
    )
    for case in cases
  ]
  columns = COLUMNS | {n: METRICS[n].form for n in args.metrics}
  images = len(evaluator.chosen(len(found_pairs), args.limit))
  return rows.report(
    args, (found, columns), heading=f'{args.checkpoint}, {images} images'
  )


if __name__ == '__main__':
  front.run(main)
