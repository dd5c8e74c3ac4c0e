r"""Trains variants of one configuration over seeds, and tells them apart.

python -m experiments.ablate --config=configs/ablations.py:loss \
    --config.base.data.root=/data/LOL --workdir=runs/loss

Stopped and called again it goes on. WORKDIR/results.json holds every figure,
table.md the means, their spread and the paired gain over the first variant,
plot.svg the same as a picture.
"""

from sel_jax import files
from sel_jax.commands import command_line
from sel_jax.commands import config_files
from sel_jax.errors import InputError


def main() -> int:
  """Entry point: 0, or 1 where a signal stopped it before the end."""
  parser = command_line.parser(__doc__)
  parser.add_argument(
    '--config', metavar='FILE.py[:PRESET]', help='see configs/ablations.py'
  )
  parser.add_argument('--workdir', help='folder of all runs and results')
  args, keys = parser.parse()
  if not args.config or not args.workdir:
    raise InputError('give --config=configs/ablations.py and --workdir=DIR')

  from sel_jax.ablation import report  # not for --help or a wrong flag
  from sel_jax.ablation import trials
  from sel_jax.ablation.plan import Plan
  from sel_jax.evaluation.text_report import GT_MEAN

  config = config_files.load(args.config)
  config_files.override(config, keys)
  plan = Plan.parse(config)
  workdir = files.ensure_directory(args.workdir)
  names = plan.spec.metrics
  results, shown = [], [*names, names[0] + GT_MEAN]
  for result in trials.run(
    plan.trials, workdir, split=plan.spec.split, names=names
  ):
    results.append(result)
    done = f'{len(results)}/{len(plan.trials)}'
    print(f'{done}: {result["variant"]}, {result["seed"]}')
    table = report.table(results, shown)
    with files.replacing(workdir / 'table.md') as part:
      part.write_text(table + '\n')
    with files.replacing(workdir / 'plot.svg') as part:
      part.write_text(report.plot(results, names[0]))
  if results:
    print(table)
  return 0 if len(results) == len(plan.trials) else 1


if __name__ == '__main__':
  command_line.run(main)
