"""Names and layouts of the published PyTorch weights, and ours.

Contract: a state dict is {PyTorch name: NumPy array}; every tensor of it is
used exactly once, or the error names it. No PyTorch is needed. Parameters are
copies, so that a file which tensors are views of can be let go.
"""

from collections.abc import Mapping
import re

import numpy as np

StateDict = Mapping[str, np.ndarray]

_NAF_BLOCK = {
  'mlp.1': 'time',
  'conv1': 'expand',
  'conv2': 'depthwise',
  'conv3': 'project',
  'sca.1': 'attention',
  'conv4': 'ffn_expand',
  'conv5': 'ffn_project',
  'norm1': 'norm_attention',
  'norm2': 'norm_ffn',
}

_UNET_BLOCK = {
  'mlp.1': 'time',
  'block1.proj': 'conv_1.conv',
  'block2.proj': 'conv_2.conv',
  'res_conv': 'shortcut',
  'fn.fn.to_qkv': 'qkv',
  'fn.fn.to_out.0': 'out',
  'fn.fn.to_out.1': 'norm_out',
  'fn.norm': 'norm_in',
}

_LEAF = {'weight': 'kernel', 'g': 'gain'}


def _leaf(path: str, value: np.ndarray) -> np.ndarray:
  """PyTorch's layout to ours, by the name of the parameter and its rank."""
  name = path.rsplit('.', 1)[-1]
  if name != 'kernel':
    return value.reshape(-1)  # [C] or [1, C, 1, 1]
  if value.ndim == 2:
    return value.T  # [O, I] -> [I, O]
  if value.shape[2:] == (1, 1):
    return value[:, :, 0, 0].T  # a 1x1 convolution is a dense layer
  return value.transpose(2, 3, 1, 0)  # [O, I, h, w] -> [h, w, I, O]


def _insert(tree: dict, path: str, value: np.ndarray) -> None:
  *parents, name = path.split('.')
  for parent in parents:
    tree = tree.setdefault(parent, {})
  tree[name] = value


def _naf_path(name: str) -> tuple[str, int | None]:
  """Our path of a NAFNet tensor, and its index in a stage's stack."""
  stem, leaf = name.rsplit('.', 1)
  leaf = _LEAF.get(leaf, leaf)
  simple = {
    'time_mlp.1': 'time_in',
    'time_mlp.3': 'time_out',
    'intro': 'intro.conv',
    'ending': 'ending.conv',
  }
  if stem in simple:
    return f'{simple[stem]}.{leaf}', None
  if m := re.fullmatch(r'downs\.(\d+)', stem):
    return f'down_{m[1]}.conv.{leaf}', None
  if m := re.fullmatch(r'ups\.(\d+)\.0', stem):
    return f'up_{m[1]}.{leaf}', None
  pattern = r'(?:(encoder|decoder)s\.(\d+)|middle_blks)\.(\d+)(?:\.(.+))?'
  m = re.fullmatch(pattern, stem)
  if not m or (m[4] and m[4] not in _NAF_BLOCK):
    raise ValueError(f'{name!r} is not a tensor of ConditionalNAFNet')
  stage = f'{m[1]}_{m[2]}' if m[1] else 'middle'
  inner = f'{_NAF_BLOCK[m[4]]}.' if m[4] else ''
  return f'{stage}.blocks.{inner}{leaf}', int(m[3])


def nafnet_params(state: StateDict) -> dict:
  """Parameters of `ConditionalNAFNet` from the release's tensors.

  Args:
    state: PyTorch name -> array, without a `module.` prefix.

  Returns:
    Nested parameters; equal blocks of a stage stacked on axis 0.

  Raises:
    ValueError: if a tensor is not one of the network's, or a block is missing.
  """
  tree: dict = {}
  stacks: dict[str, dict[int, np.ndarray]] = {}
  for name, value in state.items():
    path, index = _naf_path(name)
    value = _leaf(path, np.asarray(value))
    if index is None:
      _insert(tree, path, np.array(value, order='C'))
    else:
      stacks.setdefault(path, {})[index] = value
  for path, blocks in stacks.items():
    missing = set(range(len(blocks))) - set(blocks)
    if missing:
      raise ValueError(f'{path}: block {min(missing)} of the stage is missing')
    _insert(tree, path, np.stack([blocks[n] for n in range(len(blocks))]))
  return tree


def _unet_path(name: str, depth: int) -> str:
  stem, leaf = name.rsplit('.', 1)
  leaf = _LEAF.get(leaf, leaf)
  simple = {
    'time_mlp.1': 'time_in',
    'time_mlp.3': 'time_out',
    'init_conv': 'intro.conv',
    'final_conv': 'ending.conv',
  }
  if stem in simple:
    return f'{simple[stem]}.{leaf}'
  if m := re.fullmatch(r'(mid_(?:block\d|attn)|final_res_block)\.(.+)', stem):
    ours = {
      'mid_block1': 'middle_block_1',
      'mid_block2': 'middle_block_2',
      'mid_attn': 'middle_attention',
      'final_res_block': 'final_block',
    }
    if m[1] in ours and m[2] in _UNET_BLOCK:
      return f'{ours[m[1]]}.{_UNET_BLOCK[m[2]]}.{leaf}'
  if m := re.fullmatch(r'(down|up)s\.(\d+)\.(\d)(?:\.(.+))?', stem):
    # The release stores the way up from the bottom; we number by resolution.
    level = int(m[2]) if m[1] == 'down' else depth - 1 - int(m[2])
    if m[3] == '3' and m[4] in (None, '1'):
      return f'{m[1]}_{level}_conv.conv.{leaf}'
    part = {'0': 'block_1', '1': 'block_2', '2': 'attention'}.get(m[3])
    if part and m[4] in _UNET_BLOCK:
      return f'{m[1]}_{level}_{part}.{_UNET_BLOCK[m[4]]}.{leaf}'
  raise ValueError(f'{name!r} is not a tensor of ConditionalUNet')


def unet_params(state: StateDict) -> dict:
  """Parameters of `ConditionalUNet` from the release's tensors.

  Args:
    state: PyTorch name -> array, without a `module.` prefix.

  Returns:
    Nested parameters.

  Raises:
    ValueError: if a tensor is not one of the network's.
  """
  levels = {m[1] for n in state if (m := re.match(r'downs\.(\d+)\.', n))}
  tree: dict = {}
  for name, value in state.items():
    path = _unet_path(name, len(levels))
    value = _leaf(path, np.asarray(value))
    _insert(tree, path, np.array(value, order='C'))
  return tree


def _torch_leaf(name: str, value: np.ndarray) -> np.ndarray:
  """Our layout to PyTorch's: the inverse of `_leaf`, by PyTorch's name."""
  stem, leaf = name.rsplit('.', 1)
  if leaf == 'bias':
    return value
  if leaf != 'weight':
    return value.reshape(1, -1, 1, 1)
  if value.ndim == 4:
    return value.transpose(3, 2, 0, 1)
  linear = 'mlp.' in stem  # all other dense layers are 1x1 convolutions there
  return value.T if linear else value.T[:, :, None, None]


_TORCH_LEAF = {ours: theirs for theirs, ours in _LEAF.items()}
_NAF_STEM = {
  r'time_in': 'time_mlp.1',
  r'time_out': 'time_mlp.3',
  r'(intro|ending)\.conv': r'\1',
  r'down_(\d+)\.conv': r'downs.\1',
  r'up_(\d+)': r'ups.\1.0',
  r'(encoder|decoder)_(\d+)\.blocks': r'\1s.\2.{}',
  r'middle\.blocks': r'middle_blks.{}',
}


def _renamed(stem: str, table: Mapping[str, str]) -> str:
  for pattern, replacement in table.items():
    if re.fullmatch(pattern, stem):
      return re.sub(pattern, replacement, stem)
  raise ValueError(f'{stem!r} is not a parameter of the network')


def _leaves(tree: Mapping, prefix: str = ''):
  for key, value in tree.items():
    if isinstance(value, Mapping):
      yield from _leaves(value, f'{prefix}{key}.')
    else:
      yield f'{prefix}{key}', np.asarray(value)


def nafnet_state(params: Mapping) -> dict[str, np.ndarray]:
  """The release's tensors from parameters: the inverse of `nafnet_params`.

  Args:
    params: parameters of `ConditionalNAFNet`.

  Returns:
    PyTorch name -> array.

  Raises:
    ValueError: if a parameter is not one of the network's.
  """
  inner_names = {ours: theirs for theirs, ours in _NAF_BLOCK.items()}
  state = {}
  for path, value in _leaves(params):
    stem, leaf = path.rsplit('.', 1)
    leaf = _TORCH_LEAF.get(leaf, leaf)
    head, blocks, inner = stem.partition('.blocks')
    name = _renamed(head + blocks, _NAF_STEM)
    if inner:
      name += f'.{inner_names[inner[1:]]}'
    for index, part in enumerate(value if blocks else [value]):
      full = f'{name.format(index)}.{leaf}'
      state[full] = _torch_leaf(full, part)
  return state


def _unet_stem(stem: str, depth: int) -> str:
  simple = {
    'time_in': 'time_mlp.1',
    'time_out': 'time_mlp.3',
    'intro.conv': 'init_conv',
    'ending.conv': 'final_conv',
  }
  if stem in simple:
    return simple[stem]
  if m := re.fullmatch(r'(down|up)_(\d+)_conv\.conv', stem):
    level = int(m[2])
    if m[1] == 'down':
      return f'downs.{level}.3'
    return f'ups.{depth - 1 - level}.3' + ('.1' if level else '')
  parts = {'block_1': '0', 'block_2': '1', 'attention': '2'}
  own = {
    'middle_block_1': 'mid_block1',
    'middle_block_2': 'mid_block2',
    'middle_attention': 'mid_attn',
    'final_block': 'final_res_block',
  }
  head, _, inner = stem.partition('.')
  inner = {ours: theirs for theirs, ours in _UNET_BLOCK.items()}.get(inner)
  if inner and head in own:
    return f'{own[head]}.{inner}'
  m = re.fullmatch(r'(down|up)_(\d+)_(block_1|block_2|attention)', head)
  if not inner or not m:
    raise ValueError(f'{stem!r} is not a parameter of ConditionalUNet')
  level = int(m[2]) if m[1] == 'down' else depth - 1 - int(m[2])
  return f'{m[1]}s.{level}.{parts[m[3]]}.{inner}'


def unet_state(params: Mapping) -> dict[str, np.ndarray]:
  """The release's tensors from parameters: the inverse of `unet_params`.

  Args:
    params: parameters of `ConditionalUNet`.

  Returns:
    PyTorch name -> array.

  Raises:
    ValueError: if a parameter is not one of the network's.
  """
  depth = sum(bool(re.fullmatch(r'down_\d+_conv', key)) for key in params)
  state = {}
  for path, value in _leaves(params):
    stem, leaf = path.rsplit('.', 1)
    name = f'{_unet_stem(stem, depth)}.{_TORCH_LEAF.get(leaf, leaf)}'
    state[name] = _torch_leaf(name, value)
  return state
