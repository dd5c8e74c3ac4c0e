"""Turns weights of one kind into another: PyTorch's, ours, portable ones.

python -m experiments.convert latest_EMA.pth runs/published
python -m experiments.convert runs/lol lol.safetensors
python -m experiments.convert runs/lol lol.pth

A folder is a checkpoint that evaluate, enhance, export and demo read. The
network of a .pth file is inferred from its tensors; what tensors do not tell,
the diffusion, is the release's and can be set: --set sde.max_sigma=30. Of other
sources the sampler's settings alone can be set: --set eval.steps=4
"""

import argparse
from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
from pathlib import Path
from typing import Any

import jax

from sel_jax import interop
from sel_jax import models
from sel_jax.checkpoints import Checkpoints
from sel_jax.checkpoints import FOLDER
from sel_jax.commands import command_line
from sel_jax.commands import config_files
from sel_jax.commands import dry_run
from sel_jax.errors import InputError
from sel_jax.inference import stored
from sel_jax.inference.stored import Stored
from sel_jax.interop import portable
from sel_jax.interop import torch_files

_DTYPES = ('float32', 'float16')


def _changes(texts: Sequence[str]) -> dict[str, Any]:
  """'section.key=value' of each --set, as `Settings.changed` takes them."""
  changes = {}
  for text in texts:
    path, equals, value = text.partition('=')
    if not equals or '.' not in path:
      raise InputError(f'--set {text}: give section.key=value')
    changes[path] = config_files.parse_value(path.split('.'), value)
  return changes


def _read(source: Path, changes: dict[str, Any]) -> Stored:
  """Weights of whatever the source is, with some settings changed."""
  if source.suffix in stored.TORCH:
    return stored.load(source, changes=changes)
  for name in changes:
    if not name.startswith('eval.'):
      raise InputError(
        f'--set {name}: a trained model has its configuration; only eval.* can '
        'be chosen anew'
      )
  found = stored.load(source)
  return dataclasses.replace(found, settings=found.settings.changed(changes))


def _note(text: str) -> tuple[str, str]:
  key, equals, value = text.partition('=')
  if not equals:
    raise InputError(f'--note {text}: give key=text')
  return key, value


def _check_reference(network: Any) -> None:
  """Raises InputError for a network that the reference cannot express."""
  for key in ('patch', 'gamma'):
    if (value := getattr(network, key, 1)) != 1:
      raise InputError(
        f"config.model.{key}={value}: the reference's network has no such "
        'thing; write .safetensors, which any framework reads'
      )


def _save_torch(path: Path, read: Stored, args: argparse.Namespace) -> None:
  del args
  interop.write_state(
    path, interop.to_state(read.settings.model.name, read.params)
  )


def _save_portable(path: Path, read: Stored, args: argparse.Namespace) -> None:
  config = read.settings.to_dict()
  if 'root' in config['data']:
    config['data']['root'] = ''  # a folder of the machine that trained
  config['init'] = Path(config['init']).name  # so may this be
  facts = {'config': config, 'step': read.step}
  facts |= {'source': Path(args.source).name, 'notes': args.note}
  portable.save(path, read.params, facts, dtype=args.dtype)


def _save_checkpoint(
  folder: Path, read: Stored, args: argparse.Namespace
) -> None:
  del args
  checkpoints = Checkpoints(folder)
  config = read.settings.to_dict()
  checkpoints.save(read.step, None, read.params, config)
  checkpoints.close()


def _writer(
  destination: Path, read: Stored, *, only_look: bool
) -> Callable[[Path, Stored, argparse.Namespace], None]:
  """What writes the destination, once that can be written."""
  if destination.suffix in stored.TORCH:
    _check_reference(read.settings.model.network)
    torch_files.require_torch()
    return _save_torch
  if destination.suffix == portable.ENDING:
    return _save_portable
  if (destination / FOLDER).exists():
    raise InputError(
      f'{destination}: holds checkpoints already; choose another'
    )
  dry_run.ensure_directory(destination, dry_run=only_look)
  return _save_checkpoint


def _parser() -> command_line.Parser:
  parser = command_line.parser(__doc__)
  parser.add_argument('source', help='.pth, .safetensors, or folder of a run')
  parser.add_argument('destination', help='.pth, .safetensors, or a new folder')
  parser.add_argument('--set', action='append', default=[], metavar='KEY=VALUE')
  parser.add_argument(
    '--dtype', choices=_DTYPES, default='float32', help='of .safetensors'
  )
  parser.add_argument(
    '--note',
    action='append',
    default=[],
    metavar='KEY=TEXT',
    help='kept with .safetensors: data, licence...',
  )
  parser.switch('--overwrite', help='replace the file if it is there')
  return parser


def main() -> None:
  """Entry point."""
  args = _parser().parse_flags()
  source, destination = Path(args.source), Path(args.destination)
  if destination.is_file() and not args.overwrite:
    raise InputError(f'{destination}: exists; add --overwrite to replace it')
  changes, args.note = _changes(args.set), dict(map(_note, args.note))
  read = _read(source, changes)
  write = _writer(destination, read, only_look=args.dry_run)
  if write is not _save_checkpoint:
    folder = destination.absolute().parent
    dry_run.ensure_directory(folder, dry_run=args.dry_run)
  leaves = jax.tree.leaves(read.params)
  text = (
    f'{read.settings.model.name} of {models.count_params(read.params):,} '
    f'parameters in {len(leaves)} tensors, from {source}'
  )
  if args.dry_run:
    dry_run.report([f'would write {destination}: {text}'])
    return
  write(destination, read, args)
  print(f'{destination}: {text}')


if __name__ == '__main__':
  command_line.run(main)
