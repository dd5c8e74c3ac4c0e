"""Low photographs that are clean ones with Gaussian noise."""

import json

import cv2
import numpy as np
import pytest

from sel_jax.data.noise import Noisy
from sel_jax.data.pairs import open_pairs
from sel_jax.data.pairs import PairsSpec
from sel_jax.errors import InputError
from sel_jax.images import codec


@pytest.fixture
def folder(tmp_path):
  rng = np.random.default_rng(0)
  (tmp_path / 'clean').mkdir()
  for n in range(6):
    coarse = rng.integers(90, 165, (4, 5, 3), dtype=np.uint8)
    image = np.kron(coarse, np.ones((16, 16, 1), np.uint8))
    codec.write_image(tmp_path / 'clean' / f'{n}.png', image)
  return tmp_path / 'clean'


def _open(folder, noise, split='train', **keys):
  spec = PairsSpec.create(
    source='photographs', root=str(folder), noise=noise, held_out=2, **keys
  )
  return open_pairs(spec, split)


def test_noise_has_the_deviation_and_is_the_photographs_own(folder):
  pairs = _open(folder, (20,))
  assert [pair.name for pair in pairs] == ['0', '1', '2', '3']
  lows = []
  for pair in pairs:
    assert pair.low.dtype == np.uint8
    difference = pair.low.astype(float) - pair.clean
    assert difference.std() == pytest.approx(20, rel=0.03)
    assert abs(difference.mean()) < 0.5
    lows.append(difference)
  assert np.abs(np.corrcoef([d.ravel() for d in lows]) - np.eye(4)).max() < 0.1
  np.testing.assert_array_equal(pairs[1].low, pairs[1].low)
  np.testing.assert_array_equal(pairs[1].low, _open(folder, (20,))[1].low)


def test_each_photograph_has_its_own_of_a_range(folder):
  pairs = _open(folder, (5, 40), 'all')
  found = [(pair.low.astype(float) - pair.clean).std() for pair in pairs]
  assert len(found) == 6 and 4 < min(found) < 15 < 25 < max(found) < 41


def test_deep_photographs_stay_deep(tmp_path):
  (tmp_path / 'a').mkdir()
  image = np.full((40, 40, 3), 30_000, np.uint16)
  cv2.imwrite(str(tmp_path / 'a' / 'x.png'), image)
  (pair,) = _open(tmp_path / 'a', (10,), 'all')
  assert pair.low.dtype == np.uint16
  assert (pair.low / 257.0).std() == pytest.approx(10, rel=0.05)


def test_splits_of_photographs_are_folders_or_cut_from_one(folder, tmp_path):
  assert [pair.name for pair in _open(folder, (9,), 'val')] == ['4', '5']
  with pytest.raises(InputError, match="no split 'test'"):
    _open(folder, (9,), 'test')
  assert len(_open(folder, (9,), exclude=('0', '2'))) == 2
  for split, name in (('train', 'a'), ('test', 'b')):
    (tmp_path / 'both' / split).mkdir(parents=True)
    path = tmp_path / 'both' / split / f'{name}.png'
    codec.write_image(path, np.zeros((9, 9, 3)))
  assert [p.name for p in _open(tmp_path / 'both', (9,), 'test')] == ['b']
  with pytest.raises(InputError, match='no such folder'):
    _open(tmp_path / 'none', (9,))


def test_marks_change_with_the_noise(folder):
  first, second = (_open(folder, noise).marks() for noise in ((5,), (5, 6)))
  assert len({*first, *second}) == 8


@pytest.mark.parametrize('noise', [(3, 2), (1, 2, 3)])
def test_a_range_has_two_ends(folder, noise):
  with pytest.raises(InputError, match='noise=.*the smaller one first'):
    _open(folder, noise)


def test_clean_photographs_alone_need_noise(folder):
  with pytest.raises(InputError, match=r'config\.data\.noise'):
    PairsSpec.create(source='photographs', root=str(folder))
  from sel_jax.data.photographs import Photographs

  with pytest.raises(InputError, match='clean photographs'):
    Noisy(Photographs(folder), (5,))


@pytest.mark.parametrize('single', [False, True])
def test_a_model_is_measured_on_noise_of_any_deviation(
  run, denoising, folder, pairs, tmp_path, single
):
  figures = {}
  for noise in (0, 5, 50):
    out = tmp_path / f'{noise}.json'
    data = folder if single else pairs
    done = run(
      'evaluate', f'--checkpoint={denoising}', f'--data={data}',
      f'--noise={noise}', '--metrics=psnr', f'--json={out}',
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (entry,) = json.loads(out.read_text())['entries']
    assert len(entry['images']) == (6 if single else 3)
    figures[noise] = entry['summary']['psnr']['mean']
  assert figures[5] > figures[50] + 5
