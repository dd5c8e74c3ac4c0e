"""The predictor of exposures, from pairs to checkpoints and back."""

import dataclasses

import jax
import numpy as np
import pytest

from sel_jax import build
from sel_jax.configs import lol
from sel_jax.data import AugmentSpec
from sel_jax.data.pairs import Pair
from sel_jax.inference import Enhancer
from sel_jax.inference import stored
from sel_jax.settings import Settings
from sel_jax.training import exposures
from sel_jax.training import train
from sel_jax.training.validation import Validation

TOLD = Settings.parse(
  lol.get_config('tiny'),
  changes={
    'model.exposure': True,
    'data.source': 'sample',
    'data.cameras': 0.5,
    'train.loggers': (),
  },
)


def _pairs(count, seed=0):
  """Photographs whose contrast tells how bright they were."""
  rng = np.random.default_rng(seed)
  pairs = []
  for n in range(count):
    e = rng.uniform(0.25, 0.65)
    spread = 0.6 * min(e, 1 - e)
    noise = rng.uniform(-1, 1, (24, 32, 3))
    clean = e + spread * noise
    low = 0.08 + 0.06 * (e - 0.25) * noise + rng.normal(0, 0.002, noise.shape)
    pair = [np.rint(255 * np.clip(x, 0, 1)).astype('u1') for x in (low, clean)]
    pairs.append(Pair(str(n), *pair))
  return pairs


def test_what_the_low_image_tells_is_learned_and_the_rest_is_spread():
  predictor = exposures.fit(_pairs(200), AugmentSpec())
  found = exposures.calibration(predictor, _pairs(200, seed=1))
  assert found.r2 > 0.8 and found.error < 0.06
  assert found.coverage == pytest.approx((0.5, 0.8, 0.95), abs=0.12)


def test_where_nothing_is_told_the_intervals_are_as_wide_as_the_exposures():
  pairs = _pairs(300)
  e = np.random.default_rng(2).permutation([p.clean for p in pairs])
  mixed = [Pair(p.name, p.low, clean) for p, clean in zip(pairs, e)]
  predictor = exposures.fit(mixed[:200], AugmentSpec())
  found = exposures.calibration(predictor, mixed[200:])
  assert found.r2 < 0.1
  assert found.coverage == pytest.approx((0.5, 0.8, 0.95), abs=0.12)


def test_it_is_the_same_whenever_it_is_asked():
  spec = AugmentSpec(relight=0.5, cameras=0.5)
  first, again = (exposures.fit(_pairs(10), spec) for _ in range(2))
  assert first.to_json() == again.to_json()
  plain = exposures.fit(_pairs(10), AugmentSpec())
  assert first.to_json() != plain.to_json()
  assert exposures.fit(_pairs(7), AugmentSpec()) is None


def test_a_run_keeps_it_and_whoever_loads_the_run_has_it(tmp_path):
  state = train(TOLD, tmp_path)
  found = stored.load(tmp_path)
  expected = exposures.fit(
    build.training_data(TOLD).pairs, TOLD.data.augment
  ).to_json()
  assert found.exposure.to_json() == expected
  assert exposures.stored(tmp_path).to_json() == expected
  enhancer = Enhancer.from_checkpoint(tmp_path)
  photo = np.full((16, 16, 3), 0.05, np.float32)
  assert 0.05 < enhancer.exposure(photo) < 0.98
  longer = TOLD.changed({'train.steps': 6, 'train.eval_every': 6})
  again = train(longer, tmp_path, allow_change=True)
  assert int(again.step) == 6 > int(state.step)
  assert exposures.stored(tmp_path).to_json() == expected


def test_validation_ranks_by_the_exposure_given():
  params = jax.device_get(_params())
  validate = Validation(TOLD)
  means, _ = validate(params)
  assert validate.score(means) == means['psnr_given'] != means['psnr']
  plain = Validation(TOLD.changed({'model.exposure': False}))
  assert 'psnr_given' not in plain(_params(told=False))[0]
  by_name = Validation(TOLD.changed({'train.best': 'psnr_gt_mean'}))
  means, _ = by_name(params)
  assert by_name.score(means) == means['psnr_gt_mean']


def _params(told=True):
  from sel_jax.models import init_params

  model = TOLD.changed({'model.exposure': told}).model.network
  params = init_params(jax.random.key(0), model)
  return jax.tree.map(lambda x: x + np.float32(0.05) * (x == 0), params)


def test_dataclass_of_calibration_says_three_figures():
  names = [f.name for f in dataclasses.fields(exposures.Calibration)]
  assert names == ['r2', 'error', 'coverage']
