r"""Trains a model, or goes on where a run of the same folder stopped.

python -m experiments.train --config=configs/lol.py:small \
    --config.data.root=/data/LOL --workdir=runs/lol

Any key of the configuration can be set: --config.optim.lr=3e-4
"""

import re
import sys

from absl import flags
import ml_collections
from ml_collections import config_flags

from experiments import command_line
from sel_jax import training
from sel_jax.errors import InputError


def _explain(error: Exception) -> str:
  """What is wrong with the flags, in one line."""
  text = str(error)
  if hint := re.search(r'Did you mean "(\w+)" instead of "(\w+)"', text):
    return f'unknown configuration key {hint[2]!r}: did you mean {hint[1]!r}?'
  if isinstance(error, AttributeError | KeyError):
    name = text.strip('"').strip("'")
    return f'unknown configuration key {name!r}'
  # A raise inside get_config arrives with a whole traceback: keep its end.
  return text.strip().splitlines()[-1]


def parse(argv: list[str]) -> tuple[ml_collections.ConfigDict, str]:
  """The resolved configuration and the folder of the run.

  Raises:
    InputError: for anything that is no flag, key or value of the right type.
  """
  values = flags.FlagValues()
  config = config_flags.DEFINE_config_file(
    'config', None, 'Experiment.', lock_config=True, flag_values=values
  )
  workdir = flags.DEFINE_string(
    'workdir', None, 'Folder of the run.', flag_values=values
  )
  try:
    rest = values(argv)
    if len(rest) > 1:
      raise InputError(f'{rest[1]!r} is no flag; see --help')
    if config.value is None or not workdir.value:
      raise InputError('give --config=configs/FILE.py and --workdir=DIR')
  except InputError:
    raise
  except (
    flags.Error,
    AttributeError,
    KeyError,
    IndexError,
    TypeError,
    ValueError,
  ) as error:
    raise InputError(_explain(error)) from error
  # A file that cannot be loaded comes as an object that fails at every use.
  if not isinstance(config.value, ml_collections.ConfigDict):
    given = next(a for a in argv if a.startswith('--config'))
    raise InputError(f'{given}: no such configuration; see configs/')
  return config.value, workdir.value


def main() -> None:
  """Entry point."""
  if {'--help', '-h'} & set(sys.argv[1:]):
    print(__doc__)
    return
  training.train(*parse(sys.argv))


if __name__ == '__main__':
  command_line.run(main)
