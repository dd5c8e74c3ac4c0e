import dataclasses
import functools
import itertools

from helpers.oracle import random_pair
from helpers.oracle import relative_error
from helpers.oracle import value_and_slope
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.entropy import dense_loss
from sel_jax import entropy
from sel_jax.entropy import DIVERGENCES
from sel_jax.entropy import EntropySpec
from sel_jax.entropy import fused
from sel_jax.entropy import KERNELS
from sel_jax.entropy.forms import tiles

VARIANTS = {
  'default': {'windows': (3,)},
  'reference': {
    f.name: getattr(EntropySpec.reference(), f.name)
    for f in dataclasses.fields(EntropySpec)
    if f.name not in ('distance', 'levels', 'kernel', 'windows')
  }
  | {'windows': (5,)},
  'point': {
    'mass': 'point',
    'border': 'zero',
    'bandwidth': 1.3,
    'windows': (1,),
  },
  'rule': {'bandwidth': 'silverman', 'windows': (3,)},
}


CASES = [(d, v) for d in DIVERGENCES for v in VARIANTS]
VARIANTS['three windows'] = {}
VARIANTS['published order'] = {'cross_order': 'prediction', 'windows': (7,)}
CASES += [('hellinger', 'three windows'), ('cross', 'published order')]
# Summands are the same in both forms; each is enough with one of them.
CASES = [(d, v, 'tiles') for d, v in CASES] + [
  (d, v, 'rows') for d, v in CASES if d == 'hellinger'
]
# Every distance, every variant and both forms; the rest of their products are
# for the slow suite.
QUICK_CASES = {
  *((distance, 'default', 'tiles') for distance in DIVERGENCES),
  ('jensen_shannon', 'reference', 'tiles'),
  ('relative', 'point', 'tiles'),
  ('cross', 'rule', 'tiles'),
  ('hellinger', 'three windows', 'tiles'),
  ('cross', 'published order', 'tiles'),
  ('hellinger', 'default', 'rows'),
  ('hellinger', 'reference', 'rows'),
}


def _quick_or_slow(cases, quick):
  assert quick.issubset(cases)
  return [
    pytest.param(*case, marks=() if case in quick else pytest.mark.slow)
    for case in cases
  ]


@pytest.fixture
def small_tiles(monkeypatch):
  """Tiles so small that test images need several of them."""
  monkeypatch.setattr(tiles, '_SIDE', 4)


@pytest.mark.parametrize(
  ('distance', 'variant', 'form'), _quick_or_slow(CASES, QUICK_CASES)
)
def test_fused_equals_the_oracle(distance, variant, form, x64, small_tiles):
  changes = VARIANTS[variant] | {'distance': distance, 'form': form}
  spec = EntropySpec(**{'levels': 6, 'kernel': 'sech'} | changes)
  pred, target = random_pair(dtype=np.float64)
  weights = entropy.positive_weights(jax.random.key(3), dtype=jnp.float64)

  def fast(pred, target):
    values = entropy.spatial_entropy_loss(
      pred, target, spec=spec, neighbor_weights=weights
    )
    return jnp.sum(values * jnp.asarray([1.0, 3.0])), values

  def slow(pred, target):
    values = dense_loss(pred, target, spec=spec, weights=weights)
    return jnp.sum(values * jnp.asarray([1.0, 3.0])), values

  gradients, values = jax.jit(jax.grad(fast, (0, 1), has_aux=True))(
    pred, target
  )
  expected, oracle = jax.jit(jax.grad(slow, (0, 1), has_aux=True))(pred, target)
  np.testing.assert_allclose(values, oracle, rtol=1e-10, atol=1e-12)
  for found, true in zip(gradients, expected, strict=True):
    np.testing.assert_allclose(found, true, rtol=1e-8, atol=1e-12)


def _accuracy_cases():
  """Every distance, kernel and window; a sample of them in the quick suite."""
  for index, (distance, kernel, windows) in enumerate(
    itertools.product(DIVERGENCES, KERNELS, ((1,), (3,), (5,), (1, 3, 5)))
  ):
    for form in fused.FORMS:
      quick = form == 'tiles' and index % 42 == 0
      marks = () if quick else (pytest.mark.slow,)
      yield pytest.param(distance, kernel, windows, form, marks=marks)


@pytest.mark.parametrize(
  ('distance', 'kernel', 'windows', 'form'), list(_accuracy_cases())
)
def test_single_precision_is_close_to_the_oracle(
  distance, kernel, windows, form, x64
):
  spec = EntropySpec(
    levels=8, kernel=kernel, distance=distance, windows=windows, form=form
  )
  weights = entropy.uniform_weights(dtype=jnp.float64)
  pred, target = random_pair(dtype=np.float64)
  oracle = functools.partial(dense_loss, spec=spec, weights=weights)
  exact, slope = value_and_slope(oracle, pred, target)
  loss = functools.partial(
    entropy.spatial_entropy_loss,
    spec=spec,
    neighbor_weights=weights.astype(jnp.float32),
  )
  pred, target = pred.astype(jnp.float32), target.astype(jnp.float32)
  value, gradient = value_and_slope(loss, pred, target)
  np.testing.assert_allclose(value, exact, rtol=1e-5)
  assert relative_error(gradient, slope) < 1e-4


@pytest.mark.parametrize('form', fused.FORMS)
def test_the_loss_can_be_vmapped(form):
  pred, target = random_pair((3, 9, 8, 1))
  spec = EntropySpec(levels=6, neighbor_weights='uniform', form=form)
  loss = functools.partial(entropy.spatial_entropy_loss, spec=spec)
  one = lambda x, y: loss(x[None], y[None])[0]
  value, slope = value_and_slope(loss, pred, target)
  values, slopes = jax.jit(jax.vmap(jax.value_and_grad(one)))(pred, target)
  np.testing.assert_allclose(values, value, rtol=1e-5)
  np.testing.assert_allclose(slopes, slope, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize('distance', DIVERGENCES)
def test_gradient_matches_finite_differences(distance, x64):
  spec = EntropySpec(
    levels=5, distance=distance, neighbor_weights='uniform', windows=(3,)
  )
  pred, target = random_pair((1, 4, 5, 1), np.float64)
  direction = jnp.asarray(
    np.random.default_rng(1).normal(size=pred.shape), jnp.float64
  )

  @jax.jit
  def along(step):
    return entropy.spatial_entropy_loss(
      pred + step * direction, target, spec=spec
    ).sum()

  slope = (along(1e-5) - along(-1e-5)) / 2e-5
  found = jax.grad(along)(0.0)
  assert float(found) == pytest.approx(float(slope), rel=1e-6)


@functools.cache
def _hard_images():
  shape = (1, 4, 3, 1)
  rng = np.random.default_rng(5)
  random = rng.uniform(0, 1, shape)
  kinds = {
    'zero': np.zeros(shape),
    'one': np.ones(shape),
    'constant': np.full(shape, 0.37),
    'out of range': rng.normal(0, 30, shape),
    'random': random,
    'dark': random * 1e-3,
  }
  pairs = [(a, b) for a in kinds for b in kinds]
  sides = (np.concatenate([kinds[pair[n]] for pair in pairs]) for n in (0, 1))
  return pairs, *(jnp.asarray(side, jnp.float32) for side in sides)


def _assert_finite(spec, **options):
  """Value and gradient on every pair of hard images, in one program."""
  pairs, pred, target = _hard_images()
  loss = functools.partial(entropy.spatial_entropy_loss, spec=spec, **options)
  value, gradient = value_and_slope(loss, pred, target)
  for pair, v, g in zip(pairs, value, gradient, strict=True):
    assert np.isfinite(v), (spec, pair)
    assert np.isfinite(g).all(), (spec, pair)


FINITE = [
  (distance, *corner)
  for distance in DIVERGENCES
  for corner in itertools.product((4, 32, 256), (0.05, 0.5, 8.0))
]
# Every distance at few bins and at narrow ones, the far corner with one.
QUICK_FINITE = {
  *((d, 4, h) for d in DIVERGENCES for h in (0.05, 8.0)),
  *((d, 32, 0.05) for d in DIVERGENCES),
  ('jensen_shannon', 256, 8.0),
}


@pytest.mark.parametrize(
  ('distance', 'levels', 'bandwidth'), _quick_or_slow(FINITE, QUICK_FINITE)
)
def test_value_and_gradient_are_finite(distance, levels, bandwidth):
  spec = EntropySpec(
    levels=levels,
    bandwidth=bandwidth,
    distance=distance,
    neighbor_weights='uniform',
    windows=(3,),
    form='rows',
  )
  _assert_finite(spec)
  if levels == 32:
    _assert_finite(dataclasses.replace(spec, form='tiles'))


KERNEL_CASES = [
  (distance, kernel)
  for distance in DIVERGENCES
  for kernel in KERNELS
  if kernel != 'logistic'
]


@pytest.mark.parametrize(
  ('distance', 'kernel'),
  # Kernels give masses alike to every distance; one of these logs them all.
  _quick_or_slow(
    KERNEL_CASES, {c for c in KERNEL_CASES if c[0] == 'jensen_shannon'}
  ),
)
def test_every_kernel_is_finite(distance, kernel):
  _assert_finite(
    EntropySpec(
      levels=32,
      bandwidth=0.05,
      kernel=kernel,
      distance=distance,
      neighbor_weights='uniform',
      windows=(1,),
      form='rows',
    )
  )


@pytest.mark.parametrize('distance', DIVERGENCES)
def test_reference_spec_is_finite_in_single_precision(distance):
  spec = EntropySpec.reference(distance, levels=32)
  _assert_finite(spec, neighbor_weights=entropy.uniform_weights())


def test_half_precision_inputs_are_computed_in_single():
  spec = EntropySpec(levels=8, neighbor_weights='uniform', windows=(3,))
  loss = jax.jit(functools.partial(entropy.spatial_entropy_loss, spec=spec))
  pair = [image.astype(jnp.bfloat16) for image in random_pair()]
  half = loss(*pair)
  assert half.dtype == jnp.float32
  full = loss(*(image.astype(jnp.float32) for image in pair))
  np.testing.assert_array_equal(half, full)


@pytest.mark.parametrize(
  'distance', ['relative', 'hellinger', 'jensen_shannon']
)
def test_distance_is_zero_at_equality_and_grows_with_noise(distance):
  spec = EntropySpec(levels=16, distance=distance, neighbor_weights='uniform')
  _, target = random_pair((1, 12, 12, 3))
  noise = np.random.default_rng(2).normal(size=target.shape).astype(np.float32)
  # One image of the batch for each amount of noise.
  noisy = jnp.concatenate([target + s * noise for s in (0.0, 0.02, 0.08, 0.3)])
  targets = jnp.broadcast_to(target, noisy.shape)
  loss = jax.jit(functools.partial(entropy.spatial_entropy_loss, spec=spec))
  values = loss(noisy, targets).tolist()
  assert values[0] == pytest.approx(0, abs=1e-6)
  assert values == sorted(values) and values[1] > 1e-5
  limit = {'hellinger': 1, 'jensen_shannon': np.log(2)}.get(distance, np.inf)
  assert values[-1] <= limit


def test_cross_entropy_is_least_at_the_target_only_in_our_order(x64):
  _, target = random_pair((1, 8, 8, 1), np.float64)

  def slope(order):
    spec = EntropySpec(
      levels=8,
      distance='cross',
      cross_order=order,
      neighbor_weights='uniform',
      eps=0.0,
      windows=(1,),
    )
    loss = functools.partial(
      entropy.spatial_entropy_loss, target=target, spec=spec
    )
    slopes = jax.jit(jax.grad(lambda x: loss(x).sum()))(target)
    return float(jnp.abs(slopes).max())

  assert slope('target') < 1e-12
  assert slope('prediction') > 1e-6


def test_density_sums_to_one_for_every_bandwidth():
  image, _ = random_pair((1, 5, 4, 2))
  density = jax.jit(entropy.local_density, static_argnames=('spec', 'window'))
  for h in (0.05, 0.25, 1.0, 8.0):
    p = density(image, spec=EntropySpec(levels=8, bandwidth=h), window=5)
    assert p.shape == (1, 5, 4, 2, 8, 8)
    np.testing.assert_allclose(p.sum((-2, -1)), 1, atol=1e-5)


def test_entropy_map_is_bounded_and_low_on_flat_images():
  noisy, _ = random_pair((1, 9, 8, 3))
  spec = EntropySpec(levels=8)
  measure = jax.jit(functools.partial(entropy.entropy_map, spec=spec))
  high, low = measure(noisy), measure(jnp.full_like(noisy, 0.5))
  assert high.shape == noisy.shape
  assert float(high.max()) <= 2 * np.log(8) + 1e-5
  assert float(high.mean()) > float(low.mean()) >= 0
  mean = jax.jit(functools.partial(entropy.spatial_entropy, spec=spec))
  np.testing.assert_allclose(mean(noisy), high.mean((1, 2, 3)), rtol=1e-6)


def test_random_weights_follow_their_key_and_are_uniform_without():
  pred, target = random_pair()
  spec = EntropySpec(levels=6, windows=(3,))
  loss = functools.partial(
    jax.jit(entropy.spatial_entropy_loss, static_argnames='spec'),
    pred,
    target,
    spec=spec,
  )
  first, again, other = (loss(key=jax.random.key(s)) for s in (0, 0, 1))
  np.testing.assert_array_equal(first, again)
  assert np.any(np.asarray(first) != np.asarray(other))
  uniform = loss(neighbor_weights=entropy.uniform_weights())
  np.testing.assert_array_equal(loss(), uniform)


def test_bad_arguments_are_named(unchecked):
  spec = EntropySpec(neighbor_weights='uniform')
  image = jnp.zeros((1, 4, 4, 3))
  with pytest.raises(ValueError, match=r'\(1, 4, 4, 3\) and \(1, 5, 4, 3\)'):
    entropy.spatial_entropy_loss(image, jnp.zeros((1, 5, 4, 3)), spec=spec)
  with pytest.raises(ValueError, match='floating point'):
    integers = jnp.zeros((1, 4, 4, 3), jnp.uint8)
    entropy.spatial_entropy_loss(integers, integers, spec=spec)
  with pytest.raises(ValueError, match='B, H, W, C'):
    entropy.spatial_entropy(image[0], spec=spec)
  for field, value in (
    ('kernel', 'boxcar'),
    ('distance', 'euclid'),
    ('levels', 1),
    ('bandwidth', 0.0),
    ('bandwidth', 'wide'),
    ('windows', (2,)),
    ('windows', ()),
    ('value_range', (1.0, 0.0)),
    ('eps', -1.0),
    ('form', 'dense'),
  ):
    with pytest.raises(ValueError, match=f'EntropySpec.{field}'):
      EntropySpec(**{field: value})
