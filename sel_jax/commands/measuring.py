"""What `evaluate` and `compare` do once their flags are right.

Contract: the commands load this module after a first look at their paths; what
is wrong is an InputError, and results are written when all of them are there.
"""

import argparse
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sel_jax import files
from sel_jax import models
from sel_jax import programs
from sel_jax.commands import dry_run
from sel_jax.commands import flags
from sel_jax.data import soundness
from sel_jax.data.pairs import open_pairs
from sel_jax.data.pairs import PairsSpec
from sel_jax.data.sequences import Pairs
from sel_jax.evaluation import evaluator
from sel_jax.evaluation import fid
from sel_jax.evaluation import html_report
from sel_jax.evaluation import text_report
from sel_jax.images import codec


def overall(frechet: fid.FrechetDistance | None) -> dict[str, float]:
  """Figures of the restored images as a set.

  Args:
    frechet: has seen every image; None where none was asked for.
  """
  return {'FID': frechet.distance()} if frechet else {}


def write_reports(
  args: argparse.Namespace,
  entries: Sequence[text_report.Entry],
  shots: dict[str, dict[str, html_report.Shot]],
) -> None:
  """Writes whatever of `flags.add_report` was asked for.

  Args:
    args: flags, with `json`, `csv` and `html`.
    entries: a method or checkpoint each.
    shots: name of an entry -> image -> its pictures.

  Raises:
    InputError: if a file cannot be written.
  """
  if args.json:
    text_report.write_json(args.json, {'entries': text_report.content(entries)})
  if args.csv:
    text_report.write_csv(args.csv, entries)
  if args.html:
    html_report.write_html(args.html, entries, shots)


def chosen(
  args: argparse.Namespace, spec: PairsSpec, *, limit: int = 0
) -> Pairs:
  """The pairs that are measured; what is wrong with any is said now.

  Args:
    args: flags of `flags.add_report`.
    spec: where they come from.
    limit: how many, evenly spread; 0 is all.

  Raises:
    InputError: if there is no such split, or for files that cannot be read, by
      their headers.
  """
  pairs = open_pairs(spec, args.split)
  indices = evaluator.chosen(len(pairs), limit)
  return soundness.usable(pairs, indices, skip_broken=args.skip_broken)


def measure(
  args: argparse.Namespace,
  checkpoint: str,
  names: Sequence[str],
  folder: Path | None,
) -> tuple[text_report.Entry, dict[str, html_report.Shot]]:
  """One checkpoint on the split, and its pictures.

  Args:
    args: flags of `evaluate`.
    checkpoint: the model, as --checkpoint names it.
    names: the metrics.
    folder: where the restored images go, if anywhere.

  Raises:
    InputError: for a checkpoint or pairs that cannot be read.
  """
  enhancer = flags.load(args, checkpoint=checkpoint)
  spec = flags.pairs(args, enhancer.settings)
  pairs = chosen(args, spec, limit=args.limit)
  if folder:
    files.ensure_directory(folder)
  bar = tqdm(total=len(pairs), unit='image', dynamic_ncols=True)
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

  def on_compile(is_on: bool) -> None:
    bar.set_postfix_str('compiling' if is_on else '')

  with bar, programs.announced(on_compile):
    rows = evaluator.evaluate(enhancer, pairs, names=names, on_image=on_image)
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


def rehearse(
  args: argparse.Namespace,
  folders: Mapping[str, Path | None],
  names: Sequence[str],
) -> None:
  """Reads checkpoints and pairs, and says what would be measured.

  Args:
    args: flags of `evaluate`.
    folders: checkpoint -> where its images would go.
    names: the metrics.

  Raises:
    InputError: for what cannot be read or written.
  """
  lines = []
  for checkpoint, folder in folders.items():
    enhancer = flags.load(args, checkpoint=checkpoint)
    spec = flags.pairs(args, enhancer.settings)
    pairs = chosen(args, spec, limit=args.limit)
    if folder:
      dry_run.ensure_directory(folder, dry_run=True)
    read = list(soundness.read_all(pairs, skip_broken=False))
    images = f'; images to {folder}' if folder else ''
    lines.append(
      f'would measure {dry_run.describe(enhancer, checkpoint)} on '
      f'{dry_run.counted(len(read), "pair")} of '
      f'{args.tfds or spec.place}, split {args.split}: '
      f'{", ".join(names)}{images}'
    )
  dry_run.report(lines + dry_run.written([args.json, args.csv, args.html]))
