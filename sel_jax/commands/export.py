"""Writes a trained model as StableHLO or ONNX, for programs without sel_jax.

python -m experiments.export --checkpoint=runs/lol lol.stablehlo
python -m experiments.export --checkpoint=runs/lol lol.onnx --size=256x256

StableHLO holds the whole sampler; ONNX one call of the network, and its
converter wants an environment of its own, see docs/guides/photographs.md.
"""

import argparse
from pathlib import Path
import re

from sel_jax.commands import command_line
from sel_jax.commands import dry_run
from sel_jax.commands import flags
from sel_jax.errors import InputError


def _size(text: str) -> tuple[int, int]:
  """'HxW' as numbers."""
  match = re.fullmatch(r'(\d+)x(\d+)', text)
  if not match:
    raise argparse.ArgumentTypeError(f'{text!r}: give HEIGHTxWIDTH')
  return int(match[1]), int(match[2])


def _formats() -> str:
  from sel_jax.inference import export

  return ' or '.join(export.FORMATS)


def parser() -> command_line.Parser:
  """The command's flags."""
  made = command_line.parser(__doc__, command='export')
  flags.add_model(made)
  made.explain(made.add_argument('destination', metavar='FILE'), _formats)
  made.add_argument(
    '--size', type=_size, help='HEIGHTxWIDTH; StableHLO takes any without it'
  )
  made.switch('--overwrite', help='replace the file if it is there')
  return made


def main() -> None:
  """Entry point."""
  args = parser().parse_flags()
  destination = Path(args.destination)
  if destination.exists() and not args.overwrite:
    raise InputError(f'{destination}: exists; add --overwrite to replace it')
  folder = destination.absolute().parent
  dry_run.ensure_directory(folder, dry_run=args.dry_run)
  options = {'size': args.size} if args.size else {}
  enhancer = flags.load(args)

  from sel_jax.inference import export  # not for --help or a wrong path

  if args.dry_run:
    export.check(enhancer, destination, **options)
    model = dry_run.describe(enhancer, args.checkpoint)
    dry_run.report([f'would write {destination}: {model}'])
    return
  difference = export.export(enhancer, destination, **options)
  size = destination.stat().st_size / 1e6
  print(
    f'{destination}: {size:.1f} MB; greatest difference from the model '
    f'{difference:.1e}'
  )


if __name__ == '__main__':
  command_line.run(main)
