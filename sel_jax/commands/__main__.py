"""All commands behind one name: sel-jax COMMAND, or python -m experiments.

Each is also a module of its own, such as `python -m experiments.enhance`.
"""

import importlib
import sys

from sel_jax.commands import command_line

# Command -> what it does.
COMMANDS = {
  'enhance': 'brighten photographs with a trained model',
  'demo': 'a page in the browser to try it',
  'train': 'train a model, or go on where a run stopped',
  'ablate': 'train variants over seeds and tell them apart',
  'evaluate': 'measure a model on pairs of photographs',
  'compare': 'measure saved outputs of any methods',
  'convert': "turn weights into others: PyTorch's, ours, portable ones",
  'export': 'write a model as StableHLO or ONNX',
  'prepare-data': 'check a data set and write it as records',
}


def _usage() -> str:
  width = max(map(len, COMMANDS))
  lines = [f'  {name.ljust(width)}  {text}' for name, text in COMMANDS.items()]
  return '\n'.join(
    [
      'usage: sel-jax COMMAND [ARGUMENTS]',
      '',
      *lines,
      '',
      'sel-jax COMMAND --help says more, sel-jax --version what a report of a '
      'bug needs.',
    ]
  )


def main() -> None:
  """Runs the command that the first argument names."""
  arguments = sys.argv[1:]
  if arguments == ['--version']:
    print(command_line.versions())
    return
  if not arguments or arguments[0] in ('-h', '--help'):
    print(_usage())
    sys.exit(0 if arguments else 2)
  name = arguments[0]
  if name not in COMMANDS:
    print(_usage(), file=sys.stderr)
    sys.exit(command_line.fail(f'{name!r} is no command'))
  sys.argv = [f'sel-jax {name}', *arguments[1:]]
  module = importlib.import_module(f'sel_jax.commands.{name.replace("-", "_")}')
  command_line.run(module.main)


if __name__ == '__main__':
  main()
