"""Trains variants of one configuration over seeds, and tells them apart.

python -m experiments.ablate --config=configs/ablations.py:loss \
    --config.base.data.root=/data/LOL --workdir=runs/loss

Stopped and called again it goes on. WORKDIR/results.json holds every figure,
table.md the means, their spread and the paired gain over the first variant,
plot.svg the same as a picture.
"""

import sys

from sel_jax import files
from sel_jax.ablation import report
from sel_jax.ablation import trials
from sel_jax.commands import command_line
from sel_jax.commands.train import read_flags
from sel_jax.errors import InputError
from sel_jax.evaluation import METRICS
from sel_jax.evaluation.text_report import GT_MEAN


def main() -> int:
  """Entry point: 0, or 1 where a signal stopped it before the end."""
  if {'--help', '-h'} & set(sys.argv[1:]):
    print(__doc__)
    return 0
  given = read_flags(sys.argv, example='configs/ablations.py', text={})
  config = given.config
  if 'variants' not in config:
    raise InputError('--config: no ablation; see configs/ablations.py')
  for name in config.metrics:
    if name not in METRICS:
      raise InputError(f'config.metrics: {name!r} is none of {list(METRICS)}')
  variants = {name: dict(changes) for name, changes in config.variants}
  todo = trials.trials(config.base, variants, config.seeds)
  workdir = files.ensure_directory(given.workdir)
  results, shown = [], [*config.metrics, config.metrics[0] + GT_MEAN]
  for result in trials.run(
    todo, workdir, split=config.split, names=config.metrics
  ):
    results.append(result)
    print(f'{len(results)}/{len(todo)}: {result["variant"]}, {result["seed"]}')
    table = report.table(results, shown)
    with files.replacing(workdir / 'table.md') as part:
      part.write_text(table + '\n')
    with files.replacing(workdir / 'plot.svg') as part:
      part.write_text(report.plot(results, config.metrics[0]))
  if results:
    print(table)
  return 0 if len(results) == len(todo) else 1


if __name__ == '__main__':
  command_line.run(main)
