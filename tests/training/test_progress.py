"""The progress bar of a run, its log, and what else hears of it."""

import json
import math
import time
from typing import ClassVar

import numpy as np
import pytest

from sel_jax.configs import sample
from sel_jax.errors import InputError
from sel_jax.settings import Settings
from sel_jax.training.progress import means
from sel_jax.training.progress import Progress
from sel_jax.training.writers import check
from sel_jax.training.writers import Logger
from sel_jax.training.writers import LOGGERS
from sel_jax.training.writers import Writers

SETTINGS = Settings()


def _scalars(loss):
  return {'loss': loss, 'entropy': 1.0, 'stop': 0.0}


def test_skipped_updates_leave_the_means_alone():
  rows = [_scalars(1.0), _scalars(math.nan), _scalars(3.0)]
  assert means(rows) == {'loss': 2.0, 'entropy': 1.0, 'skipped': 1}
  assert means(rows[:1]) == {'loss': 1.0, 'entropy': 1.0}
  assert math.isnan(means(rows[1:2])['loss'])


def test_the_log_forgets_what_a_resumed_run_repeats(tmp_path):
  writers = Writers(SETTINGS, tmp_path, 0)
  for step in (1, 2, 3):
    writers.scalars(step, {'loss': math.nan if step == 2 else 1.0})
  writers.image(3, 'a', np.zeros((4, 4, 3), np.uint8))
  writers.close()
  log = tmp_path / 'log.jsonl'
  log.write_text(log.read_text() + '{"step": 4, "lo')  # killed while writing
  writers = Writers(SETTINGS, tmp_path, 2)
  writers.scalars(3, {'loss': 5.0})
  writers.close()
  lines = [json.loads(line) for line in log.read_text().splitlines()]
  assert lines == [
    {'step': 1, 'loss': 1.0},
    {'step': 2, 'loss': None},
    {'step': 3, 'loss': 5.0},
  ]


class _Kept(Logger):
  """Figures in a list."""

  lines: ClassVar[list] = []

  def __init__(self, settings, workdir, first_step):
    self.lines.append((settings.seed, workdir.name, first_step))

  def scalars(self, step, values):
    self.lines.append((step, dict(values)))


def test_a_logger_of_ones_own_hears_what_the_log_does(tmp_path, monkeypatch):
  monkeypatch.setitem(LOGGERS, 'kept', _Kept)
  settings = SETTINGS.changed({'train.loggers': ('kept',), 'seed': 3})
  writers = Writers(settings, tmp_path, 5)
  writers.scalars(6, {'loss': 1.0})
  writers.image(6, 'a', np.zeros((4, 4, 3), np.uint8))
  writers.close()
  assert _Kept.lines == [(3, tmp_path.name, 5), (6, {'loss': 1.0})]
  assert [p.name for p in tmp_path.iterdir()] == ['log.jsonl']


def test_a_logger_that_is_none_is_named():
  check(('tensorboard',))
  with pytest.raises(InputError, match="'wandb' is none of .*config.imports"):
    check(('tensorboard', 'wandb'))


def test_the_bar_says_that_it_compiles_and_does_not_count_it(tmp_path):
  settings = Settings.parse(sample.get_config()).changed(
    {'train.loggers': (), 'train.steps': 9}
  )
  with Progress(settings, tmp_path, 4) as progress:
    bar = progress._bar
    assert 'compiling' in str(bar) and bar.n == 4
    time.sleep(0.6)
    progress.update(5, {'loss': 1.0}, log=False)
    assert 'compiling' not in str(bar) and bar.n == 5
    progress.update(6, {'loss': 1.0}, log=False)
    assert bar.n == 6 and bar.format_dict['elapsed'] < 0.5


def test_a_run_that_has_nothing_to_do_does_not_compile(tmp_path):
  settings = Settings.parse(sample.get_config()).changed({'train.steps': 4})
  with Progress(settings, tmp_path, 4) as progress:
    assert 'compiling' not in str(progress._bar)
