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
from typing import TYPE_CHECKING

from sel_jax import places
from sel_jax.commands import command_line
from sel_jax.commands import config_files
from sel_jax.commands import dry_run
from sel_jax.commands import first_look
from sel_jax.errors import InputError

if TYPE_CHECKING:
  from sel_jax.inference.stored import Stored

_DTYPES = ('float32', 'float16')


def _changes(texts: Sequence[str]) -> dict[str, Any]:
  """'section.key=value' of each --set, as `Settings.changed` takes them."""
  given = {}
  for text in texts:
    path, equals, value = text.partition('=')
    if not equals or '.' not in path:
      raise InputError(f'--set {text}: give section.key=value')
    given[path] = value
  if not given:
    return {}
  first_look.check_keys('train', given)
  from sel_jax import settings  # not for a wrong key

  known = settings.every_key()
  return {
    path: config_files.parse_value(value, known.get(path))
    for path, value in given.items()
  }


def _read(source: Path, changes: dict[str, Any]) -> 'Stored':
  """Weights of whatever the source is, with some settings changed."""
  from sel_jax.inference import stored  # not for --help or a wrong path

  if source.suffix in places.TORCH:
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
  for key, usual in (('patch', 1), ('gamma', 1), ('exposure', False)):
    if (value := getattr(network, key, usual)) != usual:
      raise InputError(
        f"config.model.{key}={value}: the reference's network has no such "
        'thing; write .safetensors, which any framework reads'
      )


def _save_torch(path: Path, read: 'Stored', args: argparse.Namespace) -> None:
  from sel_jax import interop

  del args
  interop.write_state(
    path, interop.to_state(read.settings.model.name, read.params)
  )


def _save_portable(
  path: Path, read: 'Stored', args: argparse.Namespace
) -> None:
  from sel_jax.interop import portable

  config = read.settings.to_dict()
  if 'root' in config['data']:
    config['data']['root'] = ''  # a folder of the machine that trained
  config['init'] = Path(config['init']).name  # so may this be
  facts = {'config': config, 'step': read.step}
  facts |= {'source': Path(args.source).name, 'notes': args.note}
  if read.exposure:
    facts['exposure'] = read.exposure.to_json()
  portable.save(path, read.params, facts, dtype=args.dtype)


def _save_checkpoint(
  folder: Path, read: 'Stored', args: argparse.Namespace
) -> None:
  from sel_jax.checkpoints import Checkpoints

  del args
  checkpoints = Checkpoints(folder)
  config = read.settings.to_dict()
  exposure = read.exposure.to_json() if read.exposure else None
  checkpoints.save(read.step, None, read.params, config, exposure=exposure)
  checkpoints.close()


def _writer(
  destination: Path, read: 'Stored', *, only_look: bool
) -> 'Callable[[Path, Stored, argparse.Namespace], None]':
  """What writes the destination, once that can be written."""
  if destination.suffix in places.TORCH:
    from sel_jax.interop import torch_files

    _check_reference(read.settings.model.network)
    torch_files.require_torch()
    return _save_torch
  if destination.suffix == places.PORTABLE:
    return _save_portable
  if (destination / places.CHECKPOINTS).exists():
    raise InputError(
      f'{destination}: holds checkpoints already; choose another'
    )
  dry_run.ensure_directory(destination, dry_run=only_look)
  return _save_checkpoint


def parser() -> command_line.Parser:
  """The command's flags."""
  made = command_line.parser(__doc__, command='convert')
  made.add_argument('source', help='.pth, .safetensors, or folder of a run')
  made.add_argument('destination', help='.pth, .safetensors, or a new folder')
  made.add_argument('--set', action='append', default=[], metavar='KEY=VALUE')
  made.add_argument(
    '--dtype', choices=_DTYPES, default='float32', help='of .safetensors'
  )
  made.add_argument(
    '--note',
    action='append',
    default=[],
    metavar='KEY=TEXT',
    help='kept with .safetensors: data, licence...',
  )
  made.switch('--overwrite', help='replace the file if it is there')
  return made


def main() -> None:
  """Entry point."""
  args = parser().parse_flags()
  source, destination = Path(args.source), Path(args.destination)
  if destination.is_file() and not args.overwrite:
    raise InputError(f'{destination}: exists; add --overwrite to replace it')
  places.find(source)
  changes, args.note = _changes(args.set), dict(map(_note, args.note))
  read = _read(source, changes)
  write = _writer(destination, read, only_look=args.dry_run)
  if write is not _save_checkpoint:
    folder = destination.absolute().parent
    dry_run.ensure_directory(folder, dry_run=args.dry_run)

  import jax  # not for --help or a wrong path

  from sel_jax import models

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
