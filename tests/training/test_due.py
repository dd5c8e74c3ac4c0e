import dataclasses

import pytest

from sel_jax.sections import TrainSpec
from sel_jax.training.due import Due
from sel_jax.training.due import due

# Steps 20, log 2, save 5, eval 8: no two of them coincide before step 8.
SPEC = TrainSpec(steps=20, log_every=2, save_every=5, eval_every=8)
NOTHING = Due()
LOG = Due(log=True)
SAVE = Due(save=True)
VALIDATED = Due(validate=True, save=True)
LAST = Due(log=True, validate=True, save=True, leave=True)
STOPPED = Due(log=True, save=True, leave=True)


@pytest.mark.parametrize(
  ('done', 'stopping', 'expected'),
  [
    (1, False, NOTHING),
    (2, False, LOG),
    (3, False, NOTHING),
    (5, False, SAVE),
    (8, False, Due(log=True, validate=True, save=True)),
    (10, False, Due(log=True, save=True)),
    (16, False, Due(log=True, validate=True, save=True)),
    (19, False, NOTHING),
    (20, False, LAST),
    (1, True, STOPPED),
    (2, True, STOPPED),
    (5, True, STOPPED),
    (8, True, STOPPED),  # whoever asked does not wait for a validation
    (20, True, LAST),  # but what is complete is measured
  ],
)
def test_what_is_due(done, stopping, expected):
  assert due(done, SPEC, stopping=stopping) == expected


@pytest.mark.parametrize(
  ('every', 'expected'),
  [
    ({}, NOTHING),
    ({'log_every': 7}, LOG),
    ({'save_every': 7}, SAVE),
    ({'eval_every': 7}, VALIDATED),  # what is measured is kept
    ({'steps': 7}, LAST),
    ({'steps': 7, 'eval_every': 7}, LAST),
  ],
)
def test_each_key_makes_its_own_thing_due(every, expected):
  never = TrainSpec(steps=99, log_every=98, save_every=98, eval_every=98)
  assert due(7, dataclasses.replace(never, **every)) == expected


def test_a_run_of_one_update_does_everything():
  assert due(1, TrainSpec(steps=1)) == LAST


def test_processes_meet_before_anything_is_logged_or_saved():
  for done in range(1, 21):
    for stopping in (False, True):
      now = due(done, SPEC, stopping=stopping)
      assert now.check == (now != NOTHING)
      assert now.save or not now.validate
      assert (now.log and now.save) or not now.leave
