"""What a command says about itself, as a block on a page.

    ```{command-help} enhance
    ```

Contract: the text is what `python -m experiments.NAME --help` prints, from a
process of its own, but for the list of keys, which has a page.
"""

import os
from pathlib import Path
import subprocess
import sys
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

_ROOT = Path(__file__).parents[2]
_KEYS = 'keys of the configuration, at their defaults:'


class CommandHelp(SphinxDirective):
  """The help of the command that the argument names."""

  required_arguments = 1

  def run(self) -> list[nodes.Node]:
    """The help as a literal block."""
    text = help_of(self.arguments[0]).partition(_KEYS)[0].strip()
    block = nodes.literal_block(text, text, language='text')
    self.set_source_info(block)
    return [block]


def help_of(command: str) -> str:
  """What a command prints when it is asked for help."""
  done = subprocess.run(
    [sys.executable, '-m', f'experiments.{command}', '--help'],
    cwd=_ROOT,
    env={**os.environ, 'COLUMNS': '80', 'NO_COLOR': '1'},
    capture_output=True,
    text=True,
    timeout=120,
  )
  if done.returncode:
    raise RuntimeError(f'{command} --help: {done.stderr}')
  return done.stdout


def setup(app: Any) -> dict[str, bool]:
  """Adds the directive."""
  app.add_directive('command-help', CommandHelp)
  return {'parallel_read_safe': True}
