"""Measures a trained model on a split of a paired data set.

python -m experiments.evaluate --checkpoint=runs/lol --data=/data/LOL \
      --split=test --json=test.json
"""

import argparse
import dataclasses
from pathlib import Path

from tqdm import tqdm

from experiments import command_line
from sel_jax import build
from sel_jax import models
from sel_jax.data import images
from sel_jax.data.photos import DataSpec
from sel_jax.data.photos import open_photos
from sel_jax.data.photos import Photos
from sel_jax.diffusion import GRIDS
from sel_jax.diffusion import SAMPLERS
from sel_jax.evaluation import evaluator
from sel_jax.evaluation import report
from sel_jax.inference import Enhancer

_SETTINGS = ('sampler', 'grid', 'steps', 'seed', 'tile', 'overlap', 'pool')


def add_sampler_flags(parser: argparse.ArgumentParser) -> None:
  """Flags shared by every command that restores images."""
  parser.add_argument(
    '--checkpoint', required=True, help='the --workdir of a training run'
  )
  parser.add_argument(
    '--sampler', help=f"{', '.join(SAMPLERS)}; default: the run's own"
  )
  parser.add_argument('--grid', help=f'of its times: {", ".join(GRIDS)}')
  parser.add_argument('--steps', type=int, help='network calls an image')
  parser.add_argument('--seed', type=int, help="of the sampler's noise")
  parser.add_argument(
    '--tile', type=int, help='side of the tiles of large photographs; 0: none'
  )
  parser.add_argument('--overlap', type=int, help='of tiles, pixels')
  parser.add_argument(
    '--pool', type=int, help='window of the channel attention; 0: everything'
  )


def load(args: argparse.Namespace) -> Enhancer:
  """The model that `add_sampler_flags` ask for."""
  return Enhancer.from_checkpoint(
    args.checkpoint, **{name: getattr(args, name) for name in _SETTINGS}
  )


def _photos(args, enhancer: Enhancer) -> Photos:
  own = build.data_spec(enhancer.config)
  if args.data is None:
    return open_photos(own, args.split)
  if args.data == 'sample':
    return open_photos(DataSpec(source='sample'), args.split)
  spec = dataclasses.replace(own, source='folder', root=args.data)
  return open_photos(spec, args.split)


def main() -> None:
  """Entry point."""
  parser = command_line.parser(__doc__)
  add_sampler_flags(parser)
  parser.add_argument(
    '--data', help="folder of pairs, or 'sample'; default: the training set's"
  )
  parser.add_argument('--split', default='test')
  parser.add_argument('--json', help='also write the figures to this file')
  parser.add_argument('--output', help='also write the images to this folder')
  parser.add_argument('--limit', type=int, default=0, help='images; 0 is all')
  args = parser.parse_args()

  enhancer = load(args)
  photos = _photos(args, enhancer)
  folder = images.ensure_directory(args.output) if args.output else None
  if args.json:
    images.ensure_directory(Path(args.json).absolute().parent)
  count = len(evaluator.chosen(len(photos), args.limit))
  bar = tqdm(total=count, unit='image', dynamic_ncols=True)

  def on_image(name, low, output, truth):
    del low, truth
    bar.update()
    if folder:
      images.write_image(folder / f'{name}.png', output)

  with bar:
    rows = evaluator.evaluate(
      lambda lows: [enhancer(low) for low in lows],
      photos,
      limit=args.limit,
      on_image=on_image,
    )
  protocol = {
    'data': args.data or enhancer.config.data.root or 'sample',
    'split': args.split,
    'images': len(rows),
    'checkpoint_step': enhancer.step,
    'sampler': enhancer.spec.sampler,
    'grid': enhancer.spec.grid,
    'steps': enhancer.spec.steps,
    'seed': enhancer.spec.seed,
    'parameters': models.count_params(enhancer.params),
  }
  heading = ', '.join(f'{k} {v}' for k, v in protocol.items())
  print(report.format_table(rows, heading))
  if args.json:
    report.write_json(
      args.json,
      {
        'protocol': protocol,
        'summary': report.summarize(rows),
        'images': rows,
      },
    )


if __name__ == '__main__':
  command_line.run(main)
