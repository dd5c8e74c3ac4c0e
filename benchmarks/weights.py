"""What it costs to read and write weights: seconds, and memory at its peak.

Writes drawn weights of a preset's network in every form, then converts each
into each other, in a process of its own. A file of PyTorch has what training
codes store beside a network: `module.` before every name, the moving average,
the optimizer's moments. Weights that come back must be those that were written.

  python -m benchmarks.weights --forms=safetensors,run
  python -m benchmarks.weights --preset=small --forms=pth,safetensors,run
"""

import argparse
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
import sys
import tempfile
from typing import Any

import jax
import numpy as np

from benchmarks.lib import front
from benchmarks.lib import measure
from benchmarks.lib import rows
from sel_jax import checkpoints
from sel_jax import interop
from sel_jax import models
from sel_jax.commands import convert
from sel_jax.errors import InputError
from sel_jax.inference import stored
from sel_jax.interop import portable
from sel_jax.settings import Settings

# Form -> how its names end.
FORMS = {'pth': '.pth', 'safetensors': '.safetensors', 'run': ''}
COLUMNS = {
  'from': 's',
  'to': 's',
  'parameters': ',d',
  'read': ',.0f',
  'written': ',.0f',
  'seconds': '.1f',
  'peak': ',.0f',
}


def _draw(settings: Settings) -> dict:
  """Parameters of a network, each its own number: NumPy arrays."""
  rng = np.random.default_rng(0)
  shapes = models.param_shapes(settings.model.network)
  return jax.tree.map(
    lambda leaf: rng.standard_normal(leaf.shape, np.float32), shapes
  )


def _write_torch(path: Path, state: Mapping[str, np.ndarray]) -> None:
  """A file as training codes leave it: the average is what is wanted."""
  import torch

  average = {
    f'module.{name}': torch.from_numpy(np.ascontiguousarray(value))
    for name, value in state.items()
  }
  moments = {
    index: {'step': 7, 'exp_avg': 0 * value, 'exp_avg_sq': 0 * value + 1}
    for index, value in enumerate(average.values())
  }
  groups = [{'lr': 3e-5, 'params': list(moments)}]
  content: dict[str, Any] = {
    'params': {name: -value for name, value in average.items()},
    'params_ema': average,
    'optimizer': {'state': moments, 'param_groups': groups},
    'iter': 7,
  }
  torch.save(content, path)


def _write(form: str, path: Path, settings: Settings) -> rows.Row:
  params, config = _draw(settings), settings.to_dict()
  if form == 'pth':
    _write_torch(path, interop.to_state(settings.model.name, params))
  elif form == 'run':
    run = checkpoints.Checkpoints(path)
    run.save(0, None, params, config)
    run.close()
  else:
    portable.save(path, params, {'config': config, 'step': 0})
  return {}


def _megabytes(path: Path) -> float:
  files = path.rglob('*') if path.is_dir() else [path]
  return sum(p.stat().st_size for p in files if p.is_file()) / 1e6


def _convert(case: rows.Row, settings: Settings) -> rows.Row:
  """Runs the command, and compares what it wrote with what was drawn."""
  source, destination = Path(case['source']), Path(case['destination'])
  sys.argv = ['convert', str(source), str(destination)]
  seconds = measure.once(convert.main)
  peak = measure.peak_megabytes()
  params = _draw(settings)
  jax.tree.map(
    np.testing.assert_array_equal, stored.load(destination).params, params
  )
  return {
    'parameters': models.count_params(params),
    'read': _megabytes(source),
    'written': _megabytes(destination),
    'seconds': seconds,
    'peak': peak,
  }


def _take(args: argparse.Namespace, folder: Path) -> list[rows.Row]:
  """A row for each pair of forms; what was converted is removed at once."""
  sources = {form: folder / f'drawn{FORMS[form]}' for form in args.forms}
  found = []
  for form, path in sources.items():
    made = rows.in_child(args, {'write': form, 'path': str(path)})
    if 'error' in made:
      return [made]
  for case in _cases(args):
    end = FORMS[case['to']]
    with tempfile.TemporaryDirectory(dir=folder) as inner:
      places = {
        'source': str(sources[case['from']]),
        'destination': str(Path(inner) / f'found{end}'),
      }
      row = rows.in_child(args, case | places)
    found.append({k: v for k, v in row.items() if k not in places})
  return found


def _cases(args: argparse.Namespace) -> list[rows.Row]:
  return [
    {'from': source, 'to': to}
    for source in args.forms
    for to in args.forms
    if source != to
  ]


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
  parser = front.parser(__spec__.name, __doc__)
  parser.add_argument(
    '--preset', default='', help='of configs/lol.py; if empty that of the paper'
  )
  parser.add_argument(
    '--forms',
    type=front.names(FORMS),
    default=['safetensors', 'run'],
    help='two of pth, safetensors, run at least; pth needs PyTorch',
  )
  parser.add_argument('--folder', help='where there is room for the files')
  args = front.parse(parser, arguments)
  if 'pth' in args.forms:
    interop.torch_files.require_torch()
  if args.folder and not Path(args.folder).is_dir():
    raise InputError(f'--folder={args.folder}: no such folder; make it first')
  return args


def main(arguments: Sequence[str] | None = None) -> int:
  """Prints a table of conversions."""
  args = _parse(arguments)
  settings = front.settings(args.preset)
  if args.case:
    case = args.case
    if 'write' in case:
      write = _write(case['write'], Path(case['path']), settings)
      return rows.answer(case | write)
    return rows.answer(case | _convert(case, settings))
  if args.dry_run:
    return rows.preview(_cases(args))
  with tempfile.TemporaryDirectory(dir=args.folder) as folder:
    found = _take(args, Path(folder))
  return rows.report(
    args,
    (found, COLUMNS),
    heading=f'Weights of lol.py:{args.preset}; megabytes, seconds.',
    note='The peak counts pages of mapped files, which the system may drop.',
  )


if __name__ == '__main__':
  front.run(main)
