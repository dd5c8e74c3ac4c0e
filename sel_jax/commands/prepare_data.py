"""Checks a data set of pairs, writes it as TFDS records, or darkens it anew.

python -m experiments.prepare_data --list
python -m experiments.prepare_data --dataset=lol_v1 --manual-dir=/data/LOL \
      --check --against=/data/unseen
python -m experiments.prepare_data --dataset=lol_v1 --manual-dir=/data/LOL \
      --data-dir=/data/tfds
python -m experiments.prepare_data --manual-dir=/data/LOL --split=test \
      --darken=/data/unseen

The last one takes the clean photographs again, by cameras that training never
draws, to validate on: the same files for the same --seed.
Training reads folders as well as records; see docs/guides/data.md.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from sel_jax.commands import command_line
from sel_jax.commands import dry_run
from sel_jax.data import folders
from sel_jax.data import inspection
from sel_jax.data import public
from sel_jax.data import tfds
from sel_jax.errors import InputError


def _check(manual_dir: str, name: str, against: Sequence[str]) -> int:
  counts = inspection.counts(manual_dir, name)
  pairs = ', '.join(f'{count} {split}' for split, count in counts.items())
  print(f'{manual_dir}: {pairs or "no"} pairs')
  found = inspection.inspect(manual_dir, name, against=against)
  for finding in found:
    print(f'{finding.kind}: {finding.text}')
  problems = sum(finding.kind == 'problem' for finding in found)
  print(f'{problems} problem(s), {len(found) - problems} note(s)')
  return 1 if problems else 0


def _rehearse(manual_dir: str, name: str, data_dir: str | None) -> None:
  """Counts the pairs of every split and says what would be done with them.

  Args:
    manual_dir: folder that was unpacked.
    name: the data set's name.
    data_dir: where records would go; None if pairs would only be looked at.
  """
  if data_dir is None:
    root = Path(manual_dir) / public.get_data_set(name).folder
    count = sum(
      len(folders.list_images(folder))
      for split in folders.SPLITS
      for folder in folders.split_folders(root, split) or ()
      if folder.is_dir()
    )
    dry_run.report([f'would look at {count} images in {root}'])
    return
  builder = tfds.make_builder(data_dir, name)
  counts = {
    split: len(public.find_split(Path(manual_dir), name, split) or ())
    for split in folders.SPLITS
  }
  dry_run.ensure_directory(data_dir, dry_run=True)
  if builder.is_prepared():
    dry_run.report([f'{builder.data_path} is there already; nothing to write'])
    return
  text = ', '.join(f'{n} {split}' for split, n in counts.items() if n)
  dry_run.report([f'would write {text} pairs to {builder.data_path}'])


def _darken(args: argparse.Namespace) -> int:
  """Writes, or would write, the pairs of --darken."""
  from sel_jax.data import darkened
  from sel_jax.data.pairs import open_pairs
  from sel_jax.data.pairs import PairsSpec

  if not Path(args.manual_dir).is_dir():
    raise InputError(f'{args.manual_dir}: no such folder; check the path')
  darkened.check(args.darken, args.split)
  spec = PairsSpec.create(source='folder', root=args.manual_dir)
  pairs = open_pairs(spec, args.split)
  dry_run.ensure_directory(args.darken, dry_run=args.dry_run)
  place = f'{dry_run.counted(len(pairs), "pair")} to {args.darken}'
  if args.dry_run:
    dry_run.report([f'would write {place}'])
    return 0
  with tqdm(total=len(pairs), unit='pair', dynamic_ncols=True) as bar:
    darkened.write(
      pairs, args.darken, args.split, seed=args.seed, on_done=bar.update
    )
  print(f'wrote {place}')
  return 0


def parser() -> command_line.Parser:
  """The command's flags."""
  made = command_line.parser(__doc__, command='prepare_data')
  made.switch('--list', help='data sets, where to get them')
  made.add_argument('--dataset', default='lol_v1', help='see --list')
  made.add_argument('--manual-dir', help='folder that was unpacked')
  made.add_argument('--data-dir', help='where to write records to')
  made.add_argument(
    '--darken',
    metavar='FOLDER',
    help='write pairs there whose low photographs are made of the clean ones '
    'of --manual-dir, by cameras that training never draws',
  )
  made.add_argument('--split', default='val', help='of --darken')
  made.add_argument('--seed', type=int, default=0, help='of --darken')
  made.switch('--check', help='look at every file, write nothing')
  made.add_argument(
    '--against',
    action='append',
    default=[],
    metavar='FOLDER',
    help='with --check: another data set, which may have scenes in common',
  )
  return made


def main() -> int:
  """Entry point: 0, or 1 where --check finds a problem."""
  args = parser().parse_flags()
  if args.list:
    for name in public.DATA_SETS:
      print(f'{name}: {public.instructions(name)}\n')
    return 0
  if not args.manual_dir:
    raise InputError(f'give --manual-dir. {public.instructions(args.dataset)}')
  if args.against and not args.check:
    raise InputError('--against: compares by --check; give it too')
  if args.darken:
    return _darken(args)
  if args.check and args.dry_run:
    _rehearse(args.manual_dir, args.dataset, None)
    return 0
  if args.check:
    return _check(args.manual_dir, args.dataset, args.against)
  if not args.data_dir:
    raise InputError('give --data-dir, the folder to write records to')
  if args.dry_run:
    _rehearse(args.manual_dir, args.dataset, args.data_dir)
    return 0
  builder = tfds.prepare(args.data_dir, args.manual_dir, args.dataset)
  counts = ', '.join(
    f'{split.num_examples} {name}'
    for name, split in builder.info.splits.items()
  )
  print(f'{builder.data_path}: {counts}')
  return 0


if __name__ == '__main__':
  command_line.run(main)
