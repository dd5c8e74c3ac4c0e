import math

import pytest

from sel_jax.errors import NonFiniteLossError
from sel_jax.settings import Settings
from sel_jax.training.due import Due
from sel_jax.training.guard import Guard
from sel_jax.training.signals import StopRequest

EVERY = {'log_every': 50, 'eval_every': 50, 'save_every': 50}
NOTHING = Due()
STOPPED = Due(log=True, save=True, leave=True)
BAD = {'loss': math.nan, 'entropy': math.inf}


def _guard(stop=None, **keys):
  changes = {'steps': 100, **EVERY, **keys}
  settings = Settings().changed({f'train.{k}': v for k, v in changes.items()})
  return Guard(settings, stop)


def _scalars(loss=1.0, entropy=1.0, stop=0.0):
  return {'loss': loss, 'entropy': entropy, 'stop': stop}


def test_bad_updates_are_counted_in_a_row_and_named(caplog):
  guard = _guard(skip_nonfinite=2)
  good, bad = _scalars(), _scalars(**BAD)
  for done, scalars in enumerate((good, bad, bad, good, bad, bad, bad), 1):
    assert guard.look(done, scalars) == NOTHING
  assert caplog.text.count('skipped: entropy, loss not finite') == 4
  with pytest.raises(NonFiniteLossError, match='step 7: entropy, loss not'):
    guard.look(8, good)


def test_an_update_is_looked_at_when_the_next_is_on_its_way():
  guard = _guard()
  guard.look(1, _scalars(entropy=math.nan))
  with pytest.raises(NonFiniteLossError, match='step 1: entropy not finite'):
    guard.look(2, _scalars())


@pytest.mark.parametrize('key', EVERY)
def test_a_bad_update_is_seen_before_it_is_logged_or_saved(key):
  guard = _guard(**{key: 3})
  assert guard.look(1, _scalars()) == guard.look(2, _scalars()) == NOTHING
  with pytest.raises(NonFiniteLossError, match='step 3: entropy, loss'):
    guard.look(3, _scalars(**BAD))
  assert guard.stopping is False


def test_a_bad_last_update_stops_the_run():
  with pytest.raises(NonFiniteLossError, match='step 100'):
    _guard().look(100, _scalars(**BAD))


def test_a_wish_to_stop_is_heard_from_any_process():
  guard = _guard()
  assert guard.look(1, _scalars()) == NOTHING
  assert guard.look(2, _scalars(stop=1.0)) == NOTHING
  assert guard.look(3, _scalars()) == STOPPED  # by all, one update later


def test_a_wish_in_an_update_that_is_logged_is_heard_at_once():
  guard = _guard(log_every=2, eval_every=2)
  assert guard.look(1, _scalars()) == NOTHING
  assert guard.look(2, _scalars(stop=1.0)) == STOPPED  # without validation


def test_a_single_process_stops_at_once():
  stop = StopRequest()
  guard = _guard(stop)
  assert guard.look(1, _scalars()) == NOTHING
  stop.asked = True
  assert guard.look(2, _scalars()) == STOPPED


def test_among_several_processes_a_wish_of_ones_own_is_not_enough(monkeypatch):
  monkeypatch.setattr('jax.process_count', lambda: 2)
  stop = StopRequest()
  stop.asked = True
  assert _guard(stop).look(1, _scalars()) == NOTHING
