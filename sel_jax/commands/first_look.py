"""What is wrong with a configuration at first sight, before JAX is loaded.

Contract: what is refused here is refused in the same words by the checks of
`sel_jax.settings` and of the run, which come after it; what passes here is
checked there. Where parts of one's own may add keys or names, nothing is.
"""

import ast
from collections.abc import Mapping
import operator
from pathlib import Path
from typing import Any

import ml_collections

from sel_jax import fields
from sel_jax import stored_keys
from sel_jax.commands import config_files
from sel_jax.errors import SettingError

# Modules from which a configuration gets no part of one's own.
_CONFIGS = 'sel_jax.configs.'
_PLAIN = (
  _CONFIGS, 'sel_jax.fields.', 'sel_jax.stored_keys.', 'ml_collections.',
  'collections.', 'functools.', 'itertools.', 'math.', 'pathlib.', 'typing.',
)  # fmt: skip


def _modules(node: ast.AST) -> list[str]:
  """Whole names of what a line imports, each with a dot behind it."""
  if isinstance(node, ast.ImportFrom):
    return [f'{node.module}.{alias.name}.' for alias in node.names]
  if isinstance(node, ast.Import):
    return [f'{alias.name}.' for alias in node.names]
  return []


def _is_plain(path: Path) -> bool:
  """Whether a file of a configuration, and those it takes, only set keys."""
  try:
    nodes = list(ast.walk(ast.parse(path.read_text())))
  except (OSError, SyntaxError, ValueError):
    return False  # which is told when it is loaded
  for node in nodes:
    if 'imports' in [getattr(node, a, '') for a in ('attr', 'arg', 'value')]:
      return False
    for module in _modules(node):
      if not module.startswith(_PLAIN):
        return False
      if module.startswith(_CONFIGS):
        name = module.removeprefix(_CONFIGS).partition('.')[0]
        if not _is_plain(config_files.folder() / f'{name}.py'):
          return False
  return True


def check_keys(command: str, changes: Mapping[str, str]) -> None:
  """Looks at keys that were set beside a configuration.

  Args:
    command: train, or ablate, whose keys are those of a plan and its base.
    changes: 'section.key' -> value as text.

  Raises:
    InputError: for the first key that is unknown, or whose value does not fit.
  """
  if not changes or not stored_keys.hold():
    return
  known = stored_keys.read(command)
  config = stored_keys.nested(known)
  config_files.override(config, changes, known)
  for name in changes:
    try:
      fields.checked(known[name], operator.attrgetter(name)(config))
    except SettingError as error:
      raise error.of(f'config.{name}'.rpartition('.')[0]) from None


def _check_data(values: Mapping[str, Any]) -> None:
  """Raises InputError if a section `data` names files that are not there."""
  from sel_jax.data import pairs  # not for a wrong key

  known = fields.described(pairs.PairsSpec)
  given = {name: v for name, v in values.items() if name in known}
  spec = pairs.PairsSpec.create(**given)
  if isinstance(spec.origin, pairs.Folder):
    spec.open('train')


def check(
  command: str,
  given: str,
  config: ml_collections.ConfigDict,
  changes: Mapping[str, str],
) -> None:
  """Looks at a configuration, the keys set beside it, and where its data lies.

  Args:
    command: train or ablate.
    given: the configuration, 'FILE.py' or 'FILE.py:PRESET'.
    config: what `config_files.load` gives for it.
    changes: 'section.key' -> value as text.

  Raises:
    InputError: for what is wrong for certain.
  """
  plain = _is_plain(config_files.find(config_files.parts(given)[0]))
  own = any(name.endswith('imports') for name in changes)
  if not plain or own or not stored_keys.hold():
    return
  check_keys(command, changes)
  values = config.to_dict()
  # In whatever form an ablation writes its variants.
  varies = "'data." in repr(values.pop('variants', None))
  copy = ml_collections.ConfigDict(values)
  config_files.override(copy, changes, stored_keys.read(command))
  values = copy.to_dict()
  data = values.get('base', values).get('data')
  if isinstance(data, Mapping) and not varies:
    _check_data(data)
