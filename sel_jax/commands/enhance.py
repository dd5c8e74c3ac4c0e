"""Brightens photographs with a trained model: no ground truth, any size.

python -m experiments.enhance photo.jpg
python -m experiments.enhance folder/ --checkpoint=runs/lol --output=brighter
python -m experiments.enhance photo.jpg --samples=4 --spread
python -m experiments.enhance photo.jpg --checkpoint=runs/told --ev=+0.7
python -m experiments.enhance timelapse/ --checkpoint=runs/told \
      --exposure=shared

Called again, it does what is left: results that are there are kept. Called
several times at once, on any machines, the calls share the photographs.
"""

import argparse
from collections.abc import Sequence
import contextlib
import glob
import math
import os
from pathlib import Path
import sys
import time
from typing import TYPE_CHECKING

from tqdm import tqdm

from sel_jax import errors
from sel_jax import places
from sel_jax.commands import command_line
from sel_jax.commands import dry_run
from sel_jax.commands import flags
from sel_jax.commands import submission
from sel_jax.errors import InputError

if TYPE_CHECKING:
  from sel_jax.inference import Enhancer
  from sel_jax.inference import listing
  from sel_jax.inference.exposure import Plausible

_AUTO, _SHARED = 'auto', 'shared'
# The data set of whose challenge a submission says what trained the model.
_CHALLENGE = 'ntire2024_low_light'


def parser() -> command_line.Parser:
  """The command's flags."""
  made = command_line.parser(__doc__, command='enhance')
  made.add_argument(
    'inputs', nargs='+', metavar='PHOTO', help='file, folder or pattern'
  )
  flags.add_model(made)
  made.add_argument(
    '--output', default='enhanced', help='folder, or file of a single photo'
  )
  made.switch('--recursive', help='also folders within folders')
  made.add_argument(
    '--exposure',
    default=_AUTO,
    help='mean intensity of the results, such as 0.45, of a model that is told '
    'it; auto is the most plausible one of each photograph, shared one for all '
    'of them',
  )
  made.add_argument(
    '--ev', type=float, default=0.0, help='stops of light brighter than that'
  )
  made.add_argument(
    '--bracket',
    type=int,
    default=1,
    help='results of as many plausible exposures, dark to bright, numbered '
    'from 1',
  )
  made.add_argument(
    '--strength', type=float, default=1.0, help='0 nothing to 1 everything'
  )
  made.switch('--preview', help='also write a low | restored strip')
  made.add_argument(
    '--samples',
    type=int,
    default=1,
    help='results of as many seeds, from --seed on, numbered from 1',
  )
  made.switch('--spread', help='also write a map of where the samples differ')
  made.switch('--trajectory', help="also write a strip of the sampler's states")
  made.add_argument(
    '--submission',
    metavar='FILE.zip',
    help='also pack the results, with the readme.txt that challenges of NTIRE '
    'ask for',
  )
  made.switch(
    '--overwrite',
    help='redo results that are there; of several processes at work in one '
    'output each is redone once',
  )
  return made


def _check_exposure(args: argparse.Namespace) -> float | str:
  """What --exposure asks for.

  Raises:
    InputError: unless it is one, and goes with the other flags.
  """
  if args.bracket > 1 and args.samples > 1:
    raise InputError('--bracket and --samples: give one of both')
  if args.exposure in (_AUTO, _SHARED):
    return args.exposure
  try:
    exposure = float(args.exposure)
  except ValueError:
    exposure = math.nan
  if not 0 <= exposure <= 1:  # its range is checked beside the model
    raise InputError(
      f'--exposure={args.exposure}: give {_AUTO}, {_SHARED}, or a number '
      'in 0 to 1'
    )
  if args.bracket > 1:
    raise InputError(
      f'--bracket: takes what is plausible; leave --exposure={exposure} out'
    )
  return exposure


def _check_inputs(inputs: Sequence[str]) -> None:
  """Early: a wrong path is told before the model is loaded."""
  if not any(glob.has_magic(one) or os.path.exists(one) for one in inputs):
    raise InputError(f'{inputs[0]}: no such file; check the path')


def _folder(output: Path, jobs: 'list[listing.Job]') -> Path:
  """The one that results go to."""
  return output.parent if output == jobs[0].destination else output


def _fail(outcome: 'listing.Outcome') -> None:
  tqdm.write(errors.line(f'error: {outcome.note}'), file=sys.stderr)


def _rehearse(
  args: argparse.Namespace,
  jobs: 'list[listing.Job]',
  extras: 'listing.Extras',
  enhancer: 'Enhancer',
) -> int:
  """Reads every photograph and says what would become of it."""
  from sel_jax.inference import listing
  from sel_jax.inference import reading

  outcomes = []
  for outcome in reading.check_files(
    jobs, extras=extras, overwrite=args.overwrite
  ):
    outcomes.append(outcome)
    if outcome.state == 'failed':
      _fail(outcome)
  by_state = listing.by_state(outcomes)
  size = sum(listing.megapixels(o.job) for o in by_state['written'])
  model = dry_run.describe(enhancer, args.checkpoint)
  lines = [
    f'would brighten {dry_run.counted(len(by_state["written"]), "photograph")}'
    f', {size:.1f} MP, with {model} to {args.output}'
  ]
  if by_state['kept']:
    lines.append(
      f'would keep {len(by_state["kept"])} there already; --overwrite redoes '
      'them'
    )
  if by_state['failed']:
    lines.append(f'{len(by_state["failed"])} would fail')
  dry_run.report(lines)
  return 2 if by_state['failed'] else 0


def main() -> int:
  """Entry point: 0, or 2 if a photograph failed."""
  args = parser().parse_flags()
  if not 0 <= args.strength <= 1:
    raise InputError(f'--strength={args.strength}: give 0 to 1')
  for name in ('samples', 'bracket'):
    if (count := getattr(args, name)) < 1:
      raise InputError(f'--{name}={count}: give 1 or more')
  exposure = _check_exposure(args)
  if args.spread and args.samples < 2:
    raise InputError('--spread: compares samples; give --samples=2 or more')
  if args.submission:
    submission.check(args.submission, dry_run=args.dry_run)
    if args.samples > 1 or args.bracket > 1:
      raise InputError('--submission: takes one result of each photograph')
  _check_inputs(args.inputs)
  places.find(args.checkpoint)

  from sel_jax.inference import exposure as request  # not for --help
  from sel_jax.inference import listing

  extras = listing.Extras(
    args.samples, args.spread, args.trajectory, args.preview, args.bracket
  )
  output = Path(args.output)
  jobs = listing.collect(args.inputs, output, recursive=args.recursive)
  enhancer = flags.load(args)
  if exposure != _AUTO or args.ev or args.bracket > 1:
    enhancer.require_exposure()
    request.check(request.AUTO if exposure == _SHARED else exposure, args.ev)
  # Early: nobody wants to learn after an hour that it cannot be written.
  dry_run.ensure_directory(_folder(output, jobs), dry_run=args.dry_run)
  if args.dry_run:
    return _rehearse(args, jobs, extras, enhancer)
  if exposure == _SHARED:
    exposure = _shared(enhancer, jobs)
  begin = time.monotonic()
  outcomes = _enhance(args, jobs, extras, enhancer, exposure)
  seconds = time.monotonic() - begin
  status = _report(outcomes, output)
  if args.submission and not status:
    _submit(args, outcomes, enhancer, seconds)
  return status


def _submit(
  args: argparse.Namespace,
  outcomes: 'list[listing.Outcome]',
  enhancer: 'Enhancer',
  seconds: float,
) -> None:
  """Packs all results, written now or before."""
  import jax

  data = enhancer.settings.data.pairs.origin
  alone = getattr(data, 'name', '') == _CHALLENGE and not enhancer.settings.init
  written = sum(outcome.state == 'written' for outcome in outcomes)
  submission.write(
    Path(args.submission),
    [outcome.job.destination for outcome in outcomes],
    seconds=seconds / written if written else None,
    cpu=jax.default_backend() == 'cpu',
    extra=not alone,
    model=dry_run.describe(
      enhancer, args.checkpoint and Path(args.checkpoint).name
    ),
  )
  print(f'{len(outcomes)} result(s) packed into {args.submission}')


class _Bar:
  """Megapixels and photographs done, and the time left.

  Compiling counts neither for the photographs a second nor for the time left:
  it happens at the start, and no more than a few times.
  """

  def __init__(self, jobs: 'list[listing.Job]'):
    from sel_jax.inference import listing

    self._sizes = {job: listing.megapixels(job) for job in jobs}
    self._photographs, self._busy, self._begin = 0, 0.0, time.monotonic()
    self._compiling, self._name = False, ''
    self._bar = tqdm(
      total=sum(self._sizes.values()),
      dynamic_ncols=True,
      bar_format='{l_bar}{bar}| {n:.1f}/{total:.1f} MP [{elapsed}{postfix}]',
    )

  def __enter__(self) -> '_Bar':
    return self

  def __exit__(self, *_: object) -> None:
    self._bar.close()

  def advance(self, job: 'listing.Job', share: float) -> None:
    """A share of a photograph is done."""
    self._name = job.source.name
    # Sums of shares may exceed the whole by a rounding error.
    step = min(share * self._sizes[job], self._bar.total - self._bar.n)
    self._show(step)
    self._bar.update(step)

  def finish(self, outcome: 'listing.Outcome') -> None:
    """A photograph is done with."""
    if outcome.state == 'failed':
      _fail(outcome)
    elif outcome.note:
      words = errors.line(f'{outcome.job.source}: {outcome.note}')
      tqdm.write(words, file=sys.stderr)
    if outcome.state == 'written':
      self._photographs += 1
    else:  # no time is to be spent on it
      total = self._bar.total - self._sizes[outcome.job]
      self._bar.total = max(total, self._bar.n)
    self._show()
    self._bar.refresh()

  def compile(self, is_on: bool) -> None:
    """A program is being compiled, or is ready."""
    if is_on:
      self._busy += time.monotonic() - self._begin
    self._begin, self._compiling = time.monotonic(), is_on
    self._show()
    self._bar.refresh()

  def _show(self, step: float = 0.0) -> None:
    """Sets what stands behind the bar, which is a step further then."""
    done = self._bar.n + step
    seconds = self._busy
    if not self._compiling:
      seconds += time.monotonic() - self._begin
    words = []
    if self._photographs and seconds > 0:
      left = (self._bar.total - done) * seconds / max(done, 1e-9)
      words = [
        f'{tqdm.format_interval(left)} left',
        f'{self._photographs / seconds:.1f} photos/s',
      ]
    last = 'compiling' if self._compiling else self._name
    text = ', '.join([*words, last])
    self._bar.set_postfix_str(errors.line(text), refresh=False)


def _shared(enhancer: 'Enhancer', jobs: 'list[listing.Job]') -> 'Plausible':
  """What is plausible of all photographs together, of which it tells."""
  from sel_jax.inference import series

  with tqdm(total=len(jobs), unit='photo', dynamic_ncols=True) as bar:
    bar.set_description_str('one exposure for all')
    found = series.plausible(enhancer, jobs, on_done=bar.update)
  print(f'exposure {found.quantile(0.5):.2f} for all')
  return found


def _enhance(
  args: argparse.Namespace,
  jobs: 'list[listing.Job]',
  extras: 'listing.Extras',
  enhancer: 'Enhancer',
  exposure: 'float | str | Plausible',
) -> 'list[listing.Outcome]':
  """What became of each; told while it happens."""
  from sel_jax import programs
  from sel_jax.inference import bulk
  from sel_jax.inference import failures
  from sel_jax.inference.claims import Claims

  outcomes = []
  folder = _folder(Path(args.output), jobs)
  with contextlib.ExitStack() as stack:
    shared = len(jobs) > 1
    claims = stack.enter_context(Claims(folder, jobs)) if shared else None
    bar = stack.enter_context(_Bar(jobs))
    stack.enter_context(programs.announced(bar.compile))
    for outcome in bulk.enhance_files(
      enhancer,
      jobs,
      exposure=exposure,
      ev=args.ev,
      strength=args.strength,
      extras=extras,
      overwrite=args.overwrite,
      on_progress=bar.advance,
      log=folder / failures.LOG,
      claims=claims,
    ):
      outcomes.append(outcome)
      bar.finish(outcome)
  return outcomes


def _report(outcomes: 'list[listing.Outcome]', output: Path) -> int:
  """What was done, what was not, and the exit status."""
  from sel_jax.inference import listing

  by_state = listing.by_state(outcomes)
  print(f'{len(by_state["written"])} photograph(s) written to {output}')
  if by_state['kept']:
    print(
      f'{len(by_state["kept"])} there already and kept; --overwrite redoes them'
    )
  if by_state['failed']:
    print(f'{len(by_state["failed"])} failed:')
    for outcome in by_state['failed']:
      print(f'  {errors.line(outcome.note)}')
  return 2 if by_state['failed'] else 0


if __name__ == '__main__':
  command_line.run(main)
