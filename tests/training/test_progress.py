import json
import math

import numpy as np

from sel_jax.training.progress import means
from sel_jax.training.writers import Writers


def _scalars(loss):
  return {'loss': loss, 'entropy': 1.0, 'stop': 0.0}


def test_skipped_updates_leave_the_means_alone():
  rows = [_scalars(1.0), _scalars(math.nan), _scalars(3.0)]
  assert means(rows) == {'loss': 2.0, 'entropy': 1.0, 'skipped': 1}
  assert means(rows[:1]) == {'loss': 1.0, 'entropy': 1.0}
  assert math.isnan(means(rows[1:2])['loss'])


def test_the_log_forgets_what_a_resumed_run_repeats(tmp_path):
  writers = Writers(tmp_path, 0)
  for step in (1, 2, 3):
    writers.scalars(step, {'loss': math.nan if step == 2 else 1.0})
  writers.image(3, 'a', np.zeros((4, 4, 3), np.uint8))
  writers.close()
  log = tmp_path / 'log.jsonl'
  log.write_text(log.read_text() + '{"step": 4, "lo')  # killed while writing
  writers = Writers(tmp_path, 2)
  writers.scalars(3, {'loss': 5.0})
  writers.close()
  lines = [json.loads(line) for line in log.read_text().splitlines()]
  assert lines == [
    {'step': 1, 'loss': 1.0},
    {'step': 2, 'loss': None},
    {'step': 3, 'loss': 5.0},
  ]
