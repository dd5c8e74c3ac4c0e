"""Turns weights of one kind into another: PyTorch's, ours, portable ones.

python -m experiments.convert latest_EMA.pth runs/published
python -m experiments.convert runs/lol lol.safetensors
python -m experiments.convert runs/lol lol.pth

A folder is a checkpoint that evaluate, enhance, export and demo read. The
network of a .pth file is inferred from its tensors; what tensors do not tell,
the diffusion, is the release's and can be set: --set sde.max_sigma=30. Of other
sources the sampler's settings alone can be set: --set eval.steps=4
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from sel_jax import build
from sel_jax import files
from sel_jax import interop
from sel_jax import models
from sel_jax.checkpoints import Checkpoints
from sel_jax.checkpoints import FOLDER
from sel_jax.commands import command_line
from sel_jax.commands import config_files
from sel_jax.errors import InputError
from sel_jax.inference import Enhancer
from sel_jax.interop import portable
from sel_jax.settings import Settings

_TORCH = ('.pth', '.pt', '.ckpt')
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


def _from_torch(path: Path, changes: dict[str, Any]) -> tuple[Settings, Any]:
  """Settings and parameters of a .pth file."""
  state = interop.read_state(path)
  inferred = interop.infer_model(state)
  found = {f'model.{name}': value for name, value in inferred.items()}
  settings = Settings().changed(found | changes)
  model = build.build_method(settings).model
  like = models.init_params(model, jax.random.key(0))
  try:
    params = interop.to_params(settings.model.name, state, like)
  except InputError as error:
    raise InputError(f'{path}: {error}') from error
  return settings, params


def _from_ours(
  path: Path, changes: dict[str, Any]
) -> tuple[int, Settings, Any]:
  """Step, settings and parameters of a run or a portable file."""
  for name in changes:
    if not name.startswith('eval.'):
      raise InputError(
        f'--set {name}: a trained model has its configuration; only eval.* can '
        'be chosen anew'
      )
  enhancer = Enhancer.from_checkpoint(path)
  return enhancer.step, enhancer.settings.changed(changes), enhancer.params


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


def _save_checkpoint(
  folder: Path, settings: Settings, step: int, params: Any
) -> None:
  if (folder / FOLDER).exists():
    raise InputError(f'{folder}: holds checkpoints already; choose another')
  files.ensure_directory(folder)
  checkpoints = Checkpoints(folder)
  checkpoints.save(step, None, params, settings.to_dict())
  checkpoints.close()


def main() -> None:
  """Entry point."""
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
  args = parser.parse_flags()
  source, destination = Path(args.source), Path(args.destination)
  if destination.is_file() and not args.overwrite:
    raise InputError(f'{destination}: exists; add --overwrite to replace it')
  changes = _changes(args.set)
  if source.suffix in _TORCH:
    step, (settings, params) = 0, _from_torch(source, changes)
  else:
    step, settings, params = _from_ours(source, changes)
  if destination.suffix in _TORCH:
    _check_reference(settings.model.network)
    interop.write_state(
      destination, interop.to_state(settings.model.name, params)
    )
  elif destination.suffix == portable.ENDING:
    # The data's folder is one of the machine that trained.
    config = settings.changed({'data.root': ''}).to_dict()
    facts = {'config': config, 'step': step, 'source': source.name}
    facts['notes'] = dict(map(_note, args.note))
    portable.save(destination, params, facts, dtype=args.dtype)
  else:
    _save_checkpoint(destination, settings, step, params)
  leaves = jax.tree.leaves(params)
  count = sum(int(np.size(leaf)) for leaf in leaves)
  print(
    f'{destination}: {settings.model.name} of {count:,} parameters in '
    f'{len(leaves)} tensors, from {source}'
  )


if __name__ == '__main__':
  command_line.run(main)
