"""Turns weights of one kind into another: PyTorch's, ours, portable ones.

python -m experiments.convert latest_EMA.pth runs/published
python -m experiments.convert runs/lol lol.safetensors
python -m experiments.convert runs/lol lol.pth

A folder is a checkpoint that evaluate, enhance, export and demo read. The
network of a .pth file is inferred from its tensors; what tensors do not tell,
the diffusion, is the release's and can be set: --set sde.max_sigma=30. Of other
sources the sampler's settings alone can be set: --set eval.steps=4
"""

import ast
from pathlib import Path
from typing import Any

import jax
import ml_collections
import numpy as np

from sel_jax import build
from sel_jax import files
from sel_jax import interop
from sel_jax import models
from sel_jax.checkpoints import Checkpoints
from sel_jax.checkpoints import FOLDER
from sel_jax.commands import command_line
from sel_jax.configs import default
from sel_jax.errors import InputError
from sel_jax.inference import Enhancer
from sel_jax.interop import portable

_TORCH = ('.pth', '.pt', '.ckpt')
_DTYPES = ('float32', 'float16')


def _set(config: ml_collections.ConfigDict, text: str) -> None:
  """Applies 'section.key=value'."""
  path, equals, value = text.partition('=')
  section, dot, key = path.partition('.')
  if not equals or not dot:
    raise InputError(f'--set {text}: give section.key=value')
  if section not in config or key not in config[section]:
    raise InputError(f'--set {text}: no such key; see configs/default.py')
  try:
    parsed = ast.literal_eval(value)
  except (ValueError, SyntaxError):
    parsed = value
  try:
    config[section][key] = parsed
  except TypeError as error:
    raise InputError(f'--set {text}: {error}') from error


def _from_torch(
  path: Path, settings: list[str]
) -> tuple[ml_collections.ConfigDict, Any]:
  """Configuration and parameters of a .pth file."""
  state = interop.read_state(path)
  config = default.get_config()
  config.model.update(interop.infer_model(state))
  for text in settings:
    _set(config, text)
  build.check_config(config)
  model = build.build_model(config)
  like = models.init_params(model, jax.random.key(0))
  try:
    params = interop.to_params(config.model.name, state, like)
  except InputError as error:
    raise InputError(f'{path}: {error}') from error
  return config, params


def _from_ours(
  path: Path, settings: list[str]
) -> tuple[int, ml_collections.ConfigDict, Any]:
  """Step, configuration and parameters of a run or a portable file."""
  enhancer = Enhancer.from_checkpoint(path)
  for text in settings:
    if not text.startswith('eval.'):
      raise InputError(
        f'--set {text}: a trained model has its configuration; only eval.* can '
        'be chosen anew'
      )
    _set(enhancer.config, text)
  build.check_config(enhancer.config)
  return enhancer.step, enhancer.config, enhancer.params


def _note(text: str) -> tuple[str, str]:
  key, equals, value = text.partition('=')
  if not equals:
    raise InputError(f'--note {text}: give key=text')
  return key, value


def _check_reference(model: ml_collections.ConfigDict) -> None:
  """Raises InputError for a network that the reference cannot express."""
  for key in ('patch', 'gamma'):
    if (value := model.get(key, 1)) != 1:
      raise InputError(
        f"config.model.{key}={value}: the reference's network has no such "
        'thing; write .safetensors, which any framework reads'
      )


def _save_checkpoint(folder: Path, config, step: int, params) -> None:
  if (folder / FOLDER).exists():
    raise InputError(f'{folder}: holds checkpoints already; choose another')
  files.ensure_directory(folder)
  checkpoints = Checkpoints(folder)
  checkpoints.save(step, None, params, config.to_dict())
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
  parser.add_argument('--overwrite', action='store_true')
  args = parser.parse_args()
  source, destination = Path(args.source), Path(args.destination)
  if destination.is_file() and not args.overwrite:
    raise InputError(f'{destination}: exists; add --overwrite to replace it')
  if source.suffix in _TORCH:
    step, (config, params) = 0, _from_torch(source, args.set)
  else:
    step, config, params = _from_ours(source, args.set)
  if destination.suffix in _TORCH:
    _check_reference(config.model)
    interop.write_state(
      destination, interop.to_state(config.model.name, params)
    )
  elif destination.suffix == portable.ENDING:
    config.data.root = ''  # a folder of the machine that trained
    facts = {'config': config.to_dict(), 'step': step, 'source': source.name}
    facts['notes'] = dict(map(_note, args.note))
    portable.save(destination, params, facts, dtype=args.dtype)
  else:
    _save_checkpoint(destination, config, step, params)
  leaves = jax.tree.leaves(params)
  count = sum(int(np.size(leaf)) for leaf in leaves)
  print(
    f'{destination}: {config.model.name} of {count:,} parameters in '
    f'{len(leaves)} tensors, from {source}'
  )


if __name__ == '__main__':
  command_line.run(main)
