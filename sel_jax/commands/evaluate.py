"""Measures trained models on a split of a paired data set.

python -m experiments.evaluate --checkpoint=runs/lol --data=/data/LOL \
      --split=test --html=report.html --json=test.json

--checkpoint may be given several times: they are compared. Saved outputs of
other methods: experiments.compare.
"""

import argparse
import dataclasses
from pathlib import Path

from tqdm import tqdm

from sel_jax import build
from sel_jax import files
from sel_jax import models
from sel_jax.commands import command_line
from sel_jax.data.pairs import DataSpec
from sel_jax.data.pairs import open_pairs
from sel_jax.diffusion import GRIDS
from sel_jax.diffusion import SAMPLERS
from sel_jax.errors import InputError
from sel_jax.evaluation import evaluator
from sel_jax.evaluation import fid
from sel_jax.evaluation import html_report
from sel_jax.evaluation import METRICS
from sel_jax.evaluation import text_report
from sel_jax.images import codec
from sel_jax.inference import Enhancer
from sel_jax.inference import SHIPPED

_SETTINGS = (
  'sampler', 'grid', 'steps', 'seed', 'tile', 'overlap', 'pool', 'dynamic',
  'unbias', 'anchor',
)  # fmt: skip


def add_sampler_flags(
  parser: argparse.ArgumentParser, *, many: bool = False
) -> None:
  """Flags shared by every command that restores images."""
  parser.add_argument(
    '--checkpoint',
    action='append' if many else 'store',
    help='the --workdir of a training run, or weights in .safetensors; '
    "default: 'shipped', the model that comes with the package",
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
  parser.add_argument(
    '--anchor',
    action=argparse.BooleanOptionalAction,
    help='tiles take the tones of the restored thumbnail',
  )
  parser.add_argument(
    '--dynamic', type=float, help='quantile of dynamic thresholding; 0: clip'
  )
  parser.add_argument(
    '--unbias',
    action='store_true',
    default=None,
    help="undo the bias of loss.objective='optimum'",
  )


def load(args: argparse.Namespace, checkpoint: str | None = None) -> Enhancer:
  """The model that `add_sampler_flags` ask for."""
  return Enhancer.from_checkpoint(
    checkpoint or args.checkpoint,
    **{name: getattr(args, name) for name in _SETTINGS},
  )


def add_report_flags(parser: argparse.ArgumentParser) -> None:
  """Flags shared by the commands that measure."""
  parser.add_argument('--split', default='test')
  parser.add_argument(
    '--tfds', help='name of a prepared TFDS set; --data is its folder'
  )
  parser.add_argument(
    '--metrics',
    help=f'of {",".join(METRICS)}; default: all whose weights exist',
  )
  parser.add_argument(
    '--fid', action='store_true', help='also the distance of the two sets'
  )
  parser.add_argument('--json', help='also write the figures to this file')
  parser.add_argument('--csv', help='also write a line an image to this file')
  parser.add_argument('--html', help='also write a report with pictures')


def chosen_metrics(text: str | None) -> list[str]:
  """Names of the metrics to measure.

  Raises:
    InputError: for an unknown one, or one whose weights are missing.
  """
  names = text.split(',') if text else list(METRICS)
  for name in list(names):
    if name not in METRICS:
      raise InputError(f'--metrics: {name!r} is none of {", ".join(METRICS)}')
    try:
      if METRICS[name].available:
        METRICS[name].available()
    except InputError as error:
      if text:
        raise
      print(f'{name} is left out: {error}')
      names.remove(name)
  if 'psnr' not in names:
    names.insert(0, 'psnr')  # the report ranks by it
  return names


def overall(frechet: fid.FrechetDistance | None) -> dict[str, float]:
  """Figures of the restored images as a set."""
  return {'FID': frechet.distance()} if frechet else {}


def write_reports(args, entries, shots) -> None:
  """Whatever of `add_report_flags` was asked for."""
  if args.json:
    text_report.write_json(args.json, {'entries': text_report.content(entries)})
  if args.csv:
    text_report.write_csv(args.csv, entries)
  if args.html:
    html_report.write_html(args.html, entries, shots)


def check_targets(args) -> None:
  """Early: that figures can be made, and written where they should go."""
  if args.fid:
    fid.require()
  for target in (args.json, args.csv, args.html):
    if target:
      files.ensure_directory(Path(target).absolute().parent)


def chosen_data(args, own: DataSpec) -> DataSpec:
  """The pairs that --data and --tfds ask for, the rest as in `own`."""
  if args.tfds:
    return dataclasses.replace(
      own, source='tfds', root=args.data or '', name=args.tfds
    )
  if args.data == 'sample':
    return DataSpec(source='sample')
  if args.data:
    return dataclasses.replace(own, source='folder', root=args.data)
  if own.source == 'folder' and not own.root:
    raise InputError('--data: give the folder of pairs to measure on')
  return own


def _measure(args, checkpoint, names, folder) -> tuple[text_report.Entry, dict]:
  """One checkpoint on the split, and its pictures."""
  enhancer = load(args, checkpoint)
  own = build.data_spec(enhancer.config)
  pairs = open_pairs(chosen_data(args, own), args.split)
  if folder:
    files.ensure_directory(folder)
  count = len(evaluator.chosen(len(pairs), args.limit))
  bar = tqdm(total=count, unit='image', dynamic_ncols=True)
  shots = {}
  frechet = fid.FrechetDistance() if args.fid else None

  def on_image(name, low, restored, clean):
    bar.update()
    if frechet:
      frechet.add(restored, clean)
    if args.html:
      shots[name] = html_report.Shot.create(low, restored, clean)
    if folder:
      codec.write_image(folder / f'{name}.png', restored)

  with bar:
    rows = evaluator.evaluate(
      lambda lows: [enhancer(low) for low in lows],
      pairs,
      names=names,
      limit=args.limit,
      on_image=on_image,
    )
  protocol = {
    'data': args.tfds or args.data or own.root or own.source,
    'split': args.split,
    'images': len(rows),
    'checkpoint_step': enhancer.step,
    'sampler': enhancer.spec.sampler,
    'grid': enhancer.spec.grid,
    'steps': enhancer.spec.steps,
    'seed': enhancer.spec.seed,
    'parameters': models.count_params(enhancer.params),
  }
  return text_report.Entry(checkpoint, protocol, rows, overall(frechet)), shots


def main() -> None:
  """Entry point."""
  parser = command_line.parser(__doc__)
  add_sampler_flags(parser, many=True)
  add_report_flags(parser)
  parser.add_argument(
    '--data', help="folder of pairs, or 'sample'; default: the training set's"
  )
  parser.add_argument('--output', help='also write the images to this folder')
  parser.add_argument('--limit', type=int, default=0, help='images; 0 is all')
  args = parser.parse_args()
  names = chosen_metrics(args.metrics)
  check_targets(args)
  checkpoints = list(dict.fromkeys(args.checkpoint or [SHIPPED]))
  entries, shots = [], {}
  for number, checkpoint in enumerate(checkpoints):
    folder = Path(args.output) if args.output else None
    if folder and len(checkpoints) > 1:
      folder /= f'{number}_{Path(checkpoint).stem}'
    entry, shots[checkpoint] = _measure(args, checkpoint, names, folder)
    entries.append(entry)
    heading = f'{checkpoint}: {entry.heading()}'
    print(text_report.format_table(entry.rows, heading))
  if len(entries) > 1:
    print(text_report.compare_table(entries))
  write_reports(args, entries, shots)


if __name__ == '__main__':
  command_line.run(main)
