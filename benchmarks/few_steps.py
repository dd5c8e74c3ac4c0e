"""How good is a trained model with few steps, and by which sampler?

Sampler x grid x network calls on a split of pairs. Each setting sees the same
images, one per device at a time; seconds are those of the median image, which
leaves compilation out.

  python -m benchmarks.few_steps --data=/data/LOL --steps=1,2,5,10,100
"""

import argparse
import itertools
from pathlib import Path

import numpy as np

from benchmarks.lib import measure
from sel_jax import allocator
from sel_jax.data.pairs import open_pairs
from sel_jax.data.pairs import PairsSpec
from sel_jax.evaluation import evaluator
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
  'ssim': '.3f',
  'lpips_alex': '.3f',
  'psnr_gt_mean': '.2f',
  'seconds': '.2f',
}
_METRICS = ('psnr', 'ssim', 'lpips_alex')


def _measured(enhancer: Enhancer, pairs, limit: int) -> measure.Row:
  """Means over a split."""
  rows = evaluator.evaluate(enhancer, pairs, names=_METRICS, limit=limit)
  summary = text_report.summarize(rows)
  found = {key: summary[key]['mean'] for key in (*_METRICS, 'psnr_gt_mean')}
  return found | {
    'psnr low': summary['psnr']['low'],
    'psnr high': summary['psnr']['high'],
    'seconds': float(np.median([row['seconds'] for row in rows])),
  }


def main() -> None:
  """Prints a table of samplers, grids and steps."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--checkpoint', default=SHIPPED)
  parser.add_argument('--data', default='', help='folder; empty: sample set')
  parser.add_argument('--split', default='test')
  parser.add_argument('--samplers', default='posterior')
  parser.add_argument('--grids', default='time')
  parser.add_argument('--steps', default='1,2,5,10')
  parser.add_argument('--limit', type=int, default=0, help='images; 0 is all')
  parser.add_argument('--json', help='also write the figures to this file')
  args = parser.parse_args()
  allocator.keep_memory()
  if args.data:
    spec = PairsSpec.create(root=str(Path(args.data).resolve()))
  else:
    spec = PairsSpec.create(source='sample')
  pairs = open_pairs(spec, args.split)
  enhancer = Enhancer.from_checkpoint(args.checkpoint)
  rows = []
  for sampler, grid, steps in itertools.product(
    args.samplers.split(','),
    args.grids.split(','),
    map(int, args.steps.split(',')),
  ):
    row = {'sampler': sampler, 'grid': grid, 'steps': steps}
    chosen = enhancer.with_settings(**row)
    rows.append(row | _measured(chosen, pairs, args.limit))
  print(f'{measure.machine()}\n{args.checkpoint}, {len(pairs)} images\n')
  measure.show(rows, COLUMNS)
  measure.save(args.json, vars(args), rows)


if __name__ == '__main__':
  main()
