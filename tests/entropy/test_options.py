"""What may be given with the images: weights, masks, bandwidths."""

import functools

from helpers.oracle import random_pair
import jax
from jax.experimental import checkify
import jax.numpy as jnp
import numpy as np
import pytest

from sel_jax import entropy
from sel_jax.entropy import EntropySpec
from sel_jax.entropy import fused

SPEC = EntropySpec(levels=6, windows=(3,), form='rows')  # compiles sooner


def test_everything_but_the_images_may_be_left_out():
  pred, target = random_pair((1, 5, 4, 3))
  left_out = entropy.spatial_entropy_loss(pred, target)
  given = entropy.spatial_entropy_loss(pred, target, spec=EntropySpec())
  np.testing.assert_array_equal(left_out, given)


def test_the_loss_is_the_mean_of_its_map():
  pred, target = random_pair()
  maps = entropy.distance_map(pred, target, spec=SPEC)
  assert maps.shape == pred.shape
  rng = np.random.default_rng(0)
  where = rng.uniform(size=(2, 7, 6, 1)) < 0.5
  weights = rng.uniform(size=(7, 6, 3)).astype(np.float32)
  loss = jax.jit(
    functools.partial(entropy.spatial_entropy_loss, pred, target, spec=SPEC)
  )
  for options in (
    {},
    {'where': where},
    {'weights': weights},
    {'weights': 5 * weights, 'where': where},
  ):
    counts = options.get('weights', 1) * options.get('where', True)
    counts = np.broadcast_to(counts, maps.shape)
    expected = [np.average(m, weights=c) for m, c in zip(maps, counts)]
    np.testing.assert_allclose(loss(**options), expected, rtol=1e-5)


def test_a_masked_pixel_still_stands_in_its_neighbours_windows():
  pred, target = random_pair((1, 7, 6, 1))
  where = jnp.ones(pred.shape, bool).at[0, 3, 3, 0].set(False)
  loss = lambda x: entropy.spatial_entropy_loss(
    x, target, spec=SPEC, where=where
  ).sum()
  slope = jax.jit(jax.grad(loss))(pred)
  assert abs(float(slope[0, 3, 3, 0])) > 1e-4


def test_what_is_masked_may_be_broken():
  pred, target = random_pair((1, 9, 9, 1))
  broken = pred.at[0, 0, 0, 0].set(jnp.nan)
  where = np.ones((9, 9, 1), bool)
  where[:4, :4] = False  # a window, and a neighbour beyond it
  loss = jax.jit(
    functools.partial(entropy.spatial_entropy_loss, spec=SPEC, where=where)
  )
  found = loss(broken, target)
  assert np.isfinite(found).all()
  sound = loss(pred, target)
  np.testing.assert_allclose(found, sound, rtol=1e-6)


def test_no_pixel_at_all_gives_zero():
  pred, target = random_pair()
  loss = lambda x: entropy.spatial_entropy_loss(
    x, target, spec=SPEC, where=np.zeros((7, 6, 3), bool)
  ).sum()
  value, slope = jax.jit(jax.value_and_grad(loss))(pred)
  assert value == 0
  np.testing.assert_array_equal(slope, 0)


def test_entropy_is_weighed_alike():
  image, _ = random_pair()
  maps = entropy.entropy_map(image, spec=SPEC)
  where = np.arange(6)[:, None] < 3
  found = entropy.spatial_entropy(image, spec=SPEC, where=where)
  np.testing.assert_allclose(found, maps[:, :, :3].mean((1, 2, 3)), rtol=1e-5)


@pytest.mark.parametrize('form', fused.FORMS)
def test_a_bandwidth_is_an_argument(form):
  """One program for all of them, and each image may have its own."""
  pred, target = random_pair()
  spec = EntropySpec(levels=6, windows=(3,), form=form)

  @jax.jit
  def loss(h):
    return entropy.spatial_entropy_loss(pred, target, spec=spec, bandwidth=h)

  known = []
  for h in (0.3, 1.7):
    own = EntropySpec(levels=6, windows=(3,), form=form, bandwidth=h)
    known.append(entropy.spatial_entropy_loss(pred, target, spec=own))
    np.testing.assert_allclose(loss(h), known[-1], rtol=1e-5)
  assert loss._cache_size() == 1
  each = entropy.spatial_entropy_loss(
    pred, target, spec=spec, bandwidth=jnp.asarray([0.3, 1.7])
  )
  np.testing.assert_allclose(each, [known[0][0], known[1][1]], rtol=1e-5)


@pytest.mark.parametrize('form', fused.FORMS)
@pytest.mark.parametrize(
  ('distance', 'mass'), [('hellinger', 'exact'), ('relative', 'reference')]
)
def test_a_bandwidth_is_differentiated(distance, mass, form, x64):
  pred, target = random_pair((2, 5, 6, 1), np.float64)
  spec = EntropySpec(
    levels=8, windows=(1, 3), distance=distance, mass=mass, form=form
  )

  @jax.jit
  def loss(h):
    found = entropy.spatial_entropy_loss(pred, target, spec=spec, bandwidth=h)
    return found.sum()

  for h in (0.3, 1.5):
    slope = float(jax.grad(loss)(h))
    steps = float(loss(h + 1e-5) - loss(h - 1e-5)) / 2e-5
    assert slope == pytest.approx(steps, rel=1e-6)
    assert abs(slope) > 1e-3


def test_a_spec_holds_no_traced_bandwidth(unchecked):
  remedy = r'EntropySpec.bandwidth.*is traced.*give bandwidth to the function'
  with pytest.raises(ValueError, match=remedy):
    jax.jit(lambda h: EntropySpec(bandwidth=h).levels)(0.5)


def test_neighbour_weights_without_a_sum_are_refused():
  pred, target = random_pair((1, 5, 4, 1))
  loss = functools.partial(
    entropy.spatial_entropy_loss, pred, target, spec=SPEC
  )
  alone = np.zeros((3, 3), np.float32)
  alone[1, 1] = 1
  balanced = np.zeros((3, 3), np.float32)
  balanced[0, 0], balanced[2, 2] = 1, -1
  for weights in (np.zeros((3, 3), np.float32), alone, balanced):
    with pytest.raises(ValueError, match='neighbour weights sum to zero'):
      loss(neighbor_weights=weights)
    with pytest.raises(ValueError, match='neighbour weights sum to zero'):
      jax.jit(lambda w=weights: loss(neighbor_weights=w))()


def test_traced_neighbour_weights_without_a_sum_leave_it_finite():
  pred, target = random_pair((1, 5, 4, 1))

  @jax.jit
  def both(weights):
    loss = lambda x: entropy.spatial_entropy_loss(
      x, target, spec=SPEC, neighbor_weights=weights
    ).sum()
    return jax.value_and_grad(loss)(pred)

  balanced = jnp.zeros((3, 3)).at[0, 0].set(1).at[2, 2].set(-1)
  for weights in (jnp.zeros((3, 3)), balanced):
    value, slope = both(weights)
    assert np.isfinite(value) and np.isfinite(slope).all()


def test_neighbour_weights_may_be_a_list(unchecked):
  pred, target = random_pair((1, 5, 4, 1))
  rows = [[1, 2, 1], [2, 0, 2], [1, 2, 1]]
  loss = functools.partial(
    entropy.spatial_entropy_loss, pred, target, spec=SPEC
  )
  found = loss(neighbor_weights=rows)
  np.testing.assert_array_equal(
    found, loss(neighbor_weights=np.asarray(rows, np.float32))
  )


def test_what_does_not_fit_is_named(unchecked):
  pred, target = random_pair()
  loss = functools.partial(
    entropy.spatial_entropy_loss, pred, target, spec=SPEC
  )
  with pytest.raises(ValueError, match=r'where must broadcast to \(2, 7, 6, 3'):
    loss(where=np.ones((2, 7), bool))
  with pytest.raises(ValueError, match='weights must broadcast'):
    loss(weights=np.ones((5, 2, 7, 6, 3), np.float32))
  with pytest.raises(ValueError, match='bandwidth has 3 values for 2 images'):
    loss(bandwidth=np.ones(3, np.float32))


def test_double_precision_of_numpy_needs_no_warning():
  pred, target = (np.asarray(x, np.float64) for x in random_pair((1, 5, 4, 1)))
  weights = np.full((3, 3), 1 / 8)
  for given in (None, weights):
    options = {'spec': SPEC, 'neighbor_weights': given}
    found = entropy.spatial_entropy_loss(pred, target, **options)
    assert found.dtype == jnp.float32
    assert entropy.entropy_map(pred, **options).dtype == jnp.float32
    density = entropy.local_density(pred, **options)
    assert density.dtype == jnp.float32


@pytest.mark.parametrize('form', ['tiles', 'rows'])
@pytest.mark.parametrize('compiled', [False, True])
def test_forward_mode_is_refused_in_words(form, compiled):
  pred, target = random_pair((1, 5, 4, 1))
  spec = EntropySpec(**{**vars(SPEC), 'form': form})
  loss = lambda x: entropy.spatial_entropy_loss(x, target, spec=spec)
  loss = jax.jit(loss) if compiled else loss
  for differentiated in (
    lambda: jax.jvp(loss, (pred,), (pred,)),
    lambda: jax.jit(jax.jacfwd(loss))(pred),
    lambda: jax.linearize(loss, pred)[1](pred),
  ):
    with pytest.raises(TypeError, match='forward mode .* use jax.grad'):
      differentiated()


def test_the_gradient_may_be_mapped():
  pred, target = random_pair((1, 5, 4, 1))
  loss = lambda x: entropy.spatial_entropy_loss(x, target, spec=SPEC).sum()
  slopes = jax.jit(jax.vmap(jax.grad(loss)))(jnp.stack([pred, target]))
  alone = jax.jit(jax.grad(loss))(pred)
  np.testing.assert_allclose(slopes[0], alone, atol=1e-6)


@pytest.mark.parametrize('dtype', [jnp.bfloat16, jnp.float16])
def test_half_precision_comes_in_and_goes_back(dtype):
  pred, target = (x.astype(dtype) for x in random_pair((2, 6, 5, 1)))
  loss = functools.partial(entropy.spatial_entropy_loss, spec=SPEC)
  both = jax.jit(jax.value_and_grad(lambda x: loss(x, target).sum()))
  found, slope = both(pred)
  whole, exact = both(pred.astype(jnp.float32))
  assert found.dtype == jnp.float32 and slope.dtype == dtype
  np.testing.assert_allclose(found, whole, rtol=1e-6)
  np.testing.assert_allclose(slope.astype(jnp.float32), exact, atol=2e-3)


@pytest.mark.parametrize('channels', [2, 5])
def test_channels_are_apart_whatever_their_number(channels):
  pred, target = random_pair((1, 6, 5, channels))
  loss = jax.jit(functools.partial(entropy.spatial_entropy_loss, spec=SPEC))
  each = [
    loss(pred[..., n : n + 1], target[..., n : n + 1]) for n in range(channels)
  ]
  np.testing.assert_allclose(loss(pred, target), sum(each) / channels, 1e-5)


@pytest.mark.parametrize('detail', [0.0, 2.0])
def test_a_wrong_range_is_named_where_it_is_asked_for(detail):
  pred, target = (jnp.clip(x, 0, 1) for x in random_pair((1, 8, 8, 1)))
  spec = EntropySpec(levels=6, windows=(1,), detail=detail)
  loss = jax.jit(
    lambda x, y: entropy.spatial_entropy_loss(x, y, spec=spec).sum()
  )
  for function in (loss, jax.grad(loss)):
    checked = jax.jit(checkify.checkify(function))
    error, found = checked(pred, target)
    error.throw()
    np.testing.assert_allclose(found, function(pred, target), rtol=1e-5)
    for change in (lambda x: 255 * x, lambda x: 2 * x - 1):
      error, _ = checked(change(pred), change(target))
      with pytest.raises(
        checkify.JaxRuntimeError, match=r'% of pred lies beyond value_range='
      ):
        error.throw()
      assert np.isfinite(function(change(pred), change(target))).all()
