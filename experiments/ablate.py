"""Trains variants of one configuration over seeds, and tells them apart.

python -m experiments.ablate --config=configs/ablations.py:loss \
    --config.base.data.root=/data/LOL --workdir=runs/loss

Stopped and called again it goes on. WORKDIR/results.json holds every figure,
table.md the means, their spread and the paired gain over the first variant,
plot.svg the same as a picture.
"""

import sys

from absl import flags
import ml_collections
from ml_collections import config_flags

from experiments import command_line
from experiments.train import explain
from experiments.train import shipped
from sel_jax import files
from sel_jax.data import images
from sel_jax.errors import InputError
from sel_jax.evaluation import METRICS
from sel_jax.training import ablation
from sel_jax.training import ablation_report


def parse(argv: list[str]) -> flags.FlagValues:
  """The flags; `config` is the ablation.

  Raises:
    InputError: for anything that is no flag, key or value of the right type.
  """
  values = flags.FlagValues()
  config_flags.DEFINE_config_file(
    'config', None, 'Ablation.', lock_config=True, flag_values=values
  )
  flags.DEFINE_string('workdir', None, 'Folder.', flag_values=values)
  try:
    rest = values([shipped(argument) for argument in argv])
  except (
    flags.Error, AttributeError, KeyError, IndexError, TypeError, ValueError,
  ) as error:  # fmt: skip
    raise InputError(explain(error)) from error
  if len(rest) > 1:
    raise InputError(f'{rest[1]!r} is no flag; see --help')
  if values.config is None or not values.workdir:
    raise InputError('give --config=configs/ablations.py and --workdir=DIR')
  if not isinstance(values.config, ml_collections.ConfigDict) or (
    'variants' not in values.config
  ):
    raise InputError('--config: no ablation; see configs/ablations.py')
  return values


def main() -> int:
  """Entry point: 0, or 1 where a signal stopped it before the end."""
  if {'--help', '-h'} & set(sys.argv[1:]):
    print(__doc__)
    return 0
  given = parse(sys.argv)
  config = given.config
  for name in config.metrics:
    if name not in METRICS:
      raise InputError(f'config.metrics: {name!r} is none of {list(METRICS)}')
  variants = {name: dict(changes) for name, changes in config.variants}
  todo = ablation.trials(config.base, variants, config.seeds)
  workdir = images.ensure_directory(given.workdir)
  results = []
  for result in ablation.run(
    todo, workdir, split=config.split, names=config.metrics
  ):
    results.append(result)
    print(f'{len(results)}/{len(todo)}: {result["variant"]}, {result["seed"]}')
    table = ablation_report.table(results, config.metrics)
    with files.replacing(workdir / 'table.md') as part:
      part.write_text(table + '\n')
    with files.replacing(workdir / 'plot.svg') as part:
      part.write_text(ablation_report.plot(results, config.metrics[0]))
  if results:
    print(table)
  return 0 if len(results) == len(todo) else 1


if __name__ == '__main__':
  command_line.run(main)
