"""What a run starts from."""

import flax.traverse_util
import jax
import numpy as np
import optax
import pytest

from sel_jax import build
from sel_jax.configs import lol
from sel_jax.errors import InputError
from sel_jax.inference import stored
from sel_jax.models import init_params
from sel_jax.settings import Settings
from sel_jax.training import initial
from sel_jax.training import rehearsal
from sel_jax.training.state import TrainState


@pytest.fixture(autouse=True)
def heard(caplog):
  caplog.set_level('INFO', 'sel_jax')


def _settings(changes=()):
  return Settings.parse(lol.get_config('tiny'), changes=dict(changes))


def _start(settings):
  key, model = jax.random.key(7), settings.model.network
  found = initial.init_params(key, model, settings)
  drawn = init_params(key, model)
  flat = lambda tree: flax.traverse_util.flatten_dict(tree, sep='/')
  return flat(found), flat(drawn)


def test_nothing_named_is_drawn():
  found, drawn = _start(_settings())
  jax.tree.map(np.testing.assert_array_equal, found, drawn)


def test_a_run_is_taken_over_whole(trained, caplog):
  found, _ = _start(_settings({'init': str(trained)}))
  theirs = flax.traverse_util.flatten_dict(stored.load(trained).params, sep='/')
  jax.tree.map(np.testing.assert_array_equal, found, theirs)
  assert f'starts from {trained} after 4 updates' in caplog.text
  assert 'drawn' not in caplog.text


@pytest.mark.parametrize('pattern', ['ending', 'end*', 'ending/conv/kernel'])
def test_parts_are_left_out_by_pattern(pattern, trained, caplog):
  changes = {'init': str(trained), 'init_skip': (pattern,)}
  found, drawn = _start(_settings(changes))
  whole, _ = _start(_settings({'init': str(trained)}))
  for name, leaf in found.items():
    new = name == 'ending/conv/kernel' or (
      name.startswith('ending') and pattern != 'ending/conv/kernel'
    )
    np.testing.assert_array_equal(leaf, (drawn if new else whole)[name])
  assert 'drawn anew: ending' in caplog.text


def test_stages_grow_by_blocks_that_change_nothing(trained, caplog):
  grown = {'model.enc': (3,), 'model.middle': 2, 'init_grow': True}
  settings = _settings({'init': str(trained), **grown})
  found, drawn = _start(settings)
  theirs = flax.traverse_util.flatten_dict(stored.load(trained).params, sep='/')
  for name, leaf in found.items():
    here = len(theirs[name])
    np.testing.assert_array_equal(leaf[:here], theirs[name])
    np.testing.assert_array_equal(leaf[here:], drawn[name][here:])
  assert 'with more blocks: encoder_0, middle' in caplog.text

  x, mu = jax.random.uniform(jax.random.key(1), (2, 1, 8, 8, 3))
  tree = lambda flat: {'params': flax.traverse_util.unflatten_dict(flat, '/')}
  before = _settings().model.network.apply(tree(theirs), x, mu, 3.0)
  after = settings.model.network.apply(tree(found), x, mu, 3.0)
  np.testing.assert_allclose(after, before, atol=1e-6)


@pytest.mark.parametrize('changes', [{'enc': (0,)}, {'middle': 0}])
def test_a_stage_never_shrinks(changes, trained, tmp_path):
  changes = {f'model.{name}': value for name, value in changes.items()}
  given = {'init': str(trained), 'init_grow': True, **changes}
  with pytest.raises(InputError, match='there and missing here'):
    rehearsal.check_state(_settings(given), tmp_path)


def test_a_stage_grows_only_where_asked(trained):
  words = r'is \(1,.* there and \(2,.* here.*or add blocks by .*init_grow=True'
  with pytest.raises(InputError, match=words):
    _start(_settings({'init': str(trained), 'model.middle': 2}))


@pytest.mark.parametrize(
  ('changes', 'words'),
  [
    ({'model.width': 6}, r'is \(.*\) there and \(.*\) here.*init_skip, such'),
    (
      {'model.enc': (1, 1), 'model.dec': (1, 1)},
      r'decoder_0\S* is \(.*there and \(.*here.* more; set',
    ),
    ({'init_skip': ('endng',)}, "'endng' matches no part; there are .*ending"),
    ({'init': '/none'}, '/none: no checkpoint in it'),
    ({'init': '/none.safetensors'}, '/none.safetensors: no such file'),
  ],
)
def test_what_does_not_fit_is_named(changes, words, trained, tmp_path):
  settings = _settings({'init': str(trained), **changes})
  with pytest.raises(InputError, match=words):
    _start(settings)
  with pytest.raises(InputError, match=words):  # in a rehearsal too
    rehearsal.check_state(settings, tmp_path)


def test_moments_come_along_and_the_schedule_begins_anew(trained):
  settings = _settings({'init': str(trained), 'init_optimizer': True})
  tx = build.build_optimizer(settings)
  like = TrainState.shapes(settings.model.network, tx).opt_state
  found = initial.init_opt_state(settings, like)
  is_known = lambda x: isinstance(
    x, optax.ScaleByAdamState | optax.ScaleByScheduleState
  )
  nodes = jax.tree.leaves(found, is_leaf=is_known)
  counts = {type(x).__name__: int(x.count) for x in nodes if is_known(x)}
  assert counts == {'ScaleByAdamState': 4, 'ScaleByScheduleState': 0}
  adam = next(x for x in nodes if isinstance(x, optax.ScaleByAdamState))
  assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(adam.nu))


@pytest.mark.parametrize(
  ('changes', 'words'),
  [
    ({'init': 'shipped'}, 'not the folder of a run.*holds no optimizer'),
    ({'optim.name': 'lion'}, 'another optimizer or network'),
  ],
)
def test_moments_that_do_not_fit_are_refused(changes, words, trained):
  given = {'init': str(trained), 'init_optimizer': True, **changes}
  settings = _settings(given)
  tx = build.build_optimizer(settings)
  like = TrainState.shapes(settings.model.network, tx).opt_state
  with pytest.raises(InputError, match=words):
    initial.init_opt_state(settings, like)


@pytest.mark.parametrize(
  'changes',
  [{}, {'init': 'x', 'init_skip': ('y',)}, {'init': 'x', 'init_grow': True}],
)
def test_moments_need_a_whole_network(changes):
  with pytest.raises(InputError, match='init_optimizer=True: .*init_skip=..'):
    _settings({'init_optimizer': True, **changes})
