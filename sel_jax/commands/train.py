r"""Trains a model, or goes on where a run of the same folder stopped.

python -m experiments.train --config=configs/lol.py:small \
    --config.data.root=/data/LOL --workdir=runs/lol

Any key of the configuration can be set: --config.optim.lr=3e-4

On several machines the same command runs on each; Slurm, Open MPI, Kubernetes
and Cloud TPU are recognised, elsewhere add --coordinator=HOST:PORT
--processes=N --process=I. --profile=FIRST:LAST traces these steps.
"""

from collections.abc import Mapping
from pathlib import Path
import re
import sys

from absl import flags
import ml_collections
from ml_collections import config_flags

from sel_jax import build
from sel_jax import configs
from sel_jax import training
from sel_jax.commands import command_line
from sel_jax.errors import InputError
from sel_jax.training import cluster


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


def _profile(text: str | None) -> tuple[int, int] | None:
  if text is None:
    return None
  match = re.fullmatch(r'(\d+):(\d+)', text)
  if not match or int(match[1]) > int(match[2]):
    raise InputError(f'--profile={text}: give FIRST:LAST, such as 20:24')
  return int(match[1]), int(match[2])


def _shipped(argument: str) -> str:
  """Finds `--config=configs/FILE.py` where there is no such folder here."""
  match = re.fullmatch(r'(--config=)(configs/(\w+\.py))((?::.*)?)', argument)
  if not match or Path(match[2]).exists():
    return argument
  found = Path(configs.__path__[0]) / match[3]
  return f'{match[1]}{found}{match[4]}' if found.exists() else argument


def read_flags(
  argv: list[str],
  *,
  example: str,
  text: Mapping[str, str],
  numbers: Mapping[str, str] | None = None,
) -> flags.FlagValues:
  """Flags with a configuration `config` and a folder `workdir`.

  Args:
    argv: the command line.
    example: a file of configurations, for the messages.
    text: name -> help of further flags.
    numbers: the same, of integers.

  Raises:
    InputError: for anything that is no flag, key or value of the right type.
  """
  values = flags.FlagValues()
  config_flags.DEFINE_config_file(
    'config', None, 'Experiment.', lock_config=True, flag_values=values
  )
  flags.DEFINE_string('workdir', None, 'Folder.', flag_values=values)
  for name, meaning in text.items():
    flags.DEFINE_string(name, None, meaning, flag_values=values)
  for name, meaning in (numbers or {}).items():
    flags.DEFINE_integer(name, None, meaning, flag_values=values)
  argv = [_shipped(argument) for argument in argv]
  try:
    rest = values(argv)
    if len(rest) > 1:
      raise InputError(f'{rest[1]!r} is no flag; see --help')
    if values.config is None or not values.workdir:
      raise InputError(f'give --config={example} and --workdir=DIR')
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
  if not isinstance(values.config, ml_collections.ConfigDict):
    given = next(a for a in argv if a.startswith('--config'))
    raise InputError(f'{given}: no such configuration; see configs/')
  return values


def parse(argv: list[str]) -> flags.FlagValues:
  """The flags; `config` is the resolved configuration.

  Raises:
    InputError: for anything that is no flag, key or value of the right type.
  """
  return read_flags(
    argv,
    example='configs/FILE.py',
    text={
      'profile': 'FIRST:LAST step to trace.',
      'coordinator': 'HOST:PORT of process 0.',
    },
    numbers={
      'processes': 'How many processes train together.',
      'process': 'Which of them this one is, from 0.',
    },
  )


def main() -> None:
  """Entry point."""
  if {'--help', '-h'} & set(sys.argv[1:]):
    print(__doc__)
    return
  given = parse(sys.argv)
  build.check_config(given.config)
  cluster.connect(
    build.parallel_spec(given.config),
    coordinator=given.coordinator,
    processes=given.processes,
    process=given.process,
  )
  training.train(given.config, given.workdir, profile=_profile(given.profile))


if __name__ == '__main__':
  command_line.run(main)
