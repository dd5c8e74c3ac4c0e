import dataclasses

from flax import linen as nn
from flax import struct
import hypothesis
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sel_jax import build
from sel_jax.configs import lol
from sel_jax.diffusion import DenoisingSDE
from sel_jax.diffusion import IRSDE
from sel_jax.diffusion import SDES
from sel_jax.diffusion import SDESpec
from sel_jax.diffusion import time_grid
from sel_jax.diffusion.samplers import coefficients_of
from sel_jax.diffusion.samplers import sample
from sel_jax.inference import Restorer
from sel_jax.inference import tiling
from sel_jax.inference import tone
from sel_jax.inference.denoising import whole_sampler
from sel_jax.models import ConditionalNAFNet
from sel_jax.models import init_params
from sel_jax.models import layers
from sel_jax.settings import Settings


@hypothesis.settings(max_examples=80, deadline=None)
@hypothesis.given(
  height=st.integers(1, 700),
  width=st.integers(1, 700),
  side=st.sampled_from([32, 96, 128, 256]),
  share=st.floats(0, 0.5),
  multiple=st.sampled_from([32, 96, 160]),
)
def test_tiles_cover_and_weights_sum_to_one(
  height, width, side, share, multiple
):
  tile, overlap = tiling.round_up(side, multiple), int(share * side)
  plan = tiling.Tiling.create(height, width, tile, overlap, multiple=multiple)
  total = np.zeros((*plan.size, 1))
  for group in plan.groups(3):
    for i, j in group:
      weight = plan.weight(i, j)
      assert weight.min() > 0
      total[plan.window(i, j)] += weight
  np.testing.assert_allclose(total, 1, atol=1e-5)
  for starts, side, n in zip(
    (plan.rows, plan.columns), plan.tile, plan.size, strict=True
  ):
    assert starts[0] == 0 and starts[-1] == n - side
    steps = np.diff(starts)
    most = max((tile - overlap) // multiple, 1) * multiple
    assert np.all(steps > 0) and np.all(steps % multiple == 0)
    assert np.all(steps <= most) and n % multiple == side % multiple == 0


def _toy(x, mu, t):
  """A network that looks at one pixel: tiles cannot differ from the whole."""
  return jnp.tanh(3 * (x - mu)) + 0.2 * mu + 0.01 * t


@struct.dataclass
class _Brighter(IRSDE):
  """An SDE of which no other code knows: it starts and centers elsewhere."""

  def start(self, mu, noise):
    return mu + 0.3 + self.scale * noise

  def center(self, x_0_hat, mu):
    return 0.5 * (x_0_hat + mu)


@pytest.mark.parametrize(
  ('kind', 'sampler', 'dynamic'),
  [
    *((kind, 'sde_dpm2m', 0.0) for kind in (*SDES.values(), _Brighter)),
    (IRSDE, 'posterior', 0.9),
    *(
      pytest.param(kind, 'posterior', 0.9, marks=pytest.mark.slow)
      for kind in (DenoisingSDE, _Brighter)
    ),
  ],
)
def test_tiles_of_a_pixelwise_network_equal_the_whole(kind, sampler, dynamic):
  sde = kind.create(SDESpec(steps=20, eps=0.04))
  times = time_grid(20, 6)
  image = np.random.default_rng(0).uniform(size=(75, 150, 3))
  image = image.astype(np.float32)
  key = jax.random.key(3)
  whole = sample(
    _toy,
    sde,
    key,
    image[None],
    sampler=sampler,
    times=times,
    dynamic=dynamic,
  )[0]
  shares = []
  run = tiling.TiledSampler(
    jax.jit(  # as `Restorer` gives it
      lambda params, x, mu, t: sde.clean_from_noise(x, _toy(x, mu, t), mu, t)
    ),
    sde,
    *coefficients_of(sde, sampler, times),
    tile=64,
    overlap=16,
    at_once=2,
    dynamic=dynamic,
  )
  jax.block_until_ready(whole)  # one program at a time
  tiled = run({}, key, image, on_tile=shares.append)
  np.testing.assert_allclose(tiled, whole, atol=2e-5)
  assert sum(shares) == pytest.approx(1)


@pytest.fixture(scope='module')
def method():
  settings = Settings.parse(lol.get_config('tiny'))
  method = build.build_method(settings)
  params = init_params(jax.random.key(0), method.model)
  # Gains at zero would make every block the identity.
  params = jax.tree_util.tree_map_with_path(
    lambda path, leaf: (
      leaf + 0.3 if path[-1].key in ('beta', 'gamma') else leaf
    ),
    params,
  )
  return method, params, settings.eval


def _photo(height, width):
  y, x = np.mgrid[:height, :width] / max(height, width)
  noise = np.random.default_rng(0).normal(0, 0.01, (height, width))
  planes = [0.3 * x, 0.2 * y, 0.1 + 0.1 * np.sin(20 * x * y)]
  return np.stack([p + noise for p in planes], axis=-1).astype(np.float32)


def test_local_tiles_agree_with_the_whole_and_leave_no_seam(method):
  """With a local pooling window the network's view is bounded."""
  method, params, spec = method
  image = _photo(96, 200)
  spec = dataclasses.replace(spec, pool=15)
  whole = Restorer(method, dataclasses.replace(spec, tile=0))(params, image)
  spec = dataclasses.replace(spec, tile=96, overlap=48, anchor=False)
  tiled = Restorer(method, spec)(params, image)
  assert tiled.shape == image.shape
  change = np.abs(whole - image).mean()
  assert change > 0.01
  assert np.abs(tiled - whole).mean() < 0.02 * change


class _MeanExposure(nn.Module):
  """Brightens what it sees to one mean: every tile to its own."""

  multiple = 1

  @nn.compact
  def __call__(self, x, mu, t):
    del x, t
    gain = self.param('gain', nn.initializers.ones, ())
    mean = jnp.mean(mu, axis=(1, 2, 3), keepdims=True)
    return gain * 0.3 * mu / mean - mu


def test_anchored_tiles_agree_on_brightness(method):
  method, _, spec = method
  method = dataclasses.replace(method, model=_MeanExposure())
  params = {'gain': jnp.ones(())}
  image = 0.1 + 0.1 * _photo(64, 256)
  image[:, 128:] *= 0.3
  spec = dataclasses.replace(spec, tile=64, overlap=32)
  whole = Restorer(method, dataclasses.replace(spec, tile=0))(params, image)
  far, near = (
    np.abs(
      Restorer(method, dataclasses.replace(spec, anchor=anchor))(params, image)
      - whole
    ).mean()
    for anchor in (False, True)
  )
  assert far > 0.1
  assert near < 0.2 * far


def test_tones_are_matched_and_detail_is_kept():
  rng = np.random.default_rng(0)
  detail = rng.uniform(0.4, 0.6, (120, 200, 3)).astype(np.float32)
  ramp = np.linspace(0.5, 1.5, 200, dtype=np.float32)[None, :, None]
  spoiled = detail * ramp
  tone.match_tone(spoiled, tone.thumbnail(detail, 100), 2.0)
  np.testing.assert_allclose(spoiled, detail, rtol=0.08)
  black = np.zeros((9, 5, 3), np.float32)
  tone.match_tone(black, np.ones((3, 2, 3), np.float32), 2.0)
  assert not black.any()
  line = np.full((3, 500, 3), 0.2, np.float32)
  tone.match_tone(line, tone.thumbnail(2 * line, 50), 2.0)
  np.testing.assert_allclose(line, 0.4, rtol=1e-4)


def test_one_compilation_serves_large_photographs_of_any_size(method):
  method, params, spec = method
  spec = dataclasses.replace(spec, tile=64, overlap=16)
  restorer = Restorer(method, spec)
  for size in ((70, 100), (65, 300), (131, 64), (90, 91)):
    image = _photo(*size)
    restored = restorer(params, image)
    assert restored.shape == image.shape
    assert restored.min() >= 0 and restored.max() <= 1
  assert restorer.compiled() == {'whole': [], 'tiles': [(64, 64)], 'states': []}


def test_photographs_up_to_a_tile_are_restored_whole(method):
  method, params, spec = method
  image = _photo(40, 64)
  tiled = Restorer(method, dataclasses.replace(spec, tile=64, overlap=0))
  whole = Restorer(method, dataclasses.replace(spec, tile=0))
  np.testing.assert_array_equal(tiled(params, image), whole(params, image))
  assert not tiled.compiled()['tiles']


def test_large_and_small_photographs_together(method):
  method, params, spec = method
  restorer = Restorer(method, dataclasses.replace(spec, tile=64, overlap=16))
  photos = [_photo(30, 40), _photo(70, 100), _photo(50, 33)]
  together = restorer.many(params, photos)
  for photo, found in zip(photos, together, strict=True):
    np.testing.assert_allclose(found, restorer(params, photo), atol=1e-5)


def test_a_network_says_which_sizes_it_sees(method):
  """Its multiple is 6: sides of 96, the photograph's border mirrored."""
  method, _, spec = method
  model = ConditionalNAFNet(4, (1,), 1, (1,), patch=3)
  method = dataclasses.replace(method, model=model)
  params = init_params(jax.random.key(0), model)
  params = jax.tree.map(lambda leaf: leaf + 0.05, params)
  image = _photo(101, 203)
  spec = dataclasses.replace(spec, tile=0, pool=15)
  whole = Restorer(method, spec)(params, image)
  padded = np.pad(image, ((0, 91), (0, 85), (0, 0)), mode='symmetric')
  run = jax.jit(whole_sampler(method, spec))
  expected = run(params, jax.random.key(spec.seed), padded[None])[0]
  np.testing.assert_array_equal(whole, np.clip(expected, 0, 1)[:101, :203])

  spec = dataclasses.replace(spec, tile=64, overlap=32, anchor=False)
  restorer, seen = Restorer(method, spec), []
  sampler = restorer._tiled(method.sde.steps)

  def estimate(params, x_t, *others):
    seen.append(x_t.shape)
    return sampler.estimate(params, x_t, *others)

  counting = dataclasses.replace(sampler, estimate=estimate)
  restorer._tiled = lambda first: counting
  tiled = restorer(params, image)
  assert set(seen) == {(1, 96, 96, 3)}
  change = np.abs(whole - image).mean()
  assert tiled.shape == image.shape and change > 0.01
  assert np.abs(tiled - whole).mean() < 0.05 * change


@pytest.mark.parametrize('window', [1, 5, 6, 99])
def test_local_mean_is_the_mean_of_the_pixels_that_exist(window):
  image = np.random.default_rng(0).normal(size=(2, 9, 13, 3))
  found = np.asarray(layers.local_mean(jnp.asarray(image, jnp.float32), window))
  reach = window // 2
  for y, x in ((0, 0), (4, 6), (8, 12), (0, 7)):
    part = image[
      :, max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1
    ]
    np.testing.assert_allclose(
      found[:, y, x], part.mean(axis=(1, 2)), atol=1e-5
    )
  if window == 99:
    np.testing.assert_allclose(
      found, np.broadcast_to(image.mean((1, 2), keepdims=True), image.shape),
      atol=1e-5,
    )  # fmt: skip


def test_a_window_over_everything_is_global_attention(method):
  method, params, spec = method
  image = _photo(32, 32)
  local = Restorer(method, dataclasses.replace(spec, pool=199))(params, image)
  whole = Restorer(method, spec)(params, image)
  np.testing.assert_allclose(local, whole, atol=1e-4)
