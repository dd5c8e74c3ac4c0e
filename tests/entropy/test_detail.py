"""The density of the detail layer: a field of the spec, wherever it is read."""

import dataclasses
import functools

from helpers.oracle import random_pair
import jax
from jax.test_util import check_grads
import numpy as np
import pytest

from sel_jax import entropy
from sel_jax.detail import detail_layer
from sel_jax.entropy import EntropySpec

SPEC = EntropySpec(
  levels=8,
  windows=(1, 3),
  neighbor_weights='uniform',
  detail=1.5,
  form='rows',  # compiles sooner
)


def _of_layers(spec):
  """The same density, for layers that are given."""
  return dataclasses.replace(spec, detail=0.0, value_range=spec.detail_range)


_loss = jax.jit(entropy.spatial_entropy_loss, static_argnames='spec')


@pytest.mark.parametrize(
  ('distance', 'form'), [('hellinger', 'tiles'), ('relative', 'rows')]
)
def test_the_loss_of_detail_is_the_loss_of_the_detail_layers(distance, form):
  spec = dataclasses.replace(SPEC, distance=distance, form=form)
  pred, target = random_pair((2, 9, 8, 3))
  found = _loss(pred, target, spec=spec)
  layers = (detail_layer(x, sigma=1.5) for x in (pred, target))
  expected = _loss(*layers, spec=_of_layers(spec))
  np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_maps_and_densities_are_those_of_the_detail_layer_too():
  image, _ = random_pair((1, 7, 6, 2))
  layer = detail_layer(image, sigma=1.5)
  for function in (
    entropy.entropy_map,
    entropy.spatial_entropy,
    functools.partial(entropy.local_density, window=3),
  ):
    function = jax.jit(function, static_argnames='spec')
    found = function(image, spec=SPEC)
    expected = function(layer, spec=_of_layers(SPEC))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_gradient_goes_through_the_blur(x64):
  del x64
  pred, target = random_pair((1, 6, 5, 1), np.float64)
  loss = jax.jit(lambda x: _loss(x, target, spec=SPEC).sum())
  check_grads(loss, (pred,), order=1, modes=['rev'], rtol=1e-5)


def test_the_loss_of_detail_does_not_see_brightness():
  pred, target = random_pair((1, 12, 12, 3))
  loss = functools.partial(_loss, target=target)
  image = dataclasses.replace(SPEC, detail=0.0, value_range=(0.0, 1.0))
  shifted = target + 0.25
  assert loss(shifted, spec=SPEC) < 1e-3 < 0.2 < loss(shifted, spec=image)
  assert loss(pred, spec=SPEC) > 0.1


def test_each_range_belongs_to_its_images():
  spec = EntropySpec(value_range=(0.0, 1.0))
  assert spec.limits == (0.0, 1.0)
  assert dataclasses.replace(spec, detail=3.0).limits == (-0.25, 0.25)
  with pytest.raises(ValueError, match='detail_range.*low must be below'):
    EntropySpec(detail_range=(0.5, 0.5))
  with pytest.raises(ValueError, match='detail=-1.* at least 0'):
    EntropySpec(detail=-1.0)
