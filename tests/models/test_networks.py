import json

from conftest import nhwc
from flax import linen as nn
from flax.errors import ScopeParamNotFoundError
from flax.errors import ScopeParamShapeError
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sel_jax.interop import torch_weights
from sel_jax.models import ConditionalNAFNet
from sel_jax.models import ConditionalUNet
from sel_jax.models import count_params
from sel_jax.models import init_params
from sel_jax.models import layers
from sel_jax.models import param_shapes


def _nafnet(cfg):
  return ConditionalNAFNet(
    cfg['width'],
    tuple(cfg['enc_blk_nums']),
    cfg['middle_blk_num'],
    tuple(cfg['dec_blk_nums']),
  )


def _unet(cfg):
  return ConditionalUNet(cfg['nf'], cfg['depth'])


CASES = {
  'nafnet': (_nafnet, torch_weights.nafnet_params),
  'unet': (_unet, torch_weights.unet_params),
}


@pytest.mark.parametrize('name', CASES)
def test_output_matches_the_reference(golden, name):
  make, convert = CASES[name]
  numbers = golden(name)
  model = make(json.loads(str(numbers['cfg'])))
  state = {
    k.removeprefix('params/'): v
    for k, v in numbers.items()
    if k.startswith('params/')
  }
  params = convert(state)
  shapes = jax.tree.map(np.shape, init_params(jax.random.key(0), model))
  assert jax.tree.map(np.shape, params) == shapes
  assert count_params(params) == sum(v.size for v in state.values())
  found = jax.jit(model.apply)(
    {'params': params},
    nhwc(numbers['x']),
    nhwc(numbers['cond']),
    jnp.asarray(numbers['t']),
  )
  np.testing.assert_allclose(found, nhwc(numbers['out']), atol=1e-5)


@pytest.mark.parametrize('name', CASES)
def test_foreign_tensors_are_named(name):
  with pytest.raises(ValueError, match=r"'encoders.0.0.conv9.weight'"):
    CASES[name][1]({'encoders.0.0.conv9.weight': np.zeros((1, 1))})


SMALL = {
  'nafnet': ConditionalNAFNet(4, (1, 1), 1, (1, 1)),
  'nafnet of patches': ConditionalNAFNet(4, (1,), 1, (1,), patch=3),
  'unet': ConditionalUNet(4, 2),
}
PADDING = {'unet': 'reflect'}


@pytest.mark.parametrize('name', SMALL)
def test_any_size_is_that_of_the_padded_image(name):
  """Any side, one time or one for each image."""
  model = SMALL[name]
  params = init_params(jax.random.key(1), model)
  apply = jax.jit(lambda x, t: model.apply({'params': params}, x, x * 0.5, t))
  x = np.random.default_rng(0).uniform(size=(2, 5, 1, 3)).astype(np.float32)
  bottom, right = -5 % model.multiple, -1 % model.multiple
  pads = ((0, 0), (0, bottom), (0, right), (0, 0))
  whole = np.pad(x, pads, mode=PADDING.get(name, 'constant'))
  found = apply(x, jnp.full(2, 7))
  assert found.shape == x.shape and np.ptp(found) > 0.01
  expected = apply(whole, jnp.asarray(7))[:, :5, :1]
  np.testing.assert_allclose(found, expected, atol=1e-6)


def _random_params(model):
  """No gain is zero, so that every block is felt."""
  shapes = param_shapes(model)
  rng = np.random.default_rng(3)
  return jax.tree.map(lambda x: 0.3 * rng.normal(size=x.shape), shapes)


CANVAS = {**SMALL, 'nafnet with local means': SMALL['nafnet'].clone(pool=5)}


@pytest.mark.parametrize('name', CANVAS)
def test_on_a_larger_canvas_an_image_is_what_it_is_alone(name):
  model = CANVAS[name]
  params = _random_params(model)
  rng = np.random.default_rng(0)
  sizes = [(2, 3), (4, 1), (4, 4)]
  sizes = [tuple(model.multiple * side for side in size) for size in sizes]
  x, mu = rng.normal(size=(2, 3, 4 * model.multiple, 4 * model.multiple, 3))
  mask = np.zeros((*x.shape[:3], 1), bool)
  for image, (height, width) in enumerate(sizes):
    mask[image, :height, :width] = True
  apply = jax.jit(model.apply)
  t = jnp.array([3, 50, 99])
  together = apply({'params': params}, x, mu, t, mask=mask)
  other = np.where(mask, x, 9.0)  # what lies beside an image is not seen
  beside = apply({'params': params}, other, mu, t, mask=mask)
  plain = apply({'params': params}, x, mu, t)
  for image, (height, width) in enumerate(sizes):
    part = np.s_[image : image + 1, :height, :width]
    alone = apply({'params': params}, x[part], mu[part], t[image])
    size = np.abs(alone).max()
    assert size > 0.1
    np.testing.assert_allclose(together[part], alone, atol=1e-5 * size)
    np.testing.assert_allclose(beside[part], alone, atol=1e-5 * size)
    if (height, width) != x.shape[1:3]:  # the mask is needed for that
      assert np.abs(plain[part] - alone).max() > 1e-3 * size


def test_fast_initialisation_draws_what_flax_draws():
  model = ConditionalNAFNet(8, (2,), 1, (1,))
  x, t = jnp.zeros((1, 4, 4, 3)), jnp.zeros(1, jnp.int32)
  slow = jax.jit(model.init)(jax.random.key(0), x, x, t)['params']
  fast = init_params(jax.random.key(0), model)
  assert jax.tree.structure(slow) == jax.tree.structure(fast)
  for (path, a), b in zip(
    jax.tree_util.tree_leaves_with_path(slow),
    jax.tree.leaves(fast),
    strict=True,
  ):
    assert a.shape == b.shape, path
    bound = np.abs(a).max()
    assert np.abs(b).max() <= bound * 1.3 + 1e-9, path
    if a.size > 100 and bound > 0:
      assert np.std(b) == pytest.approx(np.std(a), rel=0.25), path
  again = init_params(jax.random.key(0), model)
  other = init_params(jax.random.key(1), model)
  same = jax.tree.map(np.array_equal, fast, again)
  assert all(jax.tree.leaves(same))
  assert not np.array_equal(
    fast['intro']['conv']['kernel'], other['intro']['conv']['kernel']
  )


def test_parameters_of_another_shape_are_named():
  model = ConditionalNAFNet(8, (1,), 1, (1,))
  x, t = jnp.zeros((1, 4, 4, 3)), jnp.zeros(1, jnp.int32)
  params = init_params(jax.random.key(0), model)
  params['intro']['conv']['kernel'] = np.zeros((3, 3, 6, 4), np.float32)
  with pytest.raises(ScopeParamShapeError):
    model.apply({'params': params}, x, x, t)
  params = init_params(jax.random.key(0), ConditionalNAFNet(4, (1,), 1, (1,)))
  with pytest.raises(ScopeParamShapeError, match='time_in'):
    model.apply({'params': params}, x, x, t)
  del params['time_in']['kernel']
  with pytest.raises(ScopeParamNotFoundError, match='kernel'):
    ConditionalNAFNet(4, (1,), 1, (1,)).apply({'params': params}, x, x, t)


def test_a_stage_is_traced_once(monkeypatch):
  model = ConditionalNAFNet(8, (3,), 1, (1,))
  params = init_params(jax.random.key(0), model)
  traced = []

  def mean(x, window, *, mask):
    assert mask is None
    traced.append(window)
    return jnp.mean(x, axis=(1, 2), keepdims=True)

  monkeypatch.setattr(layers, 'local_mean', mean)
  x, t = jnp.zeros((1, 4, 4, 3)), jnp.zeros(1, jnp.int32)
  pooled = model.clone(pool=2)
  jax.eval_shape(pooled.apply, {'params': params}, x, x, t)
  assert len(traced) == 3  # one a stage: of the encoder, middle and decoder


def test_depthwise_forms_agree_in_value_and_gradient():
  x = jax.random.normal(jax.random.key(0), (2, 5, 6, 4))
  shift, conv = (layers.DepthwiseConv(form) for form in ('shift', 'conv'))
  params = shift.init(jax.random.key(1), x)

  def loss(layer):
    value = lambda p, x: jnp.sum(layer.apply(p, x) ** 2)
    return jax.jit(jax.value_and_grad(value, argnums=(0, 1)))(params, x)

  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4),
    loss(shift),
    loss(conv),
  )


def test_half_precision_depthwise_sums_its_gradient_in_single():
  x = jax.random.normal(jax.random.key(0), (4, 32, 32, 4))
  layer = layers.DepthwiseConv('shift')
  params = layer.init(jax.random.key(1), x)

  @jax.jit
  def gradient(x):
    loss = lambda p: jnp.sum(layer.apply(p, x).astype(jnp.float32) ** 2)
    return jax.grad(loss)(params)['params']['kernel']

  half, full = gradient(x.astype(jnp.bfloat16)), gradient(x)
  error = np.linalg.norm(half - full) / np.linalg.norm(full)
  assert half.dtype == jnp.float32 and error < 0.01


@pytest.mark.parametrize(
  'plain', [ConditionalNAFNet(4, (2,), 0, (0,)), ConditionalUNet(4, 1)]
)
def test_rematerialisation_changes_no_gradient(plain):
  remat = plain.clone(remat=True)
  params = init_params(jax.random.key(0), plain)
  x = jax.random.uniform(jax.random.key(1), (1, 4, 4, 3))

  def gradient(model):
    loss = lambda p: jnp.sum(model.apply({'params': p}, x, x, 3) ** 2)
    return jax.jit(jax.grad(loss))(params)

  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
    gradient(plain),
    gradient(remat),
  )


def test_half_precision_stays_close_and_keeps_single_precision_parameters():
  half = ConditionalNAFNet(8, (1,), 1, (1,), dtype=jnp.bfloat16)
  full = ConditionalNAFNet(8, (1,), 1, (1,))
  params = init_params(jax.random.key(0), half)
  assert all(p.dtype == np.float32 for p in jax.tree.leaves(params))
  x = jax.random.uniform(jax.random.key(1), (1, 8, 8, 3))
  a, b = (jax.jit(m.apply)({'params': params}, x, x, 3) for m in (half, full))
  assert a.dtype == jnp.float32
  np.testing.assert_allclose(a, b, atol=0.05)


def test_the_papers_network_has_288_million_parameters():
  model = ConditionalNAFNet()
  x = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
  t = jax.ShapeDtypeStruct((1,), jnp.int32)
  shapes = jax.eval_shape(model.init, jax.random.key(0), x, x, t)['params']
  assert round(count_params(shapes) / 1e6) == 288


def test_sizes_that_do_not_fit_are_refused():
  with pytest.raises(ValueError, match='as many stages'):
    ConditionalNAFNet(8, (1, 1), 1, (1,))
  with pytest.raises(ValueError, match='width=3'):
    ConditionalNAFNet(3)


def test_unshuffling_is_pytorchs_and_shuffling_undoes_it():
  x = np.arange(2 * 6 * 4 * 3.0, dtype=np.float32).reshape(2, 6, 4, 3)
  small = layers.pixel_unshuffle(x, size=2)
  assert small.shape == (2, 3, 2, 12)
  # Channel c, row i, column j of a square is channel 4 c + 2 i + j.
  np.testing.assert_array_equal(small[0, 1, 1, 4 + 2 + 1], x[0, 3, 3, 1])
  np.testing.assert_array_equal(layers.pixel_shuffle(small, size=2), x)


def test_gamma_spreads_dark_tones_and_black_has_a_slope():
  mus = jnp.asarray([0.0, 0.01, 0.0198, 0.02, 0.0202])
  params = init_params(jax.random.key(0), ConditionalNAFNet(4, (1,), 1, (1,)))

  def responses(gamma, mus):
    """Of flat images of these intensities, [5, 4, 4, 3]."""
    model = ConditionalNAFNet(4, (1,), 1, (1,), gamma=gamma)
    x = jnp.broadcast_to(mus[:, None, None, None], (5, 4, 4, 3))
    return model.apply({'params': params}, x, x, 5)

  plain = jax.jit(responses, static_argnums=0)(1.0, mus)
  spread = lambda mus: (responses(0.4, mus).sum(), responses(0.4, mus))
  slopes, dark = jax.jit(jax.grad(spread, has_aux=True))(mus)
  change = lambda found: np.abs(found[3] - found[1]).max()
  assert change(dark) > 3 * change(plain)
  # mu^0.4 rises without end at black; the network sees a floor there.
  assert float(slopes[0]) == 0
  expected = float(jnp.sum(dark[4] - dark[2])) / 0.0004
  assert float(slopes[3]) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(
  'wrong', [{'patch': 0}, {'gamma': 0.0}, {'gamma': 1.5}], ids=str
)
def test_sizes_that_make_no_network_are_refused(wrong):
  with pytest.raises(ValueError, match=next(iter(wrong))):
    ConditionalNAFNet(4, (1,), 1, (1,), **wrong)


def test_a_network_says_its_multiple():
  assert ConditionalNAFNet().multiple == 32
  assert SMALL['nafnet of patches'].multiple == 6
  assert ConditionalUNet(4, 2).multiple == 4


class _OfAnother(nn.Module):
  """A network that is not of this package, with initialisers of its own."""

  @nn.compact
  def __call__(self, x, mu, t):
    del mu, t
    x = nn.LayerNorm()(x)
    return nn.Dense(3, kernel_init=nn.initializers.zeros)(x)


def test_another_network_is_drawn_as_it_says():
  params = init_params(jax.random.key(0), _OfAnother())
  assert np.all(params['LayerNorm_0']['scale'] == 1)
  assert not np.any(params['Dense_0']['kernel'])
  shapes = jax.tree.map(np.shape, params)
  assert shapes == jax.tree.map(lambda x: x.shape, param_shapes(_OfAnother()))
