"""Weights in PyTorch's own files, the release's and IR-SDE's, both ways.

Contract: the only file that needs PyTorch, and imports it when called. Files
are read with `weights_only=True`: tensors and plain containers, no code.
"""

from collections.abc import Mapping
import importlib.util
import os
from pathlib import Path
import pickle
import re
from typing import Any
import warnings

import jax
import numpy as np

from sel_jax import files
from sel_jax.errors import InputError
from sel_jax.interop import torch_weights

# Where training codes put a network in a larger file; averages come first.
_ENTRIES = ('params_ema', 'ema', 'params', 'state_dict', 'model')
_AVERAGE = 'ema_model.'  # of ema-pytorch, beside the weights that it averages
_NOTHING = np.float32(0)
_ZIP = b'PK\x03\x04'

StateDict = dict[str, np.ndarray]


def require_torch() -> None:
  """Raises InputError where PyTorch is not installed; does not load it."""
  if importlib.util.find_spec('torch') is None:
    raise InputError(
      'PyTorch files need PyTorch: pip install torch, or "sel-jax[torch]"'
    )


def _torch() -> Any:
  require_torch()
  import torch

  return torch


def read_state(path: str | os.PathLike) -> StateDict:
  """A network's tensors from a .pth file.

  Takes a bare state dict or one inside a larger file (the average if there is
  one), and drops `module.` of parallel training. The file is mapped into
  memory, so that what lies beside the network costs nothing.

  Args:
    path: written by `torch.save`.

  Returns:
    PyTorch name -> float32 array; views of the file where it has that type.

  Raises:
    InputError: if the file is missing, is none of PyTorch's, or holds anything
      but tensors and plain containers.
  """
  torch = _torch()
  path = Path(path)
  if not path.is_file():
    raise InputError(f'{path}: no such file; check the path')
  try:
    with warnings.catch_warnings():
      warnings.simplefilter('ignore')  # what matters is an error below
      content = _load(torch, path)
  except pickle.UnpicklingError as error:
    raise InputError(
      f'{path}: refused, because it holds more than tensors, which may be code '
      'that runs when it is read; ask its author for a bare state dict'
    ) from error
  except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
    raise InputError(f'{path}: not a sound file of PyTorch ({error})') from None
  state: StateDict = {}
  for name, value in _network(path, content).items():
    if name in state:
      raise InputError(f'{path}: {name!r} occurs twice')
    state[name] = value.detach().to(torch.float32).numpy()
  return state


def _load(torch: Any, path: Path) -> Any:
  """The content, mapped into memory: what is not used is never read."""
  with path.open('rb') as opened:
    mapped = opened.read(4) == _ZIP  # PyTorch's form since 1.6
  return torch.load(path, map_location='cpu', weights_only=True, mmap=mapped)


def _network(path: Path, content: Any) -> Mapping:
  """The part of a file that is one network, with bare names."""
  if isinstance(content, Mapping):
    for entry in _ENTRIES:
      if isinstance(content.get(entry), Mapping):
        content = content[entry]
        break
  if not isinstance(content, Mapping) or not content:
    raise InputError(f'{path}: holds no state dict; give a network alone')
  bare = {re.sub(r'^(module\.)+', '', str(k)): v for k, v in content.items()}
  if len(bare) != len(content):
    raise InputError(f'{path}: two tensors have one name without `module.`')
  if any(name.startswith(_AVERAGE) for name in bare):
    bare = {
      re.sub(r'^(module\.)+', '', name.removeprefix(_AVERAGE)): value
      for name, value in bare.items()
      if name.startswith(_AVERAGE)
    }
  for name, value in bare.items():
    if not hasattr(value, 'detach'):
      raise InputError(
        f'{path}: {name!r} is no tensor; give the state dict of a network'
      )
  return bare


def write_state(path: str | os.PathLike, state: Mapping) -> None:
  """Writes tensors as `torch.save` does, whole or not at all.

  Args:
    path: where the new file goes.
    state: PyTorch name -> array.

  Raises:
    InputError: if it cannot be written.
  """
  torch = _torch()
  # A view would be stored with its strides; what has none is not copied.
  tensors = {
    name: torch.from_numpy(np.require(value, requirements=['C', 'W']))
    for name, value in state.items()
  }
  with files.replacing(path) as part:
    torch.save(tensors, part)


def _counts(state: Mapping, pattern: str) -> list[int]:
  """How many numbers each group of a name's pattern has, from 0 on."""
  pairs = {m.groups() for name in state if (m := re.match(pattern, name))}
  levels = max((int(p[0]) for p in pairs), default=-1) + 1
  return [sum(int(p[0]) == level for p in pairs) for level in range(levels)]


def _told(first: np.ndarray, last: np.ndarray) -> dict[str, bool]:
  """Whether a network has two inputs more, for the exposure, than images."""
  inputs, outputs = first.shape[1], last.shape[0]
  return {'exposure': True} if 3 * inputs == 8 * outputs else {}


def infer_model(state: Mapping) -> dict[str, Any]:
  """Section `model` of the network that tensors belong to, from their shapes.

  Args:
    state: PyTorch name -> array, from `read_state`.

  Raises:
    InputError: if they are of neither network.
  """
  if 'intro.weight' in state:
    middle = {n.split('.')[1] for n in state if n.startswith('middle_blks.')}
    return {
      'name': 'nafnet',
      'width': int(state['intro.weight'].shape[0]),
      'enc': tuple(_counts(state, r'encoders\.(\d+)\.(\d+)\.')),
      'middle': len(middle),
      'dec': tuple(_counts(state, r'decoders\.(\d+)\.(\d+)\.')),
      **_told(state['intro.weight'], state['ending.weight']),
    }
  if 'init_conv.weight' in state:
    return {
      'name': 'unet',
      'width': int(state['init_conv.weight'].shape[0]),
      'depth': len(_counts(state, r'downs\.(\d+)\.(0)\.')),
      **_told(state['init_conv.weight'], state['final_conv.weight']),
    }
  some = ', '.join(repr(name) for name in list(state)[:3])
  raise InputError(
    f'neither ConditionalNAFNet nor ConditionalUNet: no intro.weight and no '
    f'init_conv.weight among {len(state)} tensors ({some}, ...)'
  )


def to_state(name: str, params: Mapping) -> StateDict:
  """Parameters of a network, 'nafnet' or 'unet', as PyTorch's tensors."""
  table = {
    'nafnet': torch_weights.nafnet_state,
    'unet': torch_weights.unet_state,
  }
  return table[name](params)


def to_params(name: str, state: Mapping, like: Mapping) -> dict:
  """PyTorch's tensors as parameters; every tensor is accounted for by name.

  Args:
    name: 'nafnet' or 'unet'.
    state: PyTorch name -> array.
    like: parameters, or shapes, of the network they should fit.

  Raises:
    InputError: naming tensors that are missing, foreign or of another shape.
  """
  like = jax.tree.map(lambda x: np.broadcast_to(_NOTHING, np.shape(x)), like)
  wanted = {n: v.shape for n, v in to_state(name, like).items()}
  found = {n: tuple(v.shape) for n, v in state.items()}
  missing = sorted(wanted.keys() - found.keys())
  foreign = sorted(found.keys() - wanted.keys())
  if missing or foreign:
    parts = []
    for word, names in (('missing', missing), ('foreign', foreign)):
      if names:
        more = f' and {len(names) - 5} more' if len(names) > 5 else ''
        parts.append(f'{word}: {", ".join(names[:5])}{more}')
    raise InputError(f'tensors do not fit {name}: {"; ".join(parts)}')
  for tensor, shape in wanted.items():
    if found[tensor] != shape:
      raise InputError(
        f'tensor {tensor} of {name} is {found[tensor]} and should be {shape}'
      )
  table = {
    'nafnet': torch_weights.nafnet_params,
    'unet': torch_weights.unet_params,
  }
  return table[name](state)
