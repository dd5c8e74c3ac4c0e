import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from sel_jax import build
from sel_jax.configs import lol
from sel_jax.diffusion import DenoisingSDE
from sel_jax.errors import InputError
from sel_jax.models import init_params
from sel_jax.sections import ParallelSpec
from sel_jax.settings import Settings
from sel_jax.training import shards
from sel_jax.training.calls import draw_times_and_noise
from sel_jax.training.parallel import Parallel
from sel_jax.training.state import TrainState
from sel_jax.training.step import ema_decay
from sel_jax.training.step import train_step
from sel_jax.training.step import Update

TINY = Settings.parse(lol.get_config('tiny')).changed({'model.middle': 0})


def _batch(size=8, side=8):
  rng = np.random.default_rng(0)
  clean = rng.uniform(size=(size, side, side, 3)).astype(np.float32)
  index = np.arange(size, dtype=np.int32)
  return {'low': clean * 0.2, 'clean': clean, 'index': index}


def test_the_step_moves_nothing_to_the_host_and_compiles_once():
  settings = TINY.changed({'loss.entropy': 0.0, 'loss.l1': 1.0})
  method = build.build_method(settings)
  tx = build.build_optimizer(settings)
  devices = Parallel(settings.parallel, batch_size=8)
  params = init_params(jax.random.key(0), method.model)
  whole = jax.device_get(TrainState.create(params, tx))
  layout = devices.layout(whole)
  state = layout.place(whole)
  step = functools.partial(train_step, method=method, update=Update(tx))
  run = layout.map_step(step)
  for _ in range(3):
    batch = devices.put_batch(_batch())
    before, key = state, jax.random.key(1)
    with (
      jax.transfer_guard_host_to_device('disallow'),
      jax.transfer_guard_device_to_host('disallow'),
    ):
      state, scalars = run(state, batch, key)
    assert all(x.is_deleted() for x in jax.tree.leaves(before))  # donated
    assert set(scalars) == {'grad_norm', 'l1', 'loss', 'stop'}
  assert run._cache_size() == 1  # one compilation


def _fit_a_line(backend, sharded):
  """Losses and last parameters of a small regression on every device."""
  update = Update(optax.adam(0.1), sharded=sharded)

  def step(state, batch, key, *, axis):
    def loss(params):
      error = batch['x'] @ params['w'] + params['b'] - batch['y']
      return jnp.mean(jnp.square(error))

    value, grads = jax.lax.pmean(jax.value_and_grad(loss)(state.params), axis)
    return update.apply(state, grads, None, axis), {'loss': value}

  rng = np.random.default_rng(0)
  x = rng.normal(size=(8, 5)).astype(np.float32)
  batch = {'x': x, 'y': x[:, :3] * 2, 'index': np.arange(8, dtype=np.int32)}
  params = {'w': jnp.zeros((5, 3)), 'b': jnp.zeros((1, 3))}
  devices = Parallel(
    ParallelSpec(backend=backend, shard_state=sharded), batch_size=8
  )
  whole = jax.device_get(TrainState.create(params, update.tx))
  layout = devices.layout(jax.eval_shape(lambda: whole))  # shapes are enough
  state, run = layout.place(whole), layout.map_step(step)
  losses = []
  for _ in range(10):
    state, scalars = run(
      state, devices.put_batch(batch, stop=True), jax.random.key(0)
    )
    losses.append(float(scalars['loss']))
    assert float(scalars['stop']) == 1
  assert losses[-1] < losses[0]
  return losses, layout.fetch(state)


@pytest.mark.parametrize('sharded', [False, True])
@pytest.mark.parametrize('backend', ['shard_map', 'pmap'])
def test_every_backend_fits_alike(backend, sharded):
  losses, state = _fit_a_line(backend, sharded)
  expected, plain = _fit_a_line('shard_map', False)
  np.testing.assert_allclose(losses, expected, rtol=1e-6)
  assert jax.tree.structure(state) == jax.tree.structure(plain)
  for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(plain), strict=True):
    assert a.shape == b.shape
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.fence
def test_a_batch_is_learned_by_heart_and_a_bad_one_changes_nothing():
  """On fixed noise the loss falls; NaN leaves all but the count of steps."""
  changes = {'loss.l1': 1.0, 'entropy.windows': (3,)}
  method = build.build_method(TINY.changed(changes))
  update = Update(optax.adam(3e-3), decay=0.9, skip_nonfinite=True)
  step = jax.jit(functools.partial(train_step, method=method, update=update))
  params = init_params(jax.random.key(0), method.model)
  state = TrainState.create(params, update.tx)
  losses = []
  for _ in range(60):
    fixed = state.replace(step=jnp.zeros((), jnp.int32))
    state, scalars = step(fixed, _batch(4), jax.random.key(1))
    losses.append(float(scalars['loss']))
  assert losses[-1] < 0.8 * losses[0]
  assert int(state.step) == 1
  bad = _batch(4)
  bad['clean'][0, 0, 0, 0] = np.nan
  after, scalars = step(state, bad, jax.random.key(1))
  assert np.isnan(scalars['loss']) and int(after.step) == 2
  same = after.replace(step=state.step)
  jax.tree.map(np.testing.assert_array_equal, state, same)


@pytest.mark.parametrize('shape', [(), (1,), (7,), (3, 5), (2, 2, 2)])
@pytest.mark.parametrize('devices', [1, 4, 8])
def test_shards_put_together_give_the_leaf_back(shape, devices):
  leaf = jnp.arange(math.prod(shape), dtype=jnp.float32).reshape(shape)
  parts = shards.shard(leaf, devices)
  assert parts.shape == ((devices, -(-leaf.size // devices)) if shape else ())
  np.testing.assert_array_equal(shards.unshard(parts, leaf), leaf)


_draw = jax.jit(draw_times_and_noise, static_argnums=(2, 3))


def test_draws_depend_on_the_example_alone():
  key = jax.random.key(3)
  t, noise = _draw(key, jnp.arange(8), (8, 2, 2, 3), 10)
  again = _draw(key, jnp.arange(4, 8), (4, 2, 2, 3), 10)
  np.testing.assert_array_equal(t[4:], again[0])
  np.testing.assert_array_equal(noise[4:], again[1])
  many, _ = _draw(key, jnp.arange(4000), (4000, 1, 1, 1), 10)
  counts = np.bincount(many, minlength=11)
  assert counts[0] == 0 and counts[1:].min() > 300 and len(counts) == 11


def test_a_share_of_examples_is_drawn_where_sampling_starts():
  key, index = jax.random.key(3), jnp.arange(2000)
  shape = (2000, 1, 1, 1)
  before, noise = draw_times_and_noise(key, index, shape, 10)
  t, same = draw_times_and_noise(key, index, shape, 10, at_prior=0.4)
  np.testing.assert_array_equal(noise, same)
  assert np.all((t == before) | (t == 10))
  assert np.mean(t == 10) == pytest.approx(0.4 + 0.6 / 10, abs=0.04)


def test_the_average_starts_fast_and_ends_at_its_limit():
  assert float(ema_decay(jnp.asarray(0), 0.999)) == pytest.approx(0.1)
  assert float(ema_decay(jnp.asarray(10**6), 0.999)) == pytest.approx(0.999)


@pytest.mark.fence
def test_the_denoising_diffusion_trains_too():
  """Its loss is that of x_0 + s_t e, and falls on fixed noise."""
  changes = {'sde.name': 'denoising', 'model.predicts': 'noise'}
  changes |= {'loss.objective': 'noise', 'loss.entropy': 0.0, 'loss.l1': 1.0}
  method = build.build_method(TINY.changed(changes))
  assert isinstance(method.sde, DenoisingSDE)
  tx = optax.adam(3e-3)
  first = TrainState.create(init_params(jax.random.key(0), method.model), tx)
  step = functools.partial(train_step, method=method, update=Update(tx))
  step, batch, state = jax.jit(step), _batch(2), first
  losses = []
  for _ in range(80):  # it sees the noisy state alone
    fixed = state.replace(step=jnp.zeros((), jnp.int32))
    state, scalars = step(fixed, batch, jax.random.key(0))
    losses.append(float(scalars['loss']))
  key, _ = jax.random.split(jax.random.fold_in(jax.random.key(0), 0))
  low, clean = batch['low'], batch['clean']
  t, noise = draw_times_and_noise(key, batch['index'], low.shape, 10)
  std = 50 / 255 * np.sqrt(1 - np.asarray(method.sde.decay, np.float64)[t] ** 2)
  x = clean + np.float32(std).reshape(-1, 1, 1, 1) * noise
  found = jax.jit(method.estimate_noise)(first.params, x, low, t)
  assert losses[0] == pytest.approx(float(jnp.abs(found - noise).mean()), 1e-4)
  assert losses[-1] < 0.8 * losses[0]


def test_a_batch_must_divide_over_devices_and_parts():
  Parallel(ParallelSpec(accumulate=4), batch_size=12)
  with pytest.raises(
    InputError, match=r'batch_size=12 .* by 5: 1 dev.* set .*=10$'
  ):
    Parallel(ParallelSpec(accumulate=5), batch_size=12)


def test_the_devices_may_be_chosen():
  chosen = jax.devices()[:1]
  devices = Parallel(ParallelSpec(), batch_size=3, devices=chosen)
  assert (devices.count, devices.local) == (1, 1)
  assert list(devices.mesh.devices) == chosen


def test_a_batch_that_does_not_divide_is_told_one_that_does():
  devices = [jax.devices()[0]] * 16
  words = r'batch_size=8 .*16 device.*set config.data.batch_size=16, with '
  words += r'config.optim.lr=0.00014 instead of 0.0001'
  with pytest.raises(InputError, match=words):
    Parallel(ParallelSpec(), batch_size=8, rate=1e-4, devices=devices)
