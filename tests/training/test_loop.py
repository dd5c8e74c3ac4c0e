import json
import math
import os
import signal

import numpy as np
import pytest

from sel_jax import training
from sel_jax.configs import sample
from sel_jax.training import loop
from sel_jax.training.signals import StopRequest
from sel_jax.training.writers import Writers


def test_a_run_whose_loss_explodes_stops_and_saves_nothing_bad(tmp_path):
  config = sample.get_config()
  config.data.update(crop=16, batch_size=8)
  config.model.update(width=4, enc=(1,), dec=(1,), dtype='float32')
  config.loss.update(entropy=0.0, l2=1.0, l1=0.0)
  config.optim.update(
    name='adam', lr=1e30, schedule='constant', warmup=0, clip_norm=0.0
  )
  config.train.update(steps=6, log_every=6, eval_every=6, save_every=1)
  with pytest.raises(loop.NonFiniteLossError, match=r'step \d+: .*loss'):
    training.train(config, tmp_path)
  lines = (tmp_path / 'log.jsonl').read_text()
  assert lines == ''
  saved = sorted(int(p.name) for p in (tmp_path / 'checkpoints').iterdir())
  assert saved and saved[-1] < 6


def _run(skip):
  """A run's checks alone."""
  run = loop._Run(*[None] * 9)
  run.config = sample.get_config()
  run.config.train.skip_nonfinite = skip
  return run


def _scalars(loss=1.0, entropy=1.0, stop=0.0):
  return {'loss': loss, 'entropy': entropy, 'stop': stop}


def test_bad_steps_are_counted_in_a_row_and_named(caplog):
  run = _run(2)
  bad = _scalars(loss=math.nan, entropy=math.inf)
  for step, scalars in enumerate((_scalars(), bad, bad, _scalars(), bad, bad)):
    run.check(step, scalars)
  assert caplog.text.count('skipped: entropy, loss not finite') == 4
  with pytest.raises(loop.NonFiniteLossError, match='step 6: entropy, loss'):
    run.check(6, bad)
  with pytest.raises(loop.NonFiniteLossError, match='step 1: entropy not'):
    _run(0).check(1, _scalars(entropy=math.nan))


def test_a_wish_to_stop_is_heard_from_any_process():
  run = _run(0)
  run.check(1, _scalars())
  assert not run.stopping
  run.check(2, _scalars(stop=1.0))
  assert run.stopping


def test_skipped_steps_leave_the_means_alone():
  rows = [_scalars(loss=1.0), _scalars(loss=math.nan), _scalars(loss=3.0)]
  means = loop._means(rows)
  assert means == {'loss': 2.0, 'entropy': 1.0, 'skipped': 1}
  assert 'skipped' not in loop._means(rows[:1])


def test_a_signal_is_remembered_and_handlers_are_put_back():
  before = signal.getsignal(signal.SIGTERM)
  with StopRequest() as stop:
    assert not stop.asked
    os.kill(os.getpid(), signal.SIGTERM)
    assert stop.asked
  assert signal.getsignal(signal.SIGTERM) is before


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
