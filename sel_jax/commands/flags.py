"""Flags that several commands share, and what they ask for.

Contract: a key of the section `eval` is a flag by its own description; nothing
about it is written here.
"""

import argparse
from collections.abc import Sequence
import dataclasses
from pathlib import Path
from typing import Any
from typing import TYPE_CHECKING

from sel_jax import fields
from sel_jax import imports
from sel_jax import places
from sel_jax.commands import dry_run
from sel_jax.commands.command_line import Parser
from sel_jax.errors import InputError
from sel_jax.errors import SettingError
from sel_jax.eval_section import EvalSpec

# What runs or measures a model loads later: a wrong flag is told without it.
if TYPE_CHECKING:
  from sel_jax.data.pairs import PairsSpec
  from sel_jax.inference import Enhancer
  from sel_jax.settings import Settings


def _offered() -> dict[str, fields.Described]:
  """Keys of the section `eval` that are flags."""
  every = fields.described(EvalSpec)
  return {name: one for name, one in every.items() if one.key.flag}


def add_model(parser: Parser, *, many: bool = False) -> None:
  """Flags of every command that restores images: the model, its sampler."""
  parser.add_argument(
    '--checkpoint',
    action='append' if many else 'store',
    help='the --workdir of a training run, or weights in .safetensors; '
    "default: 'shipped', the model that comes with the package",
  )
  group = parser.add_argument_group(
    'the sampler', "instead of the model's own settings"
  )
  for name, one in _offered().items():
    flag = '--' + name.replace('_', '-')
    if one.hint is bool:
      action = group.add_argument(
        flag, action=argparse.BooleanOptionalAction, default=None
      )
    else:
      action = group.add_argument(
        flag, type=one.hint, metavar=one.hint.__name__.upper()
      )
    parser.explain(action, one.meaning)


def load(
  args: argparse.Namespace, *, checkpoint: str | None = None
) -> 'Enhancer':
  """The model that `add_model` asks for.

  Raises:
    InputError: if there is none, or a flag does not fit it.
  """
  checkpoint = checkpoint or args.checkpoint
  places.find(checkpoint)  # before a library is loaded for nothing

  from sel_jax.inference import Enhancer

  given: dict[str, Any] = {name: getattr(args, name) for name in _offered()}
  try:
    return Enhancer.from_checkpoint(checkpoint, **given)
  except SettingError as error:
    if given.get(error.key) is None:
      raise
    raise InputError(f'--{error.key}={error.value}: {error.reason}') from None


def add_report(parser: Parser) -> None:
  """Flags of the commands that measure."""
  parser.add_argument(
    '--split',
    default='test',
    help='train, val or test; all is every pair, of whatever split',
  )
  for side in ('low', 'clean'):
    parser.add_argument(
      f'--{side}',
      default='',
      metavar='PATTERN',
      help=f'pattern of {side} photographs in --data, as config.data.{side}',
    )
  parser.add_argument(
    '--noise',
    type=float,
    metavar='SIGMA',
    help='low photographs are the clean ones, or those of the folder --data, '
    'with Gaussian noise of this deviation, 8-bit units',
  )
  parser.add_argument(
    '--tfds', help='name of a prepared TFDS set; --data is its folder'
  )
  parser.explain(parser.add_argument('--metrics'), _about_metrics)
  parser.switch(
    '--skip-broken',
    help='leave broken files out, with a word, instead of stopping',
  )
  parser.switch('--fid', help='also the distance of the two sets')
  parser.add_argument('--json', help='also write the figures to this file')
  parser.add_argument('--csv', help='also write a line per image to this file')
  parser.add_argument('--html', help='also write a report with pictures')


def _about_metrics() -> str:
  from sel_jax.evaluation import METRICS

  return f'of {",".join(METRICS)}; default: all whose weights exist'


def outputs(
  texts: Sequence[str], *, taken: Sequence[str] = ()
) -> dict[str, Path]:
  """Name -> folder of 'NAME=FOLDER', or of a folder by its own name.

  Args:
    texts: what the flags say.
    taken: names that others have.

  Raises:
    InputError: for two of one name, or a folder that is not there.
  """
  methods: dict[str, Path] = {}
  for text in texts:
    name, equals, folder = text.partition('=')
    if not equals:
      name, folder = Path(text).name, text
    if not name or name in methods or name in taken:
      raise InputError(f'{text}: give every folder a name of its own, NAME=DIR')
    if not Path(folder).is_dir():
      raise InputError(f'{folder}: no such folder; check the path')
    methods[name] = Path(folder)
  return methods


def metrics(text: str | None, *, unpaired: bool = False) -> list[str]:
  """Names of the metrics to measure.

  Args:
    text: what --metrics says.
    unpaired: they are of photographs that have no clean ones.

  Raises:
    InputError: for an unknown one, or one whose weights are missing.
  """
  from sel_jax.evaluation import metrics as known

  table = known.UNPAIRED if unpaired else known.METRICS
  names = text.split(',') if text else list(table)
  for name in list(names):
    if name not in table:
      needs = ', which need no clean photographs' if unpaired else ''
      raise InputError(
        f'--metrics: {name!r} is none of {", ".join(table)}{needs}; '
        f'{imports.hint(())}'
      )
    try:
      if available := table[name].available:
        available()
    except InputError as error:
      if text:
        raise
      print(f'{name} is left out: {error}')
      names.remove(name)
  if not unpaired and 'psnr' not in names:
    names.insert(0, 'psnr')  # the report ranks by it
  return names


def check_data(args: argparse.Namespace) -> None:
  """Early: that --data is there.

  Raises:
    InputError: if there is no such folder.
  """
  if args.data and args.data != 'sample' and not Path(args.data).is_dir():
    raise InputError(f'{args.data}: no such folder; check the path')


def check_report(args: argparse.Namespace) -> None:
  """Early: that figures can be made, and written where they should go.

  Raises:
    InputError: if they cannot.
  """
  from sel_jax.evaluation import fid

  if args.fid:
    if is_unpaired(args):
      raise InputError(f'--fid: {args.data} has no clean photographs')
    fid.require()
  for path in (args.json, args.csv, args.html):
    if path:
      folder = Path(path).absolute().parent
      dry_run.ensure_directory(folder, dry_run=args.dry_run)


def _is_single(args: argparse.Namespace) -> bool:
  """Whether --data is a folder of photographs, and not of pairs."""
  from sel_jax.data import photographs

  if args.tfds or args.low or args.data in (None, '', 'sample'):
    return False
  return photographs.is_folder(args.data)


def is_unpaired(args: argparse.Namespace) -> bool:
  """Whether --data is a folder of photographs without clean ones."""
  return args.noise is None and _is_single(args)


def _is_made_noisy(args: argparse.Namespace) -> bool:
  """Whether --data is a folder of clean photographs, for --noise."""
  return args.noise is not None and _is_single(args)


def pairs(args: argparse.Namespace, settings: 'Settings') -> 'PairsSpec':
  """The pairs that --data and --tfds ask for, the rest as in the settings.

  Raises:
    InputError: if there is no such data set, or the settings' own has a part
      that is not here.
  """
  from sel_jax.data.pairs import PairsSpec

  own = PairsSpec()
  if not fields.is_unread(settings.data) or not (args.data or args.tfds):
    own = settings.data.pairs
  rest = {
    field.name: getattr(own, field.name)
    for field in dataclasses.fields(own)
    if field.name not in ('source', 'origin')
  }
  if args.noise is not None:
    rest['noise'] = (args.noise,)
    own = dataclasses.replace(own, noise=(args.noise,))
  if args.data == 'sample' and not args.tfds:
    return PairsSpec.create(source='sample', noise=rest['noise'])
  if args.tfds:
    found = PairsSpec.create(
      source='tfds', root=args.data or '', name=args.tfds, **rest
    )
  elif _is_made_noisy(args):
    return PairsSpec.create(source='photographs', root=args.data, **rest)
  elif args.data:
    found = PairsSpec.create(
      source='folder', root=args.data, low=args.low, clean=args.clean, **rest
    )
  else:
    return own
  if found.leave_test_scenes and found.open('test') is None:
    return dataclasses.replace(found, leave_test_scenes=False)
  return found
