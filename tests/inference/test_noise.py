"""Where a denoising model starts: the noise of the photograph."""

from helpers.commands import refused
import jax
import jax.export
import numpy as np
import pytest
import skimage.data

from sel_jax.diffusion import DenoisingSDE
from sel_jax.diffusion import IRSDE
from sel_jax.diffusion import SDESpec
from sel_jax.errors import InputError
from sel_jax.eval_section import EvalSpec
from sel_jax.images import codec
from sel_jax.inference import Enhancer
from sel_jax.inference import export
from sel_jax.inference import noise
from sel_jax.inference.denoising import way_from
from sel_jax.settings import Settings


@pytest.mark.parametrize('sigma', [5, 15, 25, 50, 75])
@pytest.mark.parametrize('name', ['astronaut', 'coffee', 'rocket'])
def test_noise_of_photographs_is_estimated(name, sigma):
  clean = (getattr(skimage.data, name)() / 255).astype(np.float32)
  rng = np.random.default_rng(0)
  noisy = clean + rng.normal(0, sigma / 255, clean.shape).astype(np.float32)
  found = 255 * noise.estimate(noisy)
  assert found == pytest.approx(sigma, rel=0.03, abs=1.6)
  assert 255 * noise.estimate(clean) < 2.2  # of the camera, and of texture


def test_what_is_flat_or_a_ramp_has_no_noise():
  for size in ((1, 1, 3), (1, 9, 3), (4, 9, 3)):
    assert noise.estimate(np.full(size, 0.3, np.float32)) < 1e-6
  ramp = np.arange(60, dtype=np.float32).reshape(1, 60, 1) / 60
  flat = np.broadcast_to(ramp, (40, 60, 3)).astype(np.float32)
  assert noise.estimate(flat) < 1e-6


def test_a_number_is_taken_as_it_is():
  image = np.random.default_rng(0).uniform(size=(8, 8, 3)).astype(np.float32)
  assert noise.of(image, EvalSpec(sigma=51)) == 0.2
  assert noise.of(image, EvalSpec()) == noise.estimate(image) > 0


@pytest.fixture(scope='module')
def method(denoising):
  return Enhancer.from_checkpoint(denoising).method


def test_steps_start_where_the_noise_is(method):
  for grid in ('time', 'log_snr'):
    spec = EvalSpec(steps=5, grid=grid)
    for first in (40, 5, 3):
      _, times = way_from(method, spec, first)
      assert times[0] == first and times[-1] == 0
      assert len(times) == min(5, first) + 1


def test_the_network_sees_the_state_and_nothing_else(method):
  """Another look at the clean image, with other noise, gives no way out."""
  rng = np.random.default_rng(0)
  x, one, two = rng.uniform(size=(3, 1, 8, 8, 3)).astype(np.float32)
  params = jax.tree.map(
    lambda leaf: 0.1 * np.ones(leaf.shape, np.float32),
    jax.eval_shape(lambda: method.model.init(jax.random.key(0), x, x, 3)),
  )['params']
  t = np.full(1, 3, np.int32)
  found = [method.estimate_noise(params, x, mu, t) for mu in (one, two)]
  np.testing.assert_array_equal(*found)
  other = method.estimate_noise(params, one, one, t)
  assert np.abs(other - found[0]).max() > 1e-3


def _changing(denoising, **settings):
  """A model that does something: it was trained for four updates."""
  enhancer = Enhancer.from_checkpoint(denoising, **settings)
  moved = jax.tree.map(lambda leaf: np.asarray(leaf) + 0.05, enhancer.params)
  return enhancer.with_params(moved)


def test_a_photograph_is_restored_from_its_own_noise(denoising):
  enhancer = _changing(denoising, steps=2)
  clean = (skimage.data.coffee()[:64, :96] / 255).astype(np.float32)
  rng = np.random.default_rng(0)
  noisy = [
    np.clip(clean + rng.normal(0, s / 255, clean.shape), 0, 1) for s in (4, 30)
  ]
  noisy = [image.astype(np.float32) for image in noisy]
  for image in noisy:
    own = noise.estimate(image)
    told = enhancer.with_settings(sigma=255 * own)
    np.testing.assert_array_equal(enhancer(image), told(image))
  together = enhancer.many(noisy)
  for image, found in zip(noisy, together, strict=True):
    np.testing.assert_array_equal(found, enhancer(image))
  few, many = (enhancer.with_settings(sigma=s)(noisy[1]) for s in (2, 60))
  assert np.abs(few - many).max() > 1e-3


def test_tiles_start_there_too(denoising):
  enhancer = _changing(denoising, tile=64, overlap=32, steps=1)
  image = np.full((80, 100, 3), 0.5, np.float32)
  image += np.random.default_rng(0).normal(0, 0.1, image.shape)
  image = image.astype(np.float32)
  found = [enhancer.with_settings(sigma=s)(image) for s in (3, 60)]
  assert np.abs(found[0] - found[1]).max() > 5e-5


def test_an_export_is_of_one_noise(denoising, tmp_path):
  enhancer = _changing(denoising)
  path = tmp_path / 'model.stablehlo'
  with pytest.raises(InputError, match='--sigma'):
    export.export(enhancer, path, size=(32, 32))
  told = enhancer.with_settings(sigma=30)
  export.export(told, path, size=(32, 32))
  model = jax.export.deserialize(bytearray(path.read_bytes()))
  image = np.random.default_rng(0).uniform(size=(1, 32, 32, 3))
  image = image.astype(np.float32)
  found = np.asarray(model.call(image, np.uint32(0)))[0]
  np.testing.assert_allclose(found, told(image[0]), atol=1e-4)
  assert np.abs(found - enhancer.with_settings(sigma=3)(image[0])).max() > 1e-4


def test_the_noise_is_a_flag_of_denoising_models(
  run, denoising, trained, tmp_path
):
  photo = tmp_path / 'a.png'
  codec.write_image(photo, np.full((20, 30, 3), 90, np.uint8))
  out = f'--output={tmp_path / "out"}'
  done = run('enhance', photo, f'--checkpoint={denoising}', '--sigma=9', out)
  assert done.returncode == 0, done.stderr
  done = run('enhance', photo, f'--checkpoint={trained}', '--sigma=9', out)
  refused(done, '--sigma=9', 'denoising')


def test_other_models_start_at_the_end_whatever_the_noise():
  with pytest.raises(InputError, match=r'sigma=25.*sde\.name=denoising'):
    Settings().changed({'eval.sigma': 25})


def test_times_of_noise_are_the_nearest():
  sde = DenoisingSDE.create(SDESpec(max_sigma=75, eps=0.04))
  levels = np.asarray(sde.marginal_std)[1:]
  for std in (0.0, 0.01, 0.1, 0.2, 0.5):
    assert levels[sde.first(std) - 1] == levels[np.abs(levels - std).argmin()]
  assert IRSDE.create(SDESpec()).first(25 / 255) == 100
