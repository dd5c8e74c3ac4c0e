"""The help of every command as text, so that --help loads no library.

Contract: `make settings` writes it, and the keys of `sel_jax.stored_keys`;
tests hold both to what the flags and the fields make. Where parts of one's own
are loaded neither holds, since they have keys too.
"""

import importlib
from importlib import resources
import json
from pathlib import Path

from sel_jax import files
from sel_jax import stored_keys

# Modules of commands.
COMMANDS = (
  'ablate', 'compare', 'convert', 'demo', 'enhance', 'evaluate', 'export',
  'prepare_data', 'train',
)  # fmt: skip
# Stands for the name by which the command was called.
NAME = 'COMMAND'


def _path(command: str) -> Path:
  return Path(str(resources.files('sel_jax'))) / f'commands/help/{command}.txt'


def read(command: str) -> str | None:
  """The help of a command, under no name yet; None if none is stored."""
  path = _path(command)
  return path.read_text() if command and path.is_file() else None


def under_name(text: str, name: str) -> str:
  """The help of a command that was called by a name."""
  return text.replace(NAME, name, 1)


def keys() -> str:
  """Every key of `sel_jax.stored_keys` as it is stored, one a line."""
  from sel_jax.ablation import plan  # not where help is read

  rows = [
    f'{json.dumps(name)}: {json.dumps(stored_keys.as_json(one))}'
    for name, one in plan.every_key().items()
  ]
  return '{\n' + ',\n'.join(rows) + '\n}\n'


def write() -> None:
  """Writes the help of every command, and every key."""
  for command in COMMANDS:
    module = importlib.import_module(f'sel_jax.commands.{command}')
    with files.replacing(_path(command)) as part:
      part.write_text(module.parser().new_help())
  with files.replacing(stored_keys.path()) as part:
    part.write_text(keys())


if __name__ == '__main__':
  write()
