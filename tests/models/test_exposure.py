import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sel_jax.models import ConditionalNAFNet
from sel_jax.models import ConditionalUNet
from sel_jax.models import init_params
from sel_jax.models.exposure import adapted
from sel_jax.models.exposure import takes_exposure
from sel_jax.models.exposure import with_exposure

NETWORKS = {
  'nafnet': lambda told: ConditionalNAFNet(
    4, (1,), 1, (1,), patch=2, exposure=told
  ),
  'unet': lambda told: ConditionalUNet(8, 2, exposure=told),
}


def _inputs(height=16, width=24, batch=3):
  rng = np.random.default_rng(0)
  x, mu = rng.uniform(0, 1, (2, batch, height, width, 3)).astype(np.float32)
  return x, mu, jnp.full(batch, 5)


def _params(model, seed=0):
  params = init_params(jax.random.key(seed), model)
  return jax.tree.map(lambda x: x + np.float32(0.1) * (x == 0), params)


def test_two_channels_tell_the_exposure_and_whether_it_is_known():
  seen = jnp.zeros((3, 2, 2, 6))
  found = with_exposure(seen, jnp.array([0.25, jnp.nan, 0.5]))
  assert found.shape == (3, 2, 2, 8)
  assert found[:, 0, 0, 6:].tolist() == [[-1, 1], [0, 0], [0, 1]]
  assert np.ptp(found[:, :, :, 6:], axis=(1, 2)).max() == 0
  assert not with_exposure(seen, None)[..., 6:].any()


@pytest.mark.parametrize('name', NETWORKS)
def test_each_image_is_told_its_own(name):
  model = NETWORKS[name](told=True)
  assert takes_exposure(model) and not takes_exposure(NETWORKS[name](False))
  params, inputs = _params(model), _inputs()
  run = jax.jit(lambda e: model.apply({'params': params}, *inputs, exposure=e))
  found = run(jnp.array([0.2, 0.7, jnp.nan]))
  for n, e in enumerate((0.2, 0.7)):
    alone = run(jnp.full(3, e))
    np.testing.assert_allclose(found[n], alone[n], atol=1e-6)
    assert np.abs(found[n] - run(jnp.full(3, 0.4))[n]).max() > 1e-3
  untold = model.apply({'params': params}, *inputs)
  np.testing.assert_allclose(found[2], untold[2], atol=1e-6)
  assert np.isfinite(found).all()


@pytest.mark.parametrize('name', NETWORKS)
def test_on_a_larger_canvas_it_hears_the_same(name):
  model = NETWORKS[name](told=True)
  params, (x, mu, t) = _params(model), _inputs()
  e = jnp.array([0.2, 0.7, jnp.nan])
  expected = model.apply({'params': params}, x, mu, t, exposure=e)
  pads = ((0, 0), (0, 16), (0, 8), (0, 0))
  mask = np.pad(np.ones((3, 16, 24, 1), bool), pads)
  x, mu = (np.pad(part, pads, mode='edge') for part in (x, mu))
  found = model.apply({'params': params}, x, mu, t, mask=mask, exposure=e)
  np.testing.assert_allclose(found[:, :16, :24], expected, atol=1e-5)


def _adapted(name, *, told):
  """A network, its parameters, and both for the one that is told, or not."""
  before, after = NETWORKS[name](not told), NETWORKS[name](told)
  params = _params(before)
  like = init_params(jax.random.key(1), after)
  fitting = adapted(params, like)
  assert jax.tree.map(np.shape, fitting) == jax.tree.map(np.shape, like)
  return before, params, after, fitting


@pytest.mark.parametrize('name', NETWORKS)
def test_weights_of_before_are_the_same_network_whatever_it_is_told(name):
  before, params, after, wider = _adapted(name, told=True)
  inputs = _inputs()
  expected = before.apply({'params': params}, *inputs)
  for e in (None, jnp.array([0.1, 0.9, jnp.nan])):
    found = after.apply({'params': wider}, *inputs, exposure=e)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize('name', NETWORKS)
def test_without_the_input_it_is_the_network_that_is_not_told(name):
  told, params, untold, fewer = _adapted(name, told=False)
  inputs = _inputs()
  expected = told.apply({'params': params}, *inputs)
  found = untold.apply({'params': fewer}, *inputs)
  np.testing.assert_allclose(found, expected, atol=1e-6)


def test_what_does_not_fit_is_left_for_others_to_name():
  model = NETWORKS['nafnet'](told=True)
  params = _params(model)
  again = adapted(params, params)
  jax.tree.map(np.testing.assert_array_equal, again, params)
  other = init_params(jax.random.key(0), ConditionalNAFNet(8, (1,), 1, (1,)))
  same = adapted(other, params)
  assert jax.tree.map(np.shape, same) == jax.tree.map(np.shape, other)
  assert adapted({'body': 1}, params) == {'body': 1}
