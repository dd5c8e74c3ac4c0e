"""Trains a model, or goes on where a run of the same folder stopped.

  python -m experiments.train --config=configs/lol.py:small \
      --config.data.root=/data/LOL --workdir=runs/lol
"""

import sys

from absl import flags
from ml_collections import config_flags

from experiments import command_line
from sel_jax import training

_CONFIG = config_flags.DEFINE_config_file(
  'config', None, 'Experiment, such as configs/lol.py:small.', lock_config=True
)
_WORKDIR = flags.DEFINE_string(
  'workdir', None, 'Folder of checkpoints, log and pictures.'
)


def _parse(argv: list[str]) -> str | None:
  """Parses flags; returns what is wrong with them, if anything is."""
  try:
    rest = flags.FLAGS(argv)
    if len(rest) > 1:
      return f'{rest[1]!r} is no flag; give --config=FILE and --workdir=DIR'
    if _CONFIG.value is None or not _WORKDIR.value:
      return 'give --config=configs/FILE.py and --workdir=DIR'
  except OSError as error:
    return f'{error.filename}: no such configuration; see configs/'
  except (
    flags.Error,
    AttributeError,
    KeyError,
    IndexError,
    TypeError,
    ValueError,
  ) as error:
    # A raise inside get_config arrives with a whole traceback: keep the end.
    return str(error).strip().splitlines()[-1].strip('"\' ')
  return None


def main() -> int | None:
  if problem := _parse(sys.argv):
    return command_line.fail(problem)
  training.train(_CONFIG.value, _WORKDIR.value)


if __name__ == '__main__':
  command_line.run(main)
