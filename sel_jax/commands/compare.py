"""Puts saved outputs of any methods into one table, by one protocol.

python -m experiments.compare --data=/data/LOL --split=test \
    input=/data/LOL/eval15/low Retinexformer=outputs/retinexformer \
    --html=report.html

Each NAME=FOLDER holds an image for each pair of the split, named as the pair:
experiments.evaluate --output=FOLDER writes such a folder.
"""

import argparse
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from sel_jax.commands import command_line
from sel_jax.commands import dry_run
from sel_jax.commands import flags
from sel_jax.errors import InputError

if TYPE_CHECKING:
  import numpy as np

  from sel_jax.data.sequences import PairSource
  from sel_jax.evaluation.fid import FrechetDistance


def _methods(texts: list[str]) -> dict[str, Path]:
  """Name -> folder of 'NAME=FOLDER', or of a folder by its own name."""
  methods: dict[str, Path] = {}
  for text in texts:
    name, equals, folder = text.partition('=')
    if not equals:
      name, folder = Path(text).name, text
    if not name or name in methods:
      raise InputError(f'{text}: give every folder a name of its own, NAME=DIR')
    if not Path(folder).is_dir():
      raise InputError(f'{folder}: no such folder; check the path')
    methods[name] = Path(folder)
  return methods


def _rehearse(
  args: argparse.Namespace,
  methods: Mapping[str, Path],
  names: Sequence[str],
  pairs: 'PairSource',
) -> None:
  """Reads every output and says what would be measured."""
  from sel_jax.evaluation import evaluator

  for folder in methods.values():
    evaluator.evaluate_outputs(folder, pairs, names=())
  dry_run.report(
    [
      f'would measure {", ".join(methods)} on '
      f'{dry_run.counted(len(pairs), "pair")} of '
      f'{args.tfds or args.data}, split {args.split}: {", ".join(names)}',
      *dry_run.written([args.json, args.csv, args.html]),
    ]
  )


def parser() -> command_line.Parser:
  """The command's flags."""
  made = command_line.parser(__doc__, command='compare')
  made.add_argument('methods', nargs='+', metavar='NAME=FOLDER')
  made.add_argument(
    '--data', required=True, help="folder of pairs, or 'sample'"
  )
  flags.add_report(made)
  return made


def main() -> None:
  """Entry point."""
  args = parser().parse_flags()
  methods = _methods(args.methods)
  flags.check_data(args)

  from sel_jax.commands import measuring  # not for --help or a wrong path
  from sel_jax.evaluation import evaluator
  from sel_jax.evaluation import html_report
  from sel_jax.evaluation import text_report
  from sel_jax.evaluation.fid import FrechetDistance
  from sel_jax.settings import Settings

  names = flags.metrics(args.metrics)
  flags.check_report(args)
  pairs = measuring.chosen(args, flags.pairs(args, Settings()))
  if args.dry_run:
    _rehearse(args, methods, names, pairs)
    return
  entries, shots = [], {name: {} for name in methods}
  total = len(methods) * len(pairs)
  with tqdm(total=total, unit='image', dynamic_ncols=True) as bar:
    for method, folder in methods.items():
      frechet = FrechetDistance() if args.fid else None

      def on_image(
        name: str,
        *,
        low: 'np.ndarray',
        restored: 'np.ndarray',
        clean: 'np.ndarray',
        method: str = method,
        frechet: 'FrechetDistance | None' = frechet,
      ) -> None:
        bar.update()
        if frechet:
          frechet.add(restored=restored, clean=clean)
        if args.html:
          shots[method][name] = html_report.Shot.create(
            low=low, restored=restored, clean=clean
          )

      rows = evaluator.evaluate_outputs(
        folder, pairs, names=names, on_image=on_image
      )
      protocol = {
        'data': args.tfds or args.data,
        'split': args.split,
        'images': len(rows),
        'outputs': str(folder),
      }
      entries.append(
        text_report.Entry(method, protocol, rows, measuring.overall(frechet))
      )
  print(f'{args.tfds or args.data}, split {args.split}, {len(pairs)} images')
  print(text_report.compare_table(entries))
  for entry in entries:
    for name, value in entry.overall.items():
      print(f'{entry.name}: {name} {value:.2f}')
  measuring.write_reports(args, entries, shots)


if __name__ == '__main__':
  command_line.run(main)
