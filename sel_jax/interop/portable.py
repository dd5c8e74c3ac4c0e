"""Weights as one safetensors file with its configuration, for any framework.

Contract: names are paths such as 'encoder_0/blocks/expand/kernel'; the header's
entry 'sel_jax' is JSON with 'config', 'step' and whatever was noted. Reading
takes `safetensors` and `json` alone.
"""

from collections.abc import Generator
from collections.abc import Mapping
import contextlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from sel_jax import files
from sel_jax.errors import InputError

_ENTRY = 'sel_jax'


def _flat(tree: Mapping, prefix: str = '') -> dict[str, np.ndarray]:
  flat = {}
  for key, value in tree.items():
    if isinstance(value, Mapping):
      flat |= _flat(value, f'{prefix}{key}/')
    else:
      flat[prefix + key] = np.ascontiguousarray(value)
  return flat


def save(
  path: str | os.PathLike,
  params: Mapping,
  facts: Mapping[str, Any],
  *,
  dtype: str = 'float32',
) -> None:
  """Writes weights and, for people, the same facts as JSON beside them.

  Args:
    path: ends in '.safetensors'.
    params: nested parameters.
    facts: JSON-like; 'config' and 'step' at least.
    dtype: type of the stored samples, 'float32' or 'float16'.

  Raises:
    InputError: if the files cannot be written.
  """
  path = Path(path)
  tensors = {n: x.astype(dtype, copy=False) for n, x in _flat(params).items()}
  text = json.dumps(dict(facts), indent=2, sort_keys=True)
  with files.replacing(path) as part:
    part.touch()
    mode = part.stat().st_mode
    safetensors.numpy.save_file(tensors, part, {_ENTRY: text})
    part.chmod(mode)  # its own files are for their owner alone
  with files.replacing(path.with_name(f'{path.name}.json')) as part:
    part.write_text(text + '\n')


Shapes = dict[str, tuple[int, ...]]


@contextlib.contextmanager
def _reading(path: Path) -> Generator[None, None, None]:
  """Whatever is wrong with a file in one sentence."""
  if not path.is_file():
    raise InputError(f'{path}: no such file; check the path')
  try:
    yield
  except (safetensors.SafetensorError, ValueError, OSError) as error:
    raise InputError(f'{path}: damaged ({error}); get it anew') from error
  except RecursionError as error:
    raise InputError(f'{path}: its header nests too deep') from error


def header(path: str | os.PathLike) -> tuple[dict[str, Any], Shapes]:
  """What was noted with weights, and what there is; no weight is read.

  Returns:
    The facts, and the shape of each tensor by its name.

  Raises:
    InputError: if the file is missing, damaged, or not of `save`.
  """
  path = Path(path)
  with _reading(path), safetensors.safe_open(path, 'numpy') as opened:
    facts = json.loads((opened.metadata() or {}).get(_ENTRY, 'null'))
    names = list(opened.keys())
    shapes = {n: tuple(opened.get_slice(n).get_shape()) for n in names}
  if not isinstance(facts, dict) or 'config' not in facts:
    raise InputError(
      f'{path}: no configuration in its header; give weights that '
      'experiments.convert wrote'
    )
  step = facts.setdefault('step', 0)
  if not isinstance(step, int) or isinstance(step, bool) or step < 0:
    raise InputError(f'{path}: its header has no count of updates; get it anew')
  return facts, shapes


def load(path: str | os.PathLike) -> tuple[dict, dict[str, Any]]:
  """Reads weights and what was noted with them.

  Returns:
    Nested parameters, float32, and the facts.

  Raises:
    InputError: if the file is missing, damaged, or not of `save`.
  """
  path = Path(path)
  facts, _ = header(path)
  with _reading(path):
    flat = safetensors.numpy.load_file(path)
  params: dict = {}
  for name, value in flat.items():
    *parents, leaf = name.split('/')
    node = params
    for parent in parents:
      node = node.setdefault(parent, {})
    node[leaf] = value.astype(np.float32, copy=False)
  return params, facts
