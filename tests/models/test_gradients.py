"""Gradients that are written out are those that JAX derives."""

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
from jax.test_util import check_grads
import numpy as np
import pytest

from sel_jax.models import gradients
from sel_jax.models import layers


def _normal(seed, shape):
  return jax.random.normal(jax.random.key(seed), shape)


def _plain_norm(x, gain, bias):
  mean = jnp.mean(x, axis=-1, keepdims=True)
  variance = jnp.mean(jnp.square(x - mean), axis=-1, keepdims=True)
  return (x - mean) * jax.lax.rsqrt(variance + 1e-5) * gain + bias


def _plain_gate(x):
  first, second = jnp.split(x, 2, axis=-1)
  return first * second


def _plain_patches(x, kernel):
  return jax.lax.conv_general_dilated(
    x,
    kernel,
    kernel.shape[:2],
    'VALID',
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
  )


CASES = {
  'patches of two': (
    layers.patch_convolution,
    _plain_patches,
    [(2, 4, 6, 3), (2, 2, 3, 5)],
  ),
  'patches of three': (
    layers.patch_convolution,
    _plain_patches,
    [(1, 6, 3, 2), (3, 3, 2, 4)],
  ),
  'product': (gradients.product, jnp.dot, [(2, 3, 4, 6), (6, 5)]),
  'product of rows': (gradients.product, jnp.dot, [(3, 6), (6, 5)]),
  'norm with a gain of each image': (
    gradients.channel_norm,
    _plain_norm,
    [(2, 3, 4, 6), (2, 1, 1, 6), (2, 1, 1, 6)],
  ),
  'norm with a gain of all': (
    gradients.channel_norm,
    _plain_norm,
    [(2, 3, 4, 6), (1, 1, 1, 6), (1, 1, 1, 6)],
  ),
  'norm with a gain of all and a bias of each': (
    gradients.channel_norm,
    _plain_norm,
    [(2, 3, 4, 6), (1, 1, 1, 6), (2, 1, 1, 6)],
  ),
  'gate': (layers.simple_gate, _plain_gate, [(2, 3, 4, 6)]),
}


@pytest.mark.parametrize('name', CASES)
@pytest.mark.parametrize('backend', ['cpu', 'gpu'])
def test_values_and_gradients_are_the_derived_ones(name, backend, monkeypatch):
  written, plain, shapes = CASES[name]
  inputs = [_normal(seed, shape) for seed, shape in enumerate(shapes)]
  monkeypatch.setattr(jax, 'default_backend', lambda: backend)
  value, pull = jax.vjp(written, *inputs)
  wanted, wanted_pull = jax.vjp(plain, *inputs)
  np.testing.assert_allclose(value, wanted, rtol=1e-4, atol=1e-5)
  seed = _normal(9, value.shape)
  for found, right in zip(pull(seed), wanted_pull(seed), strict=True):
    np.testing.assert_allclose(found, right, rtol=1e-4, atol=1e-4)


def test_gradient_of_the_norm_is_that_of_finite_differences():
  with jax.enable_x64(True):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 2, 3, 4)))
    gain, bias = jnp.full((2, 1, 1, 4), 1.3), jnp.full((2, 1, 1, 4), 0.2)
    norm = jax.jit(gradients.channel_norm)
    check_grads(norm, (x, gain, bias), order=1, modes=['rev'])


@settings(max_examples=25, deadline=None)
@given(
  st.integers(1, 9), st.floats(-50, 50), st.floats(0.01, 100), st.integers()
)
def test_norm_of_any_pixel_has_mean_zero_and_at_most_unit_variance(
  channels, offset, spread, seed
):
  x = np.random.default_rng(abs(seed)).normal(size=(1, 2, 2, channels))
  x = jnp.asarray(offset + spread * x, jnp.float32)
  ones = jnp.ones((1, 1, 1, channels))
  y = np.asarray(gradients.channel_norm(x, ones, 0 * ones))
  rounding = 1e-3 + 4e-6 * abs(offset) / spread
  assert np.abs(y.mean(axis=-1)).max() < rounding
  assert y.var(axis=-1).max() < 1 + rounding


def test_half_precision_norm_is_computed_in_single():
  x, gain = _normal(0, (2, 8, 8, 16)), _normal(1, (2, 1, 1, 16))
  half = x.astype(jnp.bfloat16)
  y, pull = jax.vjp(gradients.channel_norm, half, gain, gain)
  wide = half.astype(jnp.float32)
  right, right_pull = jax.vjp(_plain_norm, wide, gain, gain)
  assert y.dtype == jnp.bfloat16
  np.testing.assert_array_equal(y, right.astype(jnp.bfloat16))
  by_x, by_gain, by_bias = pull(y)
  right = right_pull(y.astype(jnp.float32))
  assert by_x.dtype == jnp.bfloat16 and by_gain.dtype == jnp.float32
  np.testing.assert_allclose(by_gain, right[1], rtol=1e-4, atol=1e-4)
  np.testing.assert_allclose(by_bias, right[2], rtol=1e-4, atol=1e-4)


def test_modulation_scales_and_shifts_what_was_normalized():
  x = _normal(0, (2, 3, 4, 6))
  scale, shift = _normal(1, (2, 1, 1, 6)), _normal(2, (2, 1, 1, 6))
  norm = layers.ChannelNorm()
  params = {'params': {'gain': _normal(3, (6,))}}
  plain = norm.apply(params, x)
  found = norm.apply(params, x, scale=scale, shift=shift)
  wanted = plain * (1 + scale) + shift
  np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('width', [1, 5, 6, 12, 16, 24])
def test_depthwise_gradient_is_the_derived_one_whatever_the_width(width):
  x, kernel = _normal(0, (2, 3, width, 4)), _normal(1, (3, 3, 4))
  plain = layers.DEPTHWISE['conv']
  value, pull = jax.vjp(gradients.shifted_depthwise, x, kernel)
  wanted, wanted_pull = jax.vjp(plain, x, kernel)
  np.testing.assert_allclose(value, wanted, rtol=1e-4, atol=1e-5)
  for found, right in zip(pull(value), wanted_pull(value), strict=True):
    np.testing.assert_allclose(found, right, rtol=1e-4, atol=1e-4)
