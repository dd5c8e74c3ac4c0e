"""What `evaluate` and `compare` do once their flags are right.

Contract: the commands load this module after a first look at their paths; what
is wrong is an InputError, and results are written when all of them are there.
"""

import argparse
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from collections.abc import Sized
import dataclasses
from pathlib import Path
from typing import TypeAlias

import numpy as np
from tqdm import tqdm

from sel_jax import files
from sel_jax import models
from sel_jax import programs
from sel_jax.commands import dry_run
from sel_jax.commands import flags
from sel_jax.data import soundness
from sel_jax.data.pairs import open_pairs
from sel_jax.data.photographs import Photographs
from sel_jax.data.sequences import Pairs
from sel_jax.errors import InputError
from sel_jax.evaluation import evaluator
from sel_jax.evaluation import fid
from sel_jax.evaluation import html_report
from sel_jax.evaluation import text_report
from sel_jax.images import codec
from sel_jax.inference import Enhancer
from sel_jax.settings import Settings

Measured: TypeAlias = tuple[text_report.Entry, dict[str, html_report.Shot]]


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
  args: argparse.Namespace, settings: Settings, *, limit: int = 0
) -> tuple[str, Pairs]:
  """The pairs that are measured; what is wrong with any is said now.

  Args:
    args: flags of `flags.add_report`.
    settings: those of the model.
    limit: how many, evenly spread; 0 is all.

  Returns:
    Where they come from, and the pairs, or photographs without clean ones.

  Raises:
    InputError: if there is no such split, or for files that cannot be read, by
      their headers.
  """
  if flags.is_unpaired(args):
    if args.split != 'test':
      raise InputError(
        f'--split={args.split}: {args.data} holds photographs without clean '
        'ones, in no split; leave the flag out'
      )
    place, pairs = args.data, Photographs(args.data)
  else:
    spec = flags.pairs(args, settings)
    split = args.split if spec.source != 'photographs' else 'all'
    place, pairs = args.tfds or spec.place, open_pairs(spec, split)
  indices = evaluator.chosen(len(pairs), limit)
  return place, soundness.usable(pairs, indices, skip_broken=args.skip_broken)


def measure_all(
  args: argparse.Namespace,
  folders: Mapping[str, Path | None],
  outputs: Mapping[str, Path],
  names: Sequence[str],
) -> Iterator[Measured]:
  """Checkpoints on the split, then what other methods saved.

  Args:
    args: flags of `evaluate`.
    folders: checkpoint -> where its images go, if anywhere; one at least.
    outputs: method -> folder of its images, of the last checkpoint's pairs.
    names: the metrics.

  Yields:
    A checkpoint or method each.

  Raises:
    InputError: for what cannot be read.
  """
  place, pairs = '', None
  for checkpoint, folder in folders.items():
    enhancer = flags.load(args, checkpoint=checkpoint)
    place, pairs = chosen(args, enhancer.settings, limit=args.limit)
    entry, shots = _measure(args, enhancer, pairs, names, folder)
    protocol = _place(args, place, pairs) | entry.protocol
    named = dataclasses.replace(entry, name=checkpoint, protocol=protocol)
    yield named, shots
  if pairs is not None and outputs:
    yield from measure_outputs(args, pairs, outputs, names, place=place)


def _measure(
  args: argparse.Namespace,
  enhancer: Enhancer,
  pairs: Pairs,
  names: Sequence[str],
  folder: Path | None,
) -> Measured:
  """One model on the pairs, and its pictures, which go to a folder if any."""
  if folder:
    files.ensure_directory(folder)
  bar = tqdm(total=len(pairs), unit='image', dynamic_ncols=True)
  shots, frechet = {}, fid.FrechetDistance() if args.fid else None

  def on_compile(is_on: bool) -> None:
    bar.set_postfix_str('compiling' if is_on else '')

  with bar, programs.announced(on_compile):
    on_image = _kept(args, bar, shots, frechet, folder)
    rows = evaluator.evaluate(enhancer, pairs, names=names, on_image=on_image)
  protocol = {
    'images': len(rows),
    'checkpoint_step': enhancer.step,
    'sampler': enhancer.spec.sampler,
    'grid': enhancer.spec.grid,
    'steps': enhancer.spec.steps,
    'seed': enhancer.spec.seed,
    'parameters': models.count_params(enhancer.params),
  }
  return text_report.Entry('', protocol, rows, overall(frechet)), shots


def measure_outputs(
  args: argparse.Namespace,
  pairs: Pairs,
  outputs: Mapping[str, Path],
  names: Sequence[str],
  *,
  place: str,
) -> Iterator[Measured]:
  """Images that methods have saved, and their pictures.

  Args:
    args: flags of `flags.add_report`.
    pairs: what they are measured against.
    outputs: method -> folder of its images.
    names: the metrics.
    place: where the pairs come from.

  Yields:
    A method each.

  Raises:
    InputError: for an output that is missing or does not fit.
  """
  total = len(outputs) * len(pairs)
  with tqdm(total=total, unit='image', dynamic_ncols=True) as bar:
    for method, folder in outputs.items():
      shots, frechet = {}, fid.FrechetDistance() if args.fid else None
      rows = evaluator.evaluate_outputs(
        folder,
        pairs,
        names=names,
        on_image=_kept(args, bar, shots, frechet, None),
      )
      protocol = {
        **_place(args, place, pairs),
        'images': len(rows),
        'outputs': str(folder),
      }
      yield text_report.Entry(method, protocol, rows, overall(frechet)), shots


def rehearse_outputs(
  args: argparse.Namespace,
  pairs: Pairs,
  outputs: Mapping[str, Path],
  names: Sequence[str],
  *,
  place: str,
) -> str:
  """Reads every output; what would be measured, as `measure_outputs`."""
  for folder in outputs.values():
    evaluator.evaluate_outputs(folder, pairs, names=())
  return (
    f'would measure {", ".join(outputs)} on {_counted(pairs, pairs)} of '
    f'{where(args, place, pairs)}: {", ".join(names)}'
  )


def _place(
  args: argparse.Namespace, place: str, pairs: Pairs
) -> dict[str, str]:
  """Where pairs come from, for a table; photographs alone are in no split."""
  split = {'split': args.split} if pairs.has_clean else {}
  return {'data': place, **split}


def where(args: argparse.Namespace, place: str, pairs: Pairs) -> str:
  """Where pairs come from, in a sentence."""
  return ', split '.join(_place(args, place, pairs).values())


def _counted(found: Sized, pairs: Pairs) -> str:
  """'3 pairs', or photographs where they have no clean ones."""
  return dry_run.counted(
    len(found), 'pair' if pairs.has_clean else 'photograph'
  )


def _kept(
  args: argparse.Namespace,
  bar: tqdm,
  shots: dict[str, html_report.Shot],
  frechet: fid.FrechetDistance | None,
  folder: Path | None,
) -> evaluator.OnImage:
  """What is done with each restored image: counted, pictured, written."""

  def on_image(
    name: str,
    *,
    low: np.ndarray,
    restored: np.ndarray,
    clean: np.ndarray | None,
  ) -> None:
    bar.update()
    if frechet and clean is not None:
      frechet.add(restored=restored, clean=clean)
    if args.html:
      shots[name] = html_report.Shot.create(
        low=low, restored=restored, clean=clean
      )
    if folder:
      codec.write_image(folder / f'{name}.png', restored)

  return on_image


def rehearse(
  args: argparse.Namespace,
  folders: Mapping[str, Path | None],
  outputs: Mapping[str, Path],
  names: Sequence[str],
) -> None:
  """Reads checkpoints and pairs, and says what would be measured.

  Args:
    args: flags of `evaluate`.
    folders: checkpoint -> where its images would go.
    outputs: method -> folder of its images.
    names: the metrics.

  Raises:
    InputError: for what cannot be read or written.
  """
  lines, place, pairs = [], '', None
  for checkpoint, folder in folders.items():
    enhancer = flags.load(args, checkpoint=checkpoint)
    place, pairs = chosen(args, enhancer.settings, limit=args.limit)
    if folder:
      dry_run.ensure_directory(folder, dry_run=True)
    read = list(soundness.read_all(pairs, skip_broken=False))
    images = f'; images to {folder}' if folder else ''
    lines.append(
      f'would measure {dry_run.describe(enhancer, checkpoint)} on '
      f'{_counted(read, pairs)} of {where(args, place, pairs)}: '
      f'{", ".join(names)}{images}'
    )
  if pairs is not None and outputs:
    lines.append(rehearse_outputs(args, pairs, outputs, names, place=place))
  dry_run.report(lines + dry_run.written([args.json, args.csv, args.html]))
