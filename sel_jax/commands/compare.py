"""Puts saved outputs of any methods into one table, by one protocol.

python -m experiments.compare --data=/data/LOL --split=test \
    input=/data/LOL/eval15/low Retinexformer=outputs/retinexformer \
    --html=report.html

Each NAME=FOLDER holds an image for each pair of the split, named as the pair:
experiments.evaluate --output=FOLDER writes such a folder. Where --data is a
folder of photographs without clean ones, what can be said without is measured.
"""

from sel_jax.commands import command_line
from sel_jax.commands import dry_run
from sel_jax.commands import flags


def parser() -> command_line.Parser:
  """The command's flags."""
  made = command_line.parser(__doc__, command='compare')
  made.add_argument('methods', nargs='+', metavar='NAME=FOLDER')
  made.add_argument(
    '--data', required=True, help="folder of pairs, or 'sample'"
  )
  flags.add_report(made)
  return made


def main() -> None:
  """Entry point."""
  args = parser().parse_flags()
  methods = flags.outputs(args.methods)
  flags.check_data(args)

  from sel_jax.commands import measuring  # not for --help or a wrong path
  from sel_jax.evaluation import text_report
  from sel_jax.settings import Settings

  names = flags.metrics(args.metrics, unpaired=flags.is_unpaired(args))
  flags.check_report(args)
  place, pairs = measuring.chosen(args, Settings())
  if args.dry_run:
    line = measuring.rehearse_outputs(args, pairs, methods, names, place=place)
    dry_run.report([line, *dry_run.written([args.json, args.csv, args.html])])
    return
  entries, shots = [], {}
  for entry, taken in measuring.measure_outputs(
    args, pairs, methods, names, place=place
  ):
    entries.append(entry)
    shots[entry.name] = taken
  print(f'{measuring.where(args, place, pairs)}, {len(pairs)} images')
  print(text_report.compare_table(entries))
  for entry in entries:
    for name, value in entry.overall.items():
      print(f'{entry.name}: {name} {value:.2f}')
  measuring.write_reports(args, entries, shots)


if __name__ == '__main__':
  command_line.run(main)
