r"""Trains a model, or goes on where a run of the same folder stopped.

python -m experiments.train --config=configs/lol.py:small \
    --config.data.root=/data/LOL --workdir=runs/lol

Any key of the configuration can be set: --config.optim.lr=3e-4

On several machines the same command runs on each; Slurm, Open MPI, Kubernetes
and Cloud TPU are recognised, elsewhere add --coordinator=HOST:PORT
--processes=N --process=I. --profile=FIRST:LAST traces these steps.
"""

import argparse
import re
import textwrap

from sel_jax import fields
from sel_jax.commands import command_line
from sel_jax.commands import config_files
from sel_jax.commands import dry_run
from sel_jax.errors import InputError
from sel_jax.settings import SECTIONS
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
  lines = ['keys of the configuration, at their defaults:']
  for section, cls in {'': Settings, **SECTIONS}.items():
    lines.append('')
    for one in fields.described(cls).values():
      name = f'{section}.{one.name}'.lstrip('.')
      lines.append(f'  --config.{name}={one.default!r}')
      lines += textwrap.wrap(
        one.meaning(), 78, initial_indent=' ' * 6, subsequent_indent=' ' * 6
      )
  return '\n'.join(lines)


def parser() -> command_line.Parser:
  """The command's flags."""
  made = command_line.parser(__doc__)
  made.epilog = _keys()
  made.add_argument('--config', metavar='FILE.py[:PRESET]', help='see configs/')
  made.add_argument(
    '--workdir', help='folder of checkpoints, logs and pictures'
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


def _rehearse(settings: Settings, args: argparse.Namespace) -> None:
  """Checks what a run needs and says what it would do."""
  from sel_jax.training import cluster  # not for --help or a wrong flag
  from sel_jax.training import rehearsal

  told = cluster.is_told(args.coordinator, args.processes, args.process)
  data = rehearsal.check_data(settings)
  workdir = dry_run.ensure_directory(args.workdir, dry_run=True)
  state = rehearsal.check_state(settings, workdir)
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
  if not args.config or not args.workdir:
    raise InputError('give --config=configs/FILE.py and --workdir=DIR')
  profile = _profile(args.profile)
  config = config_files.load(args.config)
  config_files.override(config, keys)
  settings = Settings.parse(config)
  if args.dry_run:
    _rehearse(settings, args)
    return

  from sel_jax import training  # not for --help or a wrong flag
  from sel_jax.training import cluster

  cluster.connect(
    settings.parallel,
    coordinator=args.coordinator,
    processes=args.processes,
    process=args.process,
  )
  training.train(settings, args.workdir, profile=profile)


if __name__ == '__main__':
  command_line.run(main)
