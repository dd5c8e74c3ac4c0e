r"""Trains a model, or goes on where a run of the same folder stopped.

python -m experiments.train --config=configs/lol.py

The run lives in runs/lol, or in --workdir=DIR; the pairs are looked for in
$SEL_JAX_DATA/lol_v1 and data/lol_v1, or --config.data.root=DIR names them. Any
key of the configuration can be set: --config.optim.lr=3e-4. A folder alone goes
on with the configuration that is stored in it: --workdir=runs/lol.

On several machines the same command runs on each; Slurm, Open MPI, Kubernetes
and Cloud TPU are recognised, elsewhere add --coordinator=HOST:PORT
--processes=N --process=I. --profile=FIRST:LAST traces these steps.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
import re
import textwrap
from typing import TYPE_CHECKING

from sel_jax import places
from sel_jax.commands import command_line
from sel_jax.commands import config_files
from sel_jax.commands import dry_run
from sel_jax.commands import first_look
from sel_jax.errors import InputError

if TYPE_CHECKING:
  import ml_collections

  from sel_jax.settings import Settings


def _profile(text: str | None) -> tuple[int, int] | None:
  if text is None:
    return None
  match = re.fullmatch(r'(\d+):(\d+)', text)
  if not match or int(match[1]) > int(match[2]):
    raise InputError(f'--profile={text}: give FIRST:LAST, such as 20:24')
  return int(match[1]), int(match[2])


def _keys() -> str:
  """Every key with its default, a line each, and what it means."""
  from sel_jax.settings import every_key

  lines = ['keys of the configuration, at their defaults:']
  section = None
  for name, one in every_key().items():
    if section != (section := name.rpartition('.')[0]):
      lines.append('')
    lines.append(f'  --config.{name}={one.default!r}')
    lines += textwrap.wrap(
      one.meaning(), 78, initial_indent=' ' * 6, subsequent_indent=' ' * 6
    )
  return '\n'.join(lines)


def parser() -> command_line.Parser:
  """The command's flags."""
  made = command_line.parser(__doc__, command='train')
  made.closing = _keys
  made.add_argument('--config', metavar='FILE.py[:PRESET]', help='see configs/')
  made.add_argument(
    '--workdir',
    help='folder of checkpoints, logs and pictures; default: runs/ and the '
    'name of the configuration',
  )
  made.add_argument(
    '--init',
    metavar='shipped|RUN|FILE',
    help='weights to start from, as --config.init',
  )
  made.switch(
    '--allow-change',
    help='go on even if the configuration differs from the stored one in what '
    'is learned',
  )
  made.add_argument('--profile', metavar='FIRST:LAST', help='steps to trace')
  made.add_argument(
    '--coordinator', metavar='HOST:PORT', help='address of process 0'
  )
  made.add_argument(
    '--processes', type=int, help='how many processes train together'
  )
  made.add_argument(
    '--process', type=int, help='which of them this one is, from 0'
  )
  return made


def _settings(
  args: argparse.Namespace, keys: Mapping[str, str]
) -> 'tuple[Settings, Path]':
  """What is to be trained, and the folder of the run."""
  if not args.config and not args.workdir:
    raise InputError(
      'give --config=configs/FILE.py, or the --workdir of a run to go on with'
    )
  init = {} if args.init is None else {'init': args.init}
  keys = {**keys, **init}
  if args.config:
    config = config_files.load(args.config)
    first_look.check('train', args.config, config, keys)
    config_files.load_imports(config, keys.get('imports'))
    workdir = args.workdir or config_files.run_folder(args.config)
  else:
    config, workdir = _stored(args.workdir), args.workdir
  from sel_jax.settings import every_key  # not for --help or a wrong path
  from sel_jax.settings import Settings

  config_files.override(config, keys, every_key())
  return Settings.parse(config), Path(workdir)


def _stored(workdir: str) -> 'ml_collections.ConfigDict':
  """The configuration of a run's newest checkpoint."""
  try:
    places.ensure_run(workdir)
  except InputError as error:
    raise InputError(
      f'{error}, or --config=configs/FILE.py to begin one'
    ) from error

  import ml_collections  # not for --help or a wrong path

  from sel_jax.checkpoints import Checkpoints
  from sel_jax.settings import Settings

  checkpoints = Checkpoints.open(workdir)
  try:
    stored = checkpoints.newest_config()[1]
  finally:
    checkpoints.close()
  settings = Settings.parse_stored(stored).whole()
  return ml_collections.ConfigDict(settings.to_dict())


def _rehearse(
  settings: 'Settings', workdir: Path, args: argparse.Namespace
) -> None:
  """Checks what a run needs and says what it would do."""
  from sel_jax.training import cluster  # not for --help or a wrong flag
  from sel_jax.training import rehearsal

  told = cluster.is_told(args.coordinator, args.processes, args.process)
  data = rehearsal.check_data(settings)
  dry_run.ensure_directory(workdir, dry_run=True)
  state = rehearsal.check_state(
    settings, workdir, allow_change=args.allow_change
  )
  updates, crop = settings.train.steps, settings.data.augment.crop
  lines = [
    f'would train {settings.model.name} with {state.parameters:,} parameters '
    f'for {updates:,} updates of {settings.data.loader.batch_size} x '
    f'{crop}x{crop} on {dry_run.counted(data.pairs, "pair")} in '
    f'{settings.data.pairs.place}, from update {state.first:,} of {workdir}',
    f'would validate on {dry_run.counted(data.validation, "pair")} every '
    f'{settings.train.eval_every:,} updates, save every '
    f'{settings.train.save_every:,}',
  ]
  if state.first >= updates:
    lines = [f'{workdir} has done its {updates:,} updates; nothing to train']
  if told:
    lines.append(
      f'would be process {args.process} of {args.processes}; the others, and '
      'their devices, were not asked'
    )
  dry_run.report(lines)


def main() -> None:
  """Entry point."""
  args, keys = parser().parse()
  profile = _profile(args.profile)
  settings, workdir = _settings(args, keys)
  if args.dry_run:
    _rehearse(settings, workdir, args)
    return

  from sel_jax import training  # not for --help or a wrong flag
  from sel_jax.training import cluster

  cluster.connect(
    settings.parallel,
    coordinator=args.coordinator,
    processes=args.processes,
    process=args.process,
  )
  training.train(
    settings, workdir, allow_change=args.allow_change, profile=profile
  )


if __name__ == '__main__':
  command_line.run(main)
