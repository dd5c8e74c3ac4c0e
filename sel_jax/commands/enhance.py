"""Brightens photographs with a trained model: no ground truth, any size.

python -m experiments.enhance photo.jpg
python -m experiments.enhance folder/ --checkpoint=runs/lol --output=brighter
python -m experiments.enhance photo.jpg --samples=4 --spread

Called again, it does what is left: results that are there are kept.
"""

import argparse
from collections.abc import Sequence
import glob
import os
from pathlib import Path
import sys
from typing import TYPE_CHECKING

from tqdm import tqdm

from sel_jax import places
from sel_jax.commands import command_line
from sel_jax.commands import dry_run
from sel_jax.commands import flags
from sel_jax.errors import InputError

if TYPE_CHECKING:
  from sel_jax.inference import bulk
  from sel_jax.inference import Enhancer


def parser() -> command_line.Parser:
  """The command's flags."""
  made = command_line.parser(__doc__, command='enhance')
  made.add_argument(
    'inputs', nargs='+', metavar='PHOTO', help='file, folder or pattern'
  )
  flags.add_model(made)
  made.add_argument(
    '--output', default='enhanced', help='folder, or file of a single photo'
  )
  made.switch('--recursive', help='also folders within folders')
  made.add_argument(
    '--strength', type=float, default=1.0, help='0 nothing to 1 everything'
  )
  made.switch('--preview', help='also write a low | restored strip')
  made.add_argument(
    '--samples',
    type=int,
    default=1,
    help='results of as many seeds, from --seed on, numbered from 1',
  )
  made.switch('--spread', help='also write a map of where the samples differ')
  made.switch('--trajectory', help="also write a strip of the sampler's states")
  made.switch('--overwrite', help='redo results that are there')
  return made


def _check_inputs(inputs: Sequence[str]) -> None:
  """Early: a wrong path is told before the model is loaded."""
  if not any(glob.has_magic(one) or os.path.exists(one) for one in inputs):
    raise InputError(f'{inputs[0]}: no such file; check the path')


def _make_folder(
  output: Path, jobs: 'list[bulk.Job]', *, only_look: bool
) -> None:
  """Early: nobody wants to learn after an hour that it cannot be written."""
  folder = output.parent if output == jobs[0].destination else output
  dry_run.ensure_directory(folder, dry_run=only_look)


def _fail(outcome: 'bulk.Outcome') -> None:
  tqdm.write(f'error: {outcome.note}', file=sys.stderr)


def _rehearse(
  args: argparse.Namespace,
  jobs: 'list[bulk.Job]',
  extras: 'bulk.Extras',
  enhancer: 'Enhancer',
) -> int:
  """Reads every photograph and says what would become of it."""
  from sel_jax.inference import bulk

  outcomes = []
  for outcome in bulk.check_files(
    jobs, extras=extras, overwrite=args.overwrite
  ):
    outcomes.append(outcome)
    if outcome.state == 'failed':
      _fail(outcome)
  by_state = bulk.by_state(outcomes)
  size = sum(bulk.megapixels(o.job) for o in by_state['written'])
  model = dry_run.describe(enhancer, args.checkpoint)
  lines = [
    f'would brighten {dry_run.counted(len(by_state["written"]), "photograph")}'
    f', {size:.1f} MP, with {model} to {args.output}'
  ]
  if by_state['kept']:
    lines.append(
      f'would keep {len(by_state["kept"])} there already; --overwrite redoes '
      'them'
    )
  if by_state['failed']:
    lines.append(f'{len(by_state["failed"])} would fail')
  dry_run.report(lines)
  return 2 if by_state['failed'] else 0


def main() -> int:
  """Entry point: 0, or 2 if a photograph failed."""
  args = parser().parse_flags()
  if not 0 <= args.strength <= 1:
    raise InputError(f'--strength={args.strength}: give 0 to 1')
  if args.samples < 1:
    raise InputError(f'--samples={args.samples}: give 1 or more')
  if args.spread and args.samples < 2:
    raise InputError('--spread: compares samples; give --samples=2 or more')
  _check_inputs(args.inputs)
  places.find(args.checkpoint)

  from sel_jax.inference import bulk  # not for --help or a wrong flag

  extras = bulk.Extras(args.samples, args.spread, args.trajectory, args.preview)
  output = Path(args.output)
  jobs = bulk.collect(args.inputs, output, recursive=args.recursive)
  enhancer = flags.load(args)
  _make_folder(output, jobs, only_look=args.dry_run)
  if args.dry_run:
    return _rehearse(args, jobs, extras, enhancer)
  sizes = {job: bulk.megapixels(job) for job in jobs}
  bar = tqdm(
    total=sum(sizes.values()),
    unit='MP',
    dynamic_ncols=True,
    bar_format='{l_bar}{bar}| {n:.1f}/{total:.1f} MP '
    '[{elapsed}<{remaining}{postfix}]',
  )

  def on_progress(job: bulk.Job, share: float) -> None:
    bar.set_postfix_str(job.source.name, refresh=False)
    # Sums of shares may exceed the whole by a rounding error.
    bar.update(min(share * sizes[job], bar.total - bar.n))

  outcomes = []
  with bar:
    for outcome in bulk.enhance_files(
      enhancer,
      jobs,
      strength=args.strength,
      extras=extras,
      overwrite=args.overwrite,
      on_progress=on_progress,
    ):
      outcomes.append(outcome)
      if outcome.state == 'failed':
        _fail(outcome)
      elif outcome.note:
        tqdm.write(f'{outcome.job.source}: {outcome.note}', file=sys.stderr)
      if outcome.state != 'written':  # no time is to be spent on it
        bar.total = max(bar.total - sizes[outcome.job], bar.n)
        bar.refresh()
  return _report(outcomes, output)


def _report(outcomes: 'list[bulk.Outcome]', output: Path) -> int:
  """What was done, what was not, and the exit status."""
  from sel_jax.inference import bulk

  by_state = bulk.by_state(outcomes)
  print(f'{len(by_state["written"])} photograph(s) written to {output}')
  if by_state['kept']:
    print(
      f'{len(by_state["kept"])} there already and kept; --overwrite redoes them'
    )
  if by_state['failed']:
    print(f'{len(by_state["failed"])} failed:')
    for outcome in by_state['failed']:
      print(f'  {outcome.note}')
  return 2 if by_state['failed'] else 0


if __name__ == '__main__':
  command_line.run(main)
