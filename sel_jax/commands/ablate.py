r"""Trains variants of one configuration over seeds, and tells them apart.

python -m experiments.ablate --config=configs/ablations.py:loss \
    --config.base.data.root=/data/LOL --workdir=runs/loss

Without --workdir the runs live in runs/ablations-loss; without a folder the
pairs are looked for in $SEL_JAX_DATA/lol_v1 and data/lol_v1. Stopped and called
again it goes on. WORKDIR/results.json holds every figure and setting,
summary.json the figures alone, table.md the means, their spread, the paired
gain over the first variant and its p, plot.svg the same as a picture. For other
programs there are results.csv, a line an image, and table.tex.
"""

from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
import shlex
from typing import TYPE_CHECKING

from sel_jax import files
from sel_jax.commands import command_line
from sel_jax.commands import config_files
from sel_jax.commands import dry_run
from sel_jax.commands import first_look
from sel_jax.errors import InputError

if TYPE_CHECKING:
  from sel_jax.ablation.plan import Plan


def _rehearse(plan: 'Plan', workdir: Path) -> None:
  """Checks what every trial needs and says what they would do."""
  from sel_jax.ablation import trials
  from sel_jax.data.pairs import open_pairs
  from sel_jax.training import rehearsal

  done = trials.earlier(plan.trials, workdir)
  left = [t for t in plan.trials if not trials.is_done(t, done)]
  read = {}  # variants mostly have one data set in common
  seeds: dict[str, list[str]] = {}  # what would be done -> with which of them
  for trial in left:
    settings, data = trial.settings, trial.settings.data
    if data not in read:
      found = rehearsal.check_data(settings)
      measured = len(open_pairs(data.pairs, plan.spec.split))
      read[data] = found.pairs, measured
    pairs, measured = read[data]
    state = rehearsal.check_state(settings, workdir / trial.folder)
    text = (
      f'{trial.variant}: {settings.model.name} with {state.parameters:,} '
      f'parameters, updates {state.first:,} to {settings.train.steps:,} on '
      f'{dry_run.counted(pairs, "pair")}, measured on {measured}'
    )
    seeds.setdefault(text, []).append(str(trial.seed))
  dry_run.report(
    [
      f'would train {len(left)} of {dry_run.counted(len(plan.trials), "run")} '
      f'into {workdir} and measure {", ".join(plan.spec.metrics)} on '
      f'{plan.spec.split}; {len(plan.trials) - len(left)} are done',
      *(f'  {text}; seeds {", ".join(own)}' for text, own in seeds.items()),
    ]
  )


def _command(config: str, keys: Mapping[str, str]) -> str:
  """What made the results; folders of data belong to a machine."""
  flags = [
    f'--config.{name}={value}'
    for name, value in keys.items()
    if not name.endswith('.root')
  ]
  words = ['python', '-m', 'experiments.ablate', f'--config={config}', *flags]
  return shlex.join(words)


def _write(
  workdir: Path, results: Sequence[dict], names: Sequence[str]
) -> None:
  """What people read of the results so far."""
  from sel_jax.ablation import report

  texts = {
    'table.md': report.table(results, names) + '\n',
    'table.tex': report.latex(results, names),
    'results.csv': report.csv(results, names),
    'plot.svg': report.plot(results, names[0]),
  }
  for name, text in texts.items():
    with files.replacing(workdir / name) as part:
      part.write_text(text)


def parser() -> command_line.Parser:
  """The command's flags."""
  made = command_line.parser(__doc__, command='ablate')
  made.add_argument(
    '--config', metavar='FILE.py[:PRESET]', help='see configs/ablations.py'
  )
  made.add_argument(
    '--workdir',
    help='folder of all runs and results; default: runs/ and the name of the '
    'configuration',
  )
  return made


def main() -> int:
  """Entry point: 0, or 1 where a signal stopped it before the end."""
  args, keys = parser().parse()
  if not args.config:
    raise InputError('give --config=configs/ablations.py')
  config = config_files.load(args.config)
  first_look.check('ablate', args.config, config, keys)

  from sel_jax.ablation import report  # not for --help or a wrong flag
  from sel_jax.ablation import trials
  from sel_jax.ablation.plan import every_key
  from sel_jax.ablation.plan import Plan
  from sel_jax.ablation.summary import Summary
  from sel_jax.evaluation.text_report import GIVEN
  from sel_jax.evaluation.text_report import GT_MEAN
  from sel_jax.models.exposure import takes_exposure

  config_files.load_imports(config.get('base'), keys.get('base.imports'))
  config_files.override(config, keys, every_key())
  plan = Plan.parse(config)
  workdir = args.workdir or config_files.run_folder(args.config)
  workdir = dry_run.ensure_directory(workdir, dry_run=args.dry_run)
  if args.dry_run:
    _rehearse(plan, workdir)
    return 0
  spec, results = plan.spec, []
  whole = sum(len(trial.labels) for trial in plan.trials)
  first = spec.metrics[0]
  shown = (*spec.metrics, first + GT_MEAN)
  if any(takes_exposure(trial.settings.model.network) for trial in plan.trials):
    shown += (first + GIVEN,)
  for result in trials.run(
    plan.trials,
    workdir,
    split=spec.split,
    names=spec.metrics,
  ):
    results.append(result)
    done = f'{len(results)}/{whole}'
    print(f'{done}: {result["variant"]}, {result["seed"]}')
    _write(workdir, results, shown)
    command = _command(args.config, keys)
    Summary(command, spec.split, shown, results).write(workdir / 'summary.json')
  if results:
    print(report.table(results, shown))
  return 0 if len(results) == whole else 1


if __name__ == '__main__':
  command_line.run(main)
