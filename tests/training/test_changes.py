"""What a run may change when it goes on."""

import pytest

from sel_jax import fields
from sel_jax.configs import lol
from sel_jax.errors import InputError
from sel_jax.settings import SECTIONS
from sel_jax.settings import Settings
from sel_jax.training import changes


def _found(changed):
  stored = Settings.parse(lol.get_config('tiny'))
  return changes.find(stored, stored.changed(changed))


@pytest.mark.parametrize('name', [*changes.FREE, *changes.WISHES])
def test_every_name_is_that_of_a_section_or_a_key(name):
  section, dot, key = name.partition('.')
  assert section in SECTIONS
  assert not dot or key in fields.described(SECTIONS[section])


def test_what_changes_nothing_is_free():
  found = _found(
    {
      'data.root': '/elsewhere',
      'data.workers': 2,
      'parallel.accumulate': 2,
      'train.log_every': 7,
      'eval.sampler': 'ode',
    }
  )
  assert found == changes.Changes({}, {})


def test_a_longer_run_is_a_wish_and_another_loss_is_not():
  found = _found({'train.steps': 9, 'optim.lr': 0.5, 'loss.l1': 2.0, 'seed': 3})
  assert found.wishes == {'train.steps': (4, 9), 'optim.lr': (0.001, 0.5)}
  assert found.learned == {'loss.l1': (0.0, 2.0), 'seed': (0, 3)}
  words = 'loss.l1=2.0 .was 0.0.*allow-change.*leave out --config.*--workdir'
  with pytest.raises(InputError, match=words):
    changes.refuse(found, 'runs/x', 400)


def test_keys_of_a_row_follow_its_name():
  found = _found({'optim.name': 'lion', 'optim.schedule': 'constant'})
  assert found.learned == {'optim.name': ('adamw', 'lion')}
  assert found.wishes == {'optim.schedule': ('cosine', 'constant')}
