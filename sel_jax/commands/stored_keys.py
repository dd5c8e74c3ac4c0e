"""Every key of a configuration as text, so that a wrong one is told at once.

Contract: what is refused here is refused in the same words by the checks of
`sel_jax.settings`, which load JAX and come after it; what passes here is
checked there. `make settings` writes the keys, and a test holds them to the
fields. Where parts of one's own may add keys or names, nothing is refused.
"""

import ast
from collections.abc import Mapping
from importlib import resources
import json
import operator
from pathlib import Path
import types
import typing
from typing import Any

import ml_collections

from sel_jax import fields
from sel_jax import files
from sel_jax import imports
from sel_jax.commands import config_files
from sel_jax.errors import SettingError

# Modules from which a configuration gets no part of one's own.
_CONFIGS = 'sel_jax.configs.'
_PLAIN = (
  _CONFIGS, 'sel_jax.fields.', 'sel_jax.settings.', 'ml_collections.',
  'collections.', 'functools.', 'itertools.', 'math.', 'pathlib.', 'typing.',
)  # fmt: skip


# Section of an ablation that is a whole configuration.
_BASE = 'base.'


def _path() -> Path:
  return Path(str(resources.files('sel_jax'))) / 'commands/help/keys.json'


def _row(one: fields.Described) -> dict[str, Any]:
  return {
    'type': one.hint.__name__ if isinstance(one.hint, type) else str(one.hint),
    'default': one.default,
    'limits': dict(one.key.limits),
    'choices': one.key.names(),
  }


def text() -> str:
  """The keys of an ablation and of its base as they are stored, one a line."""
  from sel_jax.ablation import plan  # not where they are read

  rows = [
    f'{json.dumps(name)}: {json.dumps(_row(one))}'
    for name, one in plan.every_key().items()
  ]
  return '{\n' + ',\n'.join(rows) + '\n}\n'


def read(command: str) -> dict[str, fields.Described]:
  """'section.key' -> what its values may be, without its meaning.

  Args:
    command: train, or ablate, whose keys are those of a plan and its base.
  """
  rows = json.loads(_path().read_text())
  if command == 'train':
    rows = {
      name.removeprefix(_BASE): row
      for name, row in rows.items()
      if name.startswith(_BASE)
    }
  holder = types.SimpleNamespace(
    __annotations__={name: row['type'] for name, row in rows.items()}
  )
  hints = typing.get_type_hints(holder, {'typing': typing})
  found = {}
  for name, row in rows.items():
    default = row['default']
    default = tuple(default) if isinstance(default, list) else default
    entry = fields.Key('', row['limits'], row['choices'])
    last = name.rpartition('.')[2]
    found[name] = fields.Described(last, hints[name], default, entry)
  return found


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


def are_all_of(config: str) -> bool:
  """Whether a configuration has no keys or names but the stored ones.

  Args:
    config: 'FILE.py' or 'FILE.py:PRESET'.

  Raises:
    InputError: if there is no such file.
  """
  return _is_plain(config_files.find(config_files.parts(config)[0]))


def refuse(command: str, changes: Mapping[str, str]) -> None:
  """Raises InputError for the first key that is unknown, or does not fit.

  Args:
    command: train, or ablate, whose keys are those of a plan and its base.
    changes: 'section.key' -> value as text.
  """
  parts = {name.partition('.')[0] for name in changes}
  if not changes or imports.loaded() or parts & {'imports', 'variants'}:
    return
  known = read(command)
  values: dict[str, Any] = {}
  for name, one in known.items():
    *sections, last = name.split('.')
    holder = values
    for section in sections:
      holder = holder.setdefault(section, {})
    holder[last] = one.default
  config = ml_collections.ConfigDict(values)
  config_files.override(config, changes, known)
  for name in changes:
    section, _, last = f'config.{name}'.rpartition('.')
    value = operator.attrgetter(name)(config)
    try:
      fields.checked(known[name], value)
    except SettingError as error:
      raise error.of(section) from None


if __name__ == '__main__':
  with files.replacing(_path()) as part:
    part.write_text(text())
