"""Derivatives by the wanted images alone."""

from helpers.oracle import random_pair
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sel_jax import entropy
from sel_jax.entropy import EntropySpec
from sel_jax.entropy import fused
from sel_jax.entropy.forms.wanted import values
from sel_jax.entropy.forms.wanted import Wanted


def _products(images):
  return sum(jnp.sum(x * y) for x, y in images)


_rule = jax.custom_vjp(_products)


def _forward(primals):
  wanted = Wanted.among(primals)
  images = values(primals)
  return _products(images), (images, wanted)


def _backward(residuals, cotangent):
  images, wanted = residuals
  assert isinstance(wanted.images, tuple)  # static, also where it is traced
  _, pull = wanted.vjp(_products, images)
  (found,) = pull(cotangent)
  return (wanted.complete(found, images),)


_rule.defvjp(_forward, _backward, symbolic_zeros=True)


@pytest.mark.parametrize('wrap', [lambda f: f, jax.jit, jax.checkpoint])
def test_a_rule_differentiates_what_is_wanted(wrap):
  a, b, c = (jnp.arange(3.0) + k for k in range(3))

  @wrap
  def total(b):
    return _rule(((a, a), (b, c), (c, a)))

  np.testing.assert_array_equal(jax.grad(total)(b), c)


def test_wanted_has_no_leaves_and_compares_by_its_images():
  wanted = Wanted((0, 2))
  assert not jax.tree.leaves(wanted)
  assert jax.tree.structure(wanted) == jax.tree.structure(Wanted((0, 2)))
  assert jax.tree.structure(wanted) != jax.tree.structure(Wanted((1,)))
  assert jax.jit(lambda x: x)(wanted) == wanted


def test_pick_replace_complete():
  images = [jnp.ones(2), jnp.ones(3), jnp.ones(4)]
  wanted = Wanted((0, 2))
  assert [x.size for x in wanted.pick(images)] == [2, 4]
  assert wanted.replace('abc', 'xy') == ('x', 'b', 'y')
  found = wanted.complete(wanted.pick(images), images)
  assert [float(x.sum()) for x in found] == [2, 0, 4]
  with pytest.raises(ValueError, match='shorter'):
    wanted.replace('abc', 'x')


@pytest.mark.parametrize('form', fused.FORMS)
def test_an_image_that_is_not_wanted_costs_nothing(form):
  """The target's gradient is not even in the program."""
  spec = EntropySpec(levels=6, form=form, neighbor_weights='uniform')
  pred, target = random_pair((1, 6, 6, 1))

  def work(argnums):
    loss = lambda x, y: entropy.spatial_entropy_loss(x, y, spec=spec).sum()
    gradient = jax.jit(jax.grad(loss, argnums))
    return gradient.lower(pred, target).as_text().count('\n')

  assert work(0) < 0.95 * work((0, 1))
