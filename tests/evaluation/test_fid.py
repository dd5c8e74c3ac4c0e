"""FID with a network of random weights in place of the published ones."""

import numpy as np
import pytest
from scipy import linalg

from sel_jax.errors import InputError
from sel_jax.evaluation import fid


def test_what_is_missing_is_named(tmp_path, monkeypatch):
  monkeypatch.setenv('TORCH_HOME', str(tmp_path))
  with pytest.raises(InputError, match=r'^FID needs .*pytorch-fid'):
    fid.require()


def test_distance_of_normal_samples_by_its_formula():
  rng = np.random.default_rng(0)
  a = rng.normal(size=(50, 3)) @ rng.normal(size=(3, 3))
  b = rng.normal(np.arange(3), size=(40, 3))
  covariances = [np.cov(x, rowvar=False) for x in (a, b)]
  root = linalg.sqrtm(covariances[0] @ covariances[1]).real
  expected = np.sum((a.mean(0) - b.mean(0)) ** 2)
  expected += np.trace(covariances[0] + covariances[1] - 2 * root)
  assert fid.frechet_distance(a, b) == pytest.approx(expected)
  assert fid.frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
  torch = pytest.importorskip('torch', reason='an extra: make test-torch')
  inception = pytest.importorskip('pytorch_fid.inception')
  folder = tmp_path_factory.mktemp('torch')
  (folder / 'hub/checkpoints').mkdir(parents=True)
  torch.manual_seed(0)
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(inception, 'load_state_dict_from_url', lambda *_, **__: {})
    patch.setattr(torch.nn.Module, 'load_state_dict', lambda *_, **__: None)
    network = inception.fid_inception_v3()
  torch.save(network.state_dict(), folder / 'hub/checkpoints' / fid._FILE)
  return folder


@pytest.mark.slow
def test_distance_of_sets(weights, monkeypatch):
  monkeypatch.setenv('TORCH_HOME', str(weights))
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (3, 40, 50, 3), dtype=np.uint8)
  same, other = fid.FrechetDistance(), fid.FrechetDistance()
  assert np.isnan(same.distance())
  for image in images:
    same.add(restored=image, clean=image)
    other.add(restored=image // 3, clean=image)
  assert other.distance() > 1000 * same.distance()
