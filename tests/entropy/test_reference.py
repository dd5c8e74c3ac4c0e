"""The published definition, number for number."""

import functools

from conftest import nhwc
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sel_jax import entropy
from sel_jax.entropy import EntropySpec


def _reference_cases(numbers):
  for key in numbers:
    parts = key.split('/')
    if len(parts) == 4 and parts[3] == 'value':
      yield parts[0], int(parts[1][1:]), parts[2]


def _weights(numbers, name):
  if name == 'none':
    return jnp.ones((3, 3), jnp.float64)
  return jnp.asarray(numbers[f'w_{name}'][0, 0])


@functools.partial(jax.jit, static_argnames='spec')
def _value_and_gradient(x, y, weights, *, spec):
  def loss(x):
    values = entropy.spatial_entropy_loss(
      x, y, spec=spec, neighbor_weights=weights
    )
    return values.mean()

  return jax.value_and_grad(loss)(x)


def test_reference_distances_and_gradients(golden, x64):
  numbers = golden('kde')
  x, y = (jnp.asarray(nhwc(numbers[k])) for k in 'xy')
  compared = 0
  for name, levels, distance in _reference_cases(numbers):
    spec = EntropySpec.reference(
      distance, levels=levels, bandwidth=float(numbers['bandwidth'])
    )
    value, gradient = _value_and_gradient(
      x, y, _weights(numbers, name), spec=spec
    )
    assert np.isfinite(value) and np.isfinite(gradient).all()
    for found, key in ((value, 'value'), (nhwc_inverse(gradient), 'grad_x')):
      expected = numbers[f'{name}/L{levels}/{distance}/{key}']
      sound = np.isfinite(expected)  # a NaN there is the reference's own
      compared += int(sound.sum())
      np.testing.assert_allclose(
        np.asarray(found)[sound], expected[sound], rtol=1e-10, atol=1e-10
      )
  assert compared > 1000


def nhwc_inverse(array):
  return np.moveaxis(np.asarray(array), -1, -3)


def test_reference_spatial_entropy(golden, x64):
  numbers = golden('kde')
  x = jnp.asarray(nhwc(numbers['x']))
  measure = jax.jit(entropy.spatial_entropy, static_argnames='spec')
  for key, expected in numbers.items():
    if not key.endswith('/spatial_entropy_x'):
      continue
    name, levels, _ = key.split('/')
    spec = EntropySpec.reference(
      levels=int(levels[1:]), bandwidth=float(numbers['bandwidth'])
    )
    found = measure(x, neighbor_weights=_weights(numbers, name), spec=spec)
    np.testing.assert_allclose(found.mean(), expected, rtol=1e-10)


@pytest.mark.parametrize('key', ['p_full', 'p_h0.25', 'p_h1.0'])
def test_reference_density(golden, key, x64):
  numbers = golden('kde')
  levels = int(numbers['p_full_L'])
  h = float(numbers['bandwidth']) if key == 'p_full' else float(key[3:])
  spec = EntropySpec.reference(levels=levels, bandwidth=h)
  expected = numbers[key]
  x = jnp.asarray(nhwc(numbers['x'])[: len(expected)])
  errors = []
  for name in ('none', 'uniform', 'normal'):  # the file does not say which
    found = [
      entropy.local_density(
        x, spec=spec, neighbor_weights=_weights(numbers, name), window=w
      )
      for w in spec.windows
    ]
    # The reference counts the neighbour's bin first, windows along the width.
    side = [np.transpose(p, (0, 5, 4, 3, 1, 2)) for p in found]
    stack = np.concatenate(side, axis=-1).reshape(expected.shape)
    errors.append(np.abs(stack - expected).max())
  assert min(errors) < 1e-10
