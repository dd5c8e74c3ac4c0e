"""Operations that a benchmark counts instead of timing them."""

import jax
import jax.numpy as jnp

from benchmarks.lib.operations import flops


def test_operations_are_counted_through_loops():
  a = jnp.ones((3, 4))

  def products(x):
    def body(c, _):
      y = jnp.dot(jnp.dot(a, c), jnp.ones((5, 5)))
      return jnp.tile(y, (2, 1))[:4], None

    return jax.lax.scan(body, x, length=7)[0]

  found = flops(jax.make_jaxpr(products)(jnp.ones((4, 5))).jaxpr)
  assert found == 7 * 2 * (3 * 5 * 4 + 3 * 5 * 5)
  image, kernel = jnp.ones((2, 6, 8, 3)), jnp.ones((3, 3, 3, 10))
  dimensions = ('NHWC', 'HWIO', 'NHWC')
  conv = lambda x: jax.lax.conv_general_dilated(
    x, kernel, (1, 1), 'SAME', dimension_numbers=dimensions
  )
  found = flops(jax.make_jaxpr(conv)(image).jaxpr)
  assert found == 2 * (2 * 6 * 8 * 10) * (3 * 3 * 3)
