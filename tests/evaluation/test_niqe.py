import math

import numpy as np
import pytest
from scipy import ndimage
import skimage.data

from sel_jax.evaluation.niqe import niqe


@pytest.fixture(scope='module')
def coffee():
  return skimage.data.coffee()


def test_niqe_matches_the_release(coffee):
  """BasicSR's port, which reproduces the authors' MATLAB, gives 4.115329."""
  assert niqe(coffee) == pytest.approx(4.115329, abs=2e-5)


def test_noise_blur_and_darkness_are_less_natural(coffee):
  rng = np.random.default_rng(0)
  noisy = np.clip(coffee + rng.normal(0, 40, coffee.shape), 0, 255)
  blurred = ndimage.gaussian_filter(coffee, (3, 3, 0))
  for worse in (noisy.astype(np.uint8), blurred, coffee // 25):
    assert niqe(worse) > niqe(coffee) + 0.5


def test_too_small_or_plain_has_no_figure(coffee):
  assert math.isnan(niqe(coffee[:100, :191]))
  # Two blocks of 96 are enough, and what is beyond them is not looked at.
  assert niqe(coffee[:192, :96]) == niqe(coffee[:287, :191])
  assert math.isnan(niqe(np.zeros((200, 200, 3), np.uint8)))


def test_a_plain_part_does_not_spoil_the_rest(coffee):
  half = coffee.copy()
  half[:, :200] = 0
  assert niqe(half) < 12
