"""Measures trained models on a split of a paired data set.

python -m experiments.evaluate --checkpoint=runs/lol --data=/data/LOL \
      --split=test --html=report.html --json=test.json

--checkpoint may be given several times: they are compared, and so are images
that other methods saved, --outputs=NAME=FOLDER. A folder of photographs without
clean ones is measured by what can be said without.
"""

from collections.abc import Sequence
from pathlib import Path

from sel_jax import places
from sel_jax.commands import command_line
from sel_jax.commands import flags


def _folders(
  output: str | None, checkpoints: Sequence[str]
) -> dict[str, Path | None]:
  """Checkpoint -> where its images go, if they are to be written."""
  if not output or len(checkpoints) == 1:
    return dict.fromkeys(checkpoints, Path(output) if output else None)
  return {
    checkpoint: Path(output) / f'{number}_{Path(checkpoint).stem}'
    for number, checkpoint in enumerate(checkpoints)
  }


def parser() -> command_line.Parser:
  """The command's flags."""
  made = command_line.parser(__doc__, command='evaluate')
  flags.add_model(made, many=True)
  flags.add_report(made)
  made.add_argument(
    '--data',
    help="folder of pairs, or of photographs alone, or 'sample'; default: the "
    "training set's",
  )
  made.add_argument(
    '--outputs',
    action='append',
    default=[],
    metavar='NAME=FOLDER',
    help='images that another method saved, named as the pairs',
  )
  made.add_argument('--output', help='also write the images to this folder')
  made.add_argument('--limit', type=int, default=0, help='images; 0 is all')
  return made


def main() -> None:
  """Entry point."""
  args = parser().parse_flags()
  checkpoints = list(dict.fromkeys(args.checkpoint or [places.SHIPPED]))
  for checkpoint in checkpoints:
    places.find(checkpoint)
  flags.check_data(args)
  names = flags.metrics(args.metrics, unpaired=flags.is_unpaired(args))
  outputs = flags.outputs(args.outputs, taken=checkpoints)
  flags.check_report(args)
  folders = _folders(args.output, checkpoints)

  from sel_jax.commands import measuring  # not for --help or a wrong path
  from sel_jax.evaluation import text_report

  if args.dry_run:
    measuring.rehearse(args, folders, outputs, names)
    return
  entries, shots = [], {}
  for entry, taken in measuring.measure_all(args, folders, outputs, names):
    entries.append(entry)
    shots[entry.name] = taken
    heading = f'{entry.name}: {entry.heading()}'
    print(text_report.format_table(entry.rows, heading))
  if len(entries) > 1:
    print(text_report.compare_table(entries))
  measuring.write_reports(args, entries, shots)


if __name__ == '__main__':
  command_line.run(main)
