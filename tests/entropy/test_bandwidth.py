import jax.numpy as jnp
import numpy as np
import pytest

from sel_jax.entropy import scott
from sel_jax.entropy import silverman
from sel_jax.entropy.bandwidth import MIN_BANDWIDTH
from sel_jax.entropy.bandwidth import per_image


def test_silverman_matches_the_reference(golden, x64):
  numbers = golden('kde')
  x = numbers['x']  # the reference pools batch and channels
  pooled = x.reshape(-1, *x.shape[2:]).transpose(1, 2, 0)[None]
  h = silverman(jnp.asarray(pooled))
  np.testing.assert_allclose(h[0], numbers['silverman_h'], rtol=1e-12)


def test_rules_scale_with_the_spread_and_shrink_with_the_size():
  rng = np.random.default_rng(0)
  small = rng.normal(size=(2, 8, 8, 3)).astype(np.float32)
  large = rng.normal(size=(2, 64, 64, 3)).astype(np.float32)
  for rule in (silverman, scott):
    assert rule(jnp.asarray(small)).shape == (2,)
    np.testing.assert_allclose(
      rule(jnp.asarray(3 * small)), 3 * rule(jnp.asarray(small)), rtol=1e-5
    )
    assert np.all(rule(jnp.asarray(large)) < rule(jnp.asarray(small)))


def test_constant_images_get_the_least_bandwidth():
  flat = jnp.full((1, 4, 4, 3), 0.5)
  assert float(silverman(flat)[0]) == 0
  np.testing.assert_array_equal(
    per_image('scott', flat), [np.float32(MIN_BANDWIDTH)]
  )


def test_unknown_rule_is_refused():
  with pytest.raises(ValueError, match="unknown bandwidth rule 'wide'"):
    per_image('wide', jnp.zeros((1, 2, 2, 1)))
