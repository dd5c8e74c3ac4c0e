"""Every two options together, against the definition in double precision."""

import itertools

from helpers.oracle import random_pair
from helpers.oracle import relative_error
from helpers.oracle import value_and_slope
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sel_jax import entropy
from sel_jax.entropy import EntropySpec
from sel_jax.entropy.average import average
from sel_jax.entropy.divergences import DIVERGENCES
from sel_jax.entropy.forms import tiles
from sel_jax.entropy.fused import FORMS
from sel_jax.entropy.kernels import KERNELS
from sel_jax.entropy.sampling import draw_part

OPTIONS = {
  'form': list(FORMS),
  'distance': list(DIVERGENCES),
  'kernel': list(KERNELS),
  'mass': ['exact', 'point', 'reference'],
  'windows': [(1,), (3,), (1, 3, 5), (3, 7)],
  'levels': [4, 9],
  'bandwidth': [0.3, 1.0, 'silverman'],
  'border': ['valid', 'zero'],
  'neighbor_weights': ['uniform', 'positive'],
  'neighbor_normalization': ['channel', 'image'],
  'detail': [0.0, 1.5],
  'clip': [False, True],
  'cross_order': ['target', 'prediction'],
  'eps': [1e-10, 1e-3],
  'sample': [1.0, 0.3],
}


def cover(options):
  """Cases that hold every two values of two options, few of them; greedy."""
  draws = np.random.default_rng(0)
  names = list(options)
  missing = {
    ((a, x), (b, y))
    for a, b in itertools.combinations(range(len(names)), 2)
    for x in range(len(options[names[a]]))
    for y in range(len(options[names[b]]))
  }

  def held(case):
    return set(itertools.combinations(enumerate(case), 2)) & missing

  found = []
  while missing:
    # The best of some that hold one that is missing.
    tries = []
    for _ in range(60):
      case = [int(draws.integers(len(options[name]))) for name in names]
      for place, value in min(missing):
        case[place] = value
      tries.append(tuple(case))
    best = max(tries, key=lambda case: len(held(case)))
    missing -= held(best)
    found.append({n: options[n][k] for n, k in zip(names, best, strict=True)})
  return found


CASES = cover(OPTIONS)


def test_the_cases_hold_every_two_values():
  for a, b in itertools.combinations(OPTIONS, 2):
    met = {(str(case[a]), str(case[b])) for case in CASES}
    assert len(met) == len(OPTIONS[a]) * len(OPTIONS[b])
  assert len(CASES) < 40


def _definition(pred, target, *, spec, key, weights):
  """The loss from densities that are held, all bins of all pixels."""
  swap = spec.distance == 'cross' and spec.cross_order == 'prediction'
  u, _ = entropy.density.coordinates(target, weights, spec=spec)
  h = entropy.bandwidth.per_image(spec.bandwidth, u)
  maps = []
  for window in spec.windows:
    p, q = (
      entropy.local_density(
        x, spec=spec, neighbor_weights=weights, window=window, bandwidth=h
      )
      for x in (pred, target)
    )
    p, q = (q, p) if swap else (p, q)
    maps.append(
      entropy.divergence(spec.distance, p, q, axis=(-2, -1), eps=spec.eps)
    )
  found = jnp.mean(jnp.stack(maps), axis=0)
  if spec.sample == 1:
    return average(found)
  shape = found.shape[1:3]
  index = jnp.arange(len(found))
  part = draw_part(key, index, shape=shape, share=spec.sample)
  cut = jnp.moveaxis(part.cut(jnp.moveaxis(found, -1, 1)), 1, -1)
  return average(cut, part=part)


@pytest.mark.slow
@pytest.mark.parametrize('case', CASES, ids=range(len(CASES)))
def test_options_in_pairs_equal_the_definition(case, x64, monkeypatch):
  monkeypatch.setattr(tiles, '_SIDE', 9)  # several tiles
  spec = EntropySpec(**case)
  key = jax.random.key(4)
  weights = entropy.neighborhood.draw_weights(
    key, spec.neighbor_weights, dtype=jnp.float64
  )
  images = random_pair((2, 16, 16, 2), dtype=np.float64)

  def loss(pred, target):
    return entropy.spatial_entropy_loss(
      pred, target, spec=spec, key=key, neighbor_weights=weights
    )

  def definition(pred, target):
    return _definition(pred, target, spec=spec, key=key, weights=weights)

  for order in (images, images[::-1]):
    value, slope = value_and_slope(loss, *order)
    exact, expected = value_and_slope(definition, *order)
    np.testing.assert_allclose(value, exact, rtol=1e-8)
    assert relative_error(slope, expected) < 1e-7
