import os
import signal

import numpy as np
import pytest

from sel_jax import training
from sel_jax.configs import lol
from sel_jax.configs import sample
from sel_jax.errors import InputError
from sel_jax.errors import NonFiniteLossError
from sel_jax.settings import Settings
from sel_jax.training.signals import StopRequest
from sel_jax.training.store import Store
from sel_jax.training.trace import Trace


def _saved(workdir):
  return sorted(int(p.name) for p in (workdir / 'checkpoints').iterdir())


@pytest.mark.fence
def test_a_run_whose_loss_explodes_stops_and_saves_nothing_bad(pairs, tmp_path):
  settings = Settings.parse(sample.get_config()).changed(
    {
      'data.source': 'folder', 'data.root': str(pairs),
      'data.crop': 16, 'data.batch_size': 8,
      'model.width': 4, 'model.enc': (1,), 'model.dec': (1,),
      'model.middle': 0,
      'loss.entropy': 0.0, 'loss.l2': 1.0, 'loss.l1': 0.0,
      'optim.name': 'adam', 'optim.lr': 1e6, 'optim.schedule': 'constant',
      'optim.warmup': 0, 'optim.clip_norm': 0.0,
      'train.steps': 6, 'train.log_every': 6, 'train.eval_every': 6,
      'train.save_every': 1,
    }
  )  # fmt: skip
  with pytest.raises(NonFiniteLossError, match=r'step \d+: .*loss'):
    training.train(settings, tmp_path)
  lines = (tmp_path / 'log.jsonl').read_text()
  assert lines == ''
  saved = _saved(tmp_path)
  assert saved and saved[-1] < 6


@pytest.mark.fence
def test_a_run_stopped_and_continued_is_one_run(
  pairs, tmp_path, caplog, capsys
):
  settings = Settings.parse(lol.get_config('tiny')).changed(
    {
      'data.root': str(pairs),
      'train.eval_every': 2,
      'model.middle': 0,
      'loss.entropy': 0.0,
      'loss.l1': 1.0,  # compiles sooner
    }
  )
  whole = training.train(settings, tmp_path / 'whole')

  def stop_after_one(done, scalars):
    assert scalars['loss'] > 0
    if done == 1:
      os.kill(os.getpid(), signal.SIGTERM)

  part = training.train(settings, tmp_path / 'part', on_log=stop_after_one)
  assert int(part.step) == 2 and _saved(tmp_path / 'part') == [2]
  assert 'stopped and saved at step 2' in capsys.readouterr().out
  assert not (tmp_path / 'part' / 'enhanced.png').exists()
  other = settings.changed({'parallel.timeout': 7, 'data.threads': 1})
  again = training.train(other, tmp_path / 'part')
  assert 'goes on' not in caplog.text
  for field in ('step', 'params', 'ema', 'opt_state'):
    np.testing.assert_equal(getattr(again, field), getattr(whole, field))
  logs = [
    [line for line in (tmp_path / name / 'log.jsonl').read_text().splitlines()
     if 'val/' not in line or '"step": 4' in line]
    for name in ('whole', 'part')
  ]  # fmt: skip
  assert logs[0] == logs[1] and len(logs[0]) == 5
  with Store(settings.changed({'optim.lr': 0.1}), tmp_path / 'part') as store:
    store.restore(whole)
  assert 'goes on after update 4 with config.optim.lr=0.1' in caplog.text
  with Store(settings.changed({'loss.l1': 2.0}), tmp_path / 'part') as store:
    with pytest.raises(InputError, match=r'part: .* config.loss.l1=2.0 .was 1'):
      store.restore(whole)
    store.restore(whole, allow_change=True)
  assert 'config.loss.l1=2.0' in caplog.text


def test_a_signal_is_remembered_and_handlers_are_put_back():
  before = signal.getsignal(signal.SIGTERM)
  with StopRequest() as stop:
    assert not stop.asked
    os.kill(os.getpid(), signal.SIGTERM)
    assert stop.asked
  assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
  ('steps', 'walked', 'expected'),
  [
    (None, range(5), {}),
    ((1, 2), range(5), {'start': 1, 'stop': 3}),
    ((0, 0), range(5), {'start': 0, 'stop': 1}),
    ((3, 9), range(5), {'start': 3, 'stop': 'end'}),
    ((1, 2), range(2, 5), {}),  # a run that goes on after its start
  ],
)
def test_a_trace_spans_its_updates(
  steps, walked, expected, monkeypatch, tmp_path
):
  found = {}
  note = lambda what: lambda *_: found.setdefault(what, step)
  monkeypatch.setattr('jax.profiler.start_trace', note('start'))
  monkeypatch.setattr('jax.profiler.stop_trace', note('stop'))
  with Trace(tmp_path, steps) as trace:
    for step in walked:
      trace.at(step)
    step = 'end'
  assert found == expected


def test_a_trace_is_ended_when_the_run_fails(monkeypatch, tmp_path):
  seen = []
  monkeypatch.setattr('jax.profiler.start_trace', lambda _: None)
  monkeypatch.setattr('jax.profiler.stop_trace', lambda: seen.append('e'))
  with pytest.raises(KeyError), Trace(tmp_path, (0, 9)) as trace:
    trace.at(0)
    raise KeyError
  assert seen == ['e']
