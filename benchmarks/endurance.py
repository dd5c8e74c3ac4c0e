"""Does a long run keep its memory, and compile nothing after it has started?

Trains a tiny network for 2,000 updates with logs, checkpoints and validations,
and notes the resident memory and the number of programs compiled so far.

  python -m benchmarks.endurance --steps=2000
"""

from collections.abc import Sequence
from pathlib import Path
import tempfile

import jax

from benchmarks.lib import front
from benchmarks.lib import measure
from benchmarks.lib import rows
from benchmarks.lib import runs
from sel_jax import allocator
from sel_jax import training
from sel_jax.settings import Settings

COLUMNS = {'step': 'd', 'resident MB': '.0f', 'compilations': 'd'}


def _settings(steps: int) -> Settings:
  return front.settings(
    'tiny',
    {
      'train.steps': steps,
      'train.log_every': max(1, steps // 10),
      'train.save_every': max(1, steps // 10),
      'train.eval_every': max(1, steps // 2),
    },
  )


def measure_run(settings: Settings, found: list[rows.Row]) -> None:
  """Adds a row for each line of the log, while the run goes on."""
  compiled = []

  def on_event(event: str, duration_secs: float, **__: str | int):
    del duration_secs
    if event.endswith('backend_compile_duration'):
      compiled.append(event)

  def on_log(step, _):
    memory = measure.resident_megabytes()
    found.append(
      {'step': step, 'resident MB': memory, 'compilations': len(compiled)}
    )

  jax.monitoring.register_event_duration_secs_listener(on_event)
  with tempfile.TemporaryDirectory() as name:
    root = runs.make_pairs(Path(name) / 'data')
    settings = settings.changed({'data.root': str(root)})
    training.train(settings, Path(name) / 'run', on_log=on_log)


def main(arguments: Sequence[str] | None = None) -> int:
  """Prints a row for each tenth of a run."""
  parser = front.parser(__spec__.name, __doc__)
  parser.add_argument(
    '--steps', type=front.number(), default=2000, help='updates'
  )
  args = front.parse(parser, arguments)
  settings = _settings(args.steps)
  every = settings.train.log_every
  if args.dry_run:
    last = args.steps + 1
    return rows.preview([{'step': n} for n in range(every, last, every)])
  allocator.keep_memory()
  found: list[rows.Row] = []
  end = rows.attempt(
    {'step': args.steps}, lambda: measure_run(settings, found) or {}
  )
  if 'error' in end:
    found.append(end)
  return rows.report(args, (found, COLUMNS))


if __name__ == '__main__':
  front.run(main)
