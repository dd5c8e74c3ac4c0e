"""Measures trained models on a split of a paired data set.

python -m experiments.evaluate --checkpoint=runs/lol --data=/data/LOL \
      --split=test --html=report.html --json=test.json

--checkpoint may be given several times: they are compared. Saved outputs of
other methods: experiments.compare.
"""

import argparse
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sel_jax import files
from sel_jax import models
from sel_jax.commands import command_line
from sel_jax.commands import dry_run
from sel_jax.commands import flags
from sel_jax.data.pairs import open_pairs
from sel_jax.evaluation import evaluator
from sel_jax.evaluation import fid
from sel_jax.evaluation import html_report
from sel_jax.evaluation import text_report
from sel_jax.images import codec
from sel_jax.inference import SHIPPED


def overall(frechet: fid.FrechetDistance | None) -> dict[str, float]:
  """Figures of the restored images as a set."""
  return {'FID': frechet.distance()} if frechet else {}


def write_reports(
  args: argparse.Namespace,
  entries: Sequence[text_report.Entry],
  shots: dict[str, dict[str, html_report.Shot]],
) -> None:
  """Whatever of `flags.add_report` was asked for."""
  if args.json:
    text_report.write_json(args.json, {'entries': text_report.content(entries)})
  if args.csv:
    text_report.write_csv(args.csv, entries)
  if args.html:
    html_report.write_html(args.html, entries, shots)


def _measure(
  args: argparse.Namespace,
  checkpoint: str,
  names: Sequence[str],
  folder: Path | None,
) -> tuple[text_report.Entry, dict[str, html_report.Shot]]:
  """One checkpoint on the split, and its pictures."""
  enhancer = flags.load(args, checkpoint=checkpoint)
  spec = flags.pairs(args, enhancer.settings)
  pairs = open_pairs(spec, args.split)
  if folder:
    files.ensure_directory(folder)
  count = len(evaluator.chosen(len(pairs), args.limit))
  bar = tqdm(total=count, unit='image', dynamic_ncols=True)
  shots = {}
  frechet = fid.FrechetDistance() if args.fid else None

  def on_image(
    name: str, *, low: np.ndarray, restored: np.ndarray, clean: np.ndarray
  ) -> None:
    bar.update()
    if frechet:
      frechet.add(restored=restored, clean=clean)
    if args.html:
      shots[name] = html_report.Shot.create(
        low=low, restored=restored, clean=clean
      )
    if folder:
      codec.write_image(folder / f'{name}.png', restored)

  with bar:
    rows = evaluator.evaluate(
      enhancer, pairs, names=names, limit=args.limit, on_image=on_image
    )
  protocol = {
    'data': args.tfds or spec.place,
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


def _folders(
  output: str | None, checkpoints: Sequence[str]
) -> dict[str, Path | None]:
  """Checkpoint -> where its images go, if they are to be written."""
  if not output or len(checkpoints) == 1:
    return dict.fromkeys(checkpoints, Path(output) if output else None)
  return {
    checkpoint: Path(output) / f'{number}_{Path(checkpoint).stem}'
    for number, checkpoint in enumerate(checkpoints)
  }


def _rehearse(
  args: argparse.Namespace,
  folders: Mapping[str, Path | None],
  names: Sequence[str],
) -> None:
  """Reads checkpoints and pairs, and says what would be measured."""
  lines = []
  for checkpoint, folder in folders.items():
    enhancer = flags.load(args, checkpoint=checkpoint)
    spec = flags.pairs(args, enhancer.settings)
    pairs = open_pairs(spec, args.split)
    if folder:
      dry_run.ensure_directory(folder, dry_run=True)
    read = [pairs[i] for i in evaluator.chosen(len(pairs), args.limit)]
    images = f'; images to {folder}' if folder else ''
    lines.append(
      f'would measure {dry_run.describe(enhancer, checkpoint)} on '
      f'{dry_run.counted(len(read), "pair")} of '
      f'{args.tfds or spec.place}, split {args.split}: '
      f'{", ".join(names)}{images}'
    )
  dry_run.report(lines + dry_run.written([args.json, args.csv, args.html]))


def main() -> None:
  """Entry point."""
  parser = command_line.parser(__doc__)
  flags.add_model(parser, many=True)
  flags.add_report(parser)
  parser.add_argument(
    '--data', help="folder of pairs, or 'sample'; default: the training set's"
  )
  parser.add_argument('--output', help='also write the images to this folder')
  parser.add_argument('--limit', type=int, default=0, help='images; 0 is all')
  args = parser.parse_flags()
  names = flags.metrics(args.metrics)
  flags.check_report(args)
  checkpoints = list(dict.fromkeys(args.checkpoint or [SHIPPED]))
  folders = _folders(args.output, checkpoints)
  if args.dry_run:
    _rehearse(args, folders, names)
    return
  entries, shots = [], {}
  for checkpoint, folder in folders.items():
    entry, shots[checkpoint] = _measure(args, checkpoint, names, folder)
    entries.append(entry)
    heading = f'{checkpoint}: {entry.heading()}'
    print(text_report.format_table(entry.rows, heading))
  if len(entries) > 1:
    print(text_report.compare_table(entries))
  write_reports(args, entries, shots)


if __name__ == '__main__':
  command_line.run(main)
