"""The help of every command as text, so that --help loads no library.

Contract: `make settings` writes it, and a test holds it to what the flags make.
Where parts of one's own are loaded it does not hold, since they have keys too.
"""

import importlib
from importlib import resources
from pathlib import Path

from sel_jax import files

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


def write() -> None:
  """Writes the help of every command."""
  for command in COMMANDS:
    module = importlib.import_module(f'sel_jax.commands.{command}')
    with files.replacing(_path(command)) as part:
      part.write_text(module.parser().new_help())


if __name__ == '__main__':
  write()
