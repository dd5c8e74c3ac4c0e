"""A model that is told how bright, from the predictor to the files."""

import dataclasses
import math
import statistics

import hypothesis
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sel_jax import build
from sel_jax.configs import lol
from sel_jax.errors import InputError
from sel_jax.images import codec
from sel_jax.inference import Enhancer
from sel_jax.inference import export
from sel_jax.inference import exposure
from sel_jax.inference import listing
from sel_jax.inference import series
from sel_jax.inference import tone
from sel_jax.inference.exposure import Plausible
from sel_jax.inference.exposure import Predictor
from sel_jax.models import init_params
from sel_jax.settings import Settings

COUNT = len(exposure.features(np.zeros((4, 4, 3), np.float32)))


def _predictor(bias=0.0, noise=0.25):
  zeros = np.zeros(COUNT)
  return Predictor(
    zeros, np.ones(COUNT), zeros, np.zeros((COUNT, COUNT)), bias, noise
  )


def _enhancer(told=True, predictor=None, **changes):
  """A network whose first parameters are drawn: it obeys nothing, but hears."""
  config = lol.get_config('tiny')
  settings = Settings.parse(config, changes={'model.exposure': told, **changes})
  model = build.build_method(settings).model
  params = init_params(jax.random.key(0), model)
  # What the residual branches add is drawn, not zero, so that inputs matter.
  params = jax.tree.map(lambda x: x + 0.05 * (x == 0), params)
  return Enhancer.create(settings, params=params, predictor=predictor)


PHOTO = np.random.default_rng(0).uniform(0, 0.2, (40, 56, 3)).astype('f4')


def test_a_request_reaches_the_network_wherever_it_is_asked():
  enhancer = _enhancer()
  dark, bright = (enhancer(PHOTO, exposure=e) for e in (0.2, 0.8))
  assert np.abs(dark - bright).max() > 1e-4
  untold = enhancer(PHOTO)  # no predictor: it is left to the network
  np.testing.assert_array_equal(untold, enhancer(PHOTO, exposure=math.nan))
  assert np.abs(untold - dark).max() > 1e-4
  together = enhancer.many([PHOTO, PHOTO], exposures=[0.2, 0.8])
  np.testing.assert_array_equal(together[0], dark)
  np.testing.assert_array_equal(together[1], bright)
  samples = enhancer.samples(PHOTO, 2, exposure=0.8)
  np.testing.assert_array_equal(samples[0], bright)
  last = np.clip(enhancer.trajectory(PHOTO, exposure=0.2)[-1], 0, 1)
  alone = enhancer.with_settings(meet=False)(PHOTO, exposure=0.2)
  np.testing.assert_allclose(last, alone, atol=1e-6)
  np.testing.assert_allclose(tone.met(last, 0.2), dark, atol=1e-6)


def test_every_tile_and_the_thumbnail_hear_the_same_request():
  """In tiles a photograph of one colour comes out as in one piece."""
  flat = np.full((96, 160, 3), 0.1, np.float32)
  whole = _enhancer(**{'eval.tile': 0, 'eval.meet': False})
  tiled = whole.with_settings(tile=64, overlap=16)
  for e in (0.2, 0.8):
    expected = whole(flat, exposure=e).mean()
    assert tiled(flat, exposure=e).mean() == pytest.approx(expected, abs=0.02)
  difference = tiled(flat, exposure=0.8) - tiled(flat, exposure=0.2)
  blocks = np.abs(difference).reshape(6, 16, 10, 16, 3).max((1, 3, 4))
  assert blocks.min() > 1e-3  # no tile was left out


def test_automatic_is_the_median_and_stops_are_of_light():
  enhancer = _enhancer(predictor=_predictor(bias=-0.4))
  e = 1 / (1 + math.exp(0.4))
  assert enhancer.exposure(PHOTO) == pytest.approx(e)
  np.testing.assert_array_equal(enhancer(PHOTO), enhancer(PHOTO, exposure=e))
  brighter = enhancer.exposure(PHOTO, ev=1.1)
  assert brighter == pytest.approx(e * math.sqrt(2))
  assert enhancer.exposure(PHOTO, exposure=0.3, ev=-2.2) == pytest.approx(0.15)
  assert enhancer.exposure(PHOTO, exposure=0.9, ev=5) == exposure.LIMITS[1]
  bright = np.full((8, 8, 3), 0.7, np.float32)
  assert enhancer.exposure(bright) == pytest.approx(0.7)  # never darker


def test_what_cannot_be_asked_for_is_refused():
  enhancer = _enhancer()
  for options, words in (
    ({'exposure': 'bright'}, "exposure='bright': give 'auto' or 0 to 1"),
    ({'exposure': 1.5}, 'exposure=1.5: is the mean intensity'),
    ({'ev': 9}, 'ev=9: give -5 to 5 stops'),
    ({'ev': 1}, 'which exposures are plausible; give a number'),
  ):
    with pytest.raises(InputError, match=words):
      enhancer(PHOTO, **options)
  other = _enhancer(told=False)
  for options in ({'exposure': 0.4}, {'ev': 1}):
    with pytest.raises(InputError, match='cannot be told how bright: it was'):
      other(PHOTO, **options)
  with pytest.raises(InputError, match='cannot be told'):
    other.many([PHOTO], exposures=[0.4])


def test_quantiles_are_those_of_a_normal_logit():
  one = Plausible(mean=0.3, deviation=0.5, least=0.1)
  normal = statistics.NormalDist(0.3, 0.5)
  for share in (0.1, 0.5, 0.9):
    z = math.log(one.quantile(share) / (1 - one.quantile(share)))
    assert normal.cdf(z) == pytest.approx(share)
  assert one.spread(3) == [one.quantile(s) for s in (1 / 6, 1 / 2, 5 / 6)]
  assert dataclasses.replace(one, least=0.6).spread(3)[:2] == [0.6, 0.6]


def test_a_series_is_as_bright_as_its_mean_and_no_photograph_darker():
  several = [Plausible(0.0, 0.3, 0.1), Plausible(0.4, 0.4, 0.7)]
  found = exposure.shared(several)
  assert found.mean == pytest.approx(0.2)
  assert found.deviation == pytest.approx(math.sqrt(0.125))
  assert found.quantile(0.5) == pytest.approx(0.7)


def test_a_series_is_read_from_files_and_broken_ones_are_passed_over(tmp_path):
  enhancer = _enhancer(predictor=_predictor(bias=0.2))
  for n in range(2):
    codec.write_image(tmp_path / f'{n}.png', np.full((9, 9, 3), 30, np.uint8))
  (tmp_path / '2.png').write_text('no image')
  jobs = listing.collect([str(tmp_path)], tmp_path / 'out')
  seen = []
  found = series.plausible(enhancer, jobs, on_done=lambda: seen.append(1))
  assert found.mean == pytest.approx(0.2) and len(seen) == 3
  with pytest.raises(InputError, match='none of the photographs can be read'):
    series.plausible(enhancer, jobs[2:])
  with pytest.raises(InputError, match='cannot be told'):
    series.plausible(_enhancer(told=False), jobs)


def test_a_predictor_survives_its_storing():
  rng = np.random.default_rng(0)
  some = Predictor(
    *rng.normal(size=(3, COUNT)), np.eye(COUNT), bias=0.1, noise=0.2
  )
  again = Predictor.from_json(some.to_json())
  assert again(PHOTO) == some(PHOTO)
  with pytest.raises(InputError, match='is of another version of sel_jax'):
    Predictor.from_json({**some.to_json(), 'center': [0.0]})


@pytest.mark.parametrize('kind', [np.uint8, np.uint16])
def test_features_do_not_depend_on_how_samples_are_stored(kind):
  whole = (PHOTO * np.iinfo(kind).max).astype(kind)
  expected = exposure.features(codec.to_float(whole))
  np.testing.assert_allclose(exposure.features(whole), expected, atol=0.03)


def test_an_export_takes_the_request(tmp_path):
  enhancer = _enhancer(**{'eval.saturation': 1.5})
  path = tmp_path / 'model.stablehlo'
  export.stablehlo(enhancer, path, platforms=('cpu',))
  model = jax.export.deserialize(bytearray(path.read_bytes()))
  photo = PHOTO[None, :32, :32]
  for e in (0.3, math.nan):
    asked = np.array([e], np.float32)
    found = jax.jit(model.call)(photo, np.uint32(0), asked)
    expected = enhancer(photo[0], exposure=e)
    np.testing.assert_allclose(found[0], expected, atol=1e-5)


@hypothesis.given(st.integers(0, 99), st.floats(0.1, 0.7), st.floats(0.3, 2))
@hypothesis.settings(deadline=None, max_examples=30)
def test_a_request_is_met_and_order_is_kept(seed, e, power):
  image = np.random.default_rng(seed).random((40, 50, 3)).astype('f4') ** power
  found = tone.met(image, e)
  assert found.dtype == np.float32 and found.min() >= 0 and found.max() <= 1
  assert found.mean() == pytest.approx(e, abs=2e-3)
  order = np.argsort(image, axis=None)
  assert np.diff(found.ravel()[order]).min() > -1e-6
  np.testing.assert_allclose(tone.met(jnp.asarray(image), e), found, atol=1e-5)
  np.testing.assert_array_equal(tone.met(image, np.nan), image)


def test_a_request_out_of_reach_gives_the_nearest():
  image = np.full((8, 8, 3), 0.001, np.float32)
  np.testing.assert_allclose(tone.met(image, 0.9), 0.032 / 1.031, rtol=2e-3)
  image = np.ones((8, 8, 3), np.float32)
  np.testing.assert_allclose(tone.met(image, 0.001), 1 / 32, rtol=2e-3)


def test_results_have_the_mean_that_was_asked_for():
  for enhancer in (
    _enhancer(),
    _enhancer(**{'eval.tile': 64, 'eval.overlap': 16}),
  ):
    photo = np.random.default_rng(0).random((96, 160, 3)).astype('f4')
    for e in (0.3, 0.6):
      found = enhancer(photo, exposure=e).mean()
      assert found == pytest.approx(e, abs=2e-3)


@hypothesis.given(st.integers(0, 99), st.floats(0, 3))
@hypothesis.settings(deadline=None, max_examples=30)
def test_saturation_scales_colours_and_leaves_intensities(seed, saturation):
  image = np.random.default_rng(seed).uniform(0.4, 0.6, (9, 7, 3)).astype('f4')
  found = tone.saturated(image, saturation)
  assert found.dtype == np.float32
  grey = image.mean(-1, keepdims=True)
  np.testing.assert_allclose(found.mean(-1, keepdims=True), grey, atol=1e-6)
  np.testing.assert_allclose(
    found - grey, saturation * (image - grey), atol=1e-6
  )
  again = tone.saturated(jnp.asarray(image), saturation)
  np.testing.assert_allclose(again, found, atol=1e-6)


def test_colours_come_before_the_exposure_wherever_a_photograph_is_restored():
  photo = np.random.default_rng(0).random((96, 160, 3)).astype('f4')
  for tile in 0, 64:
    plain = _enhancer(**{'eval.tile': tile, 'eval.overlap': 16})
    lively = plain.with_settings(saturation=1.7)
    expected = tone.saturated(plain(photo), 1.7)
    np.testing.assert_allclose(lively(photo), expected, atol=1e-6)
    asked = lively(photo, exposure=0.5)
    assert asked.mean() == pytest.approx(0.5, abs=2e-3)
    told = plain.with_settings(meet=False)(photo, exposure=0.5)
    expected = tone.met(tone.saturated(told, 1.7), 0.5)
    np.testing.assert_allclose(asked, expected, atol=1e-6)
