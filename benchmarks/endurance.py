"""Does a long run keep its memory, and compile nothing after it has started?

Trains a tiny network for 2,000 steps with logs, checkpoints and validations,
and notes the resident memory and the number of programs compiled so far.

  python -m benchmarks.endurance --steps=2000
"""

import argparse
import logging
from pathlib import Path
import tempfile

import jax

from benchmarks.lib import measure
from benchmarks.lib import runs
from sel_jax import allocator
from sel_jax import training
from sel_jax.configs import lol

COLUMNS = {'step': 'd', 'resident MB': '.0f', 'compilations': 'd'}


def _config(root: Path, steps: int):
  config = lol.get_config('tiny')
  config.data.root = str(root)
  config.train.update(
    steps=steps,
    log_every=max(1, steps // 10),
    save_every=max(1, steps // 10),
    eval_every=max(1, steps // 2),
  )
  return config


def measure_run(steps: int) -> list[measure.Row]:
  """A row for each tenth of a run."""
  allocator.keep_memory()
  logging.getLogger('absl').setLevel(logging.ERROR)
  rows, compiled = [], []

  def on_event(event, _, **__):
    if event.endswith('backend_compile_duration'):
      compiled.append(event)

  def on_log(step, _):
    memory = measure.resident_megabytes()
    rows.append(
      {'step': step, 'resident MB': memory, 'compilations': len(compiled)}
    )

  jax.monitoring.register_event_duration_secs_listener(on_event)
  with tempfile.TemporaryDirectory() as name:
    root = runs.make_pairs(Path(name) / 'data')
    training.train(_config(root, steps), Path(name) / 'run', on_log=on_log)
  return rows


def main() -> None:
  """Prints a table."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--steps', type=int, default=2000)
  parser.add_argument('--json', help='also write the figures to this file')
  args = parser.parse_args()
  rows = measure_run(args.steps)
  measure.show(rows, COLUMNS)
  measure.save(args.json, vars(args), rows)


if __name__ == '__main__':
  main()
