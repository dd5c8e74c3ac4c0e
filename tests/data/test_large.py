"""Photographs of many megapixels: nothing whole is read that is not needed."""

import threading
import time

import cv2
import numpy as np
import pytest

from benchmarks.lib.runs import make_pairs
from sel_jax import build
from sel_jax.configs import sample
from sel_jax.data import cache
from sel_jax.data import pipeline
from sel_jax.data import scenes
from sel_jax.data import soundness
from sel_jax.data import splits
from sel_jax.data.augment import AugmentSpec
from sel_jax.data.cache import CacheSpec
from sel_jax.data.pairs import open_pairs
from sel_jax.data.pairs import PairsSpec
from sel_jax.data.sequences import Brightness
from sel_jax.errors import InputError
from sel_jax.settings import Settings


@pytest.fixture
def root(tmp_path):
  return make_pairs(tmp_path / 'data', count=5, size=(30, 44))


def _kept(root, kind, split='train'):
  pairs = open_pairs(PairsSpec.create(root=str(root), held_out=2), split)
  return cache.keep(pairs, CacheSpec(kind, cache_dir=str(root / 'kept')))


def test_few_are_decoded_ahead_of_a_slow_reader():
  """Else a disk slower than four decoders fills the memory."""
  begun, most, lock = [0], [0], threading.Lock()

  def call(index):
    with lock:
      begun[0] += 1
    return index

  found = []
  for index in soundness.tried(call, range(40)):
    time.sleep(0.002)
    with lock:
      most[0] = max(most[0], begun[0] - len(found))
    found.append(index)
  assert found == list(range(40))
  assert 2 <= most[0] <= soundness._AT_ONCE + 1


@pytest.mark.parametrize('told', ['photograph', 'crop'])
def test_batches_are_the_same_whatever_keeps_the_photographs(root, told):
  augment = AugmentSpec(8, reexpose=0.5, exposure=told)
  batches = []
  for kind in cache.CACHES:
    data = pipeline.TrainingData(_kept(root, kind), seed=3, augment=augment)
    batches.append([data.batch(step) for step in range(4)])
  for other in batches[1:]:
    for one, two in zip(batches[0], other, strict=True):
      for key in one:
        np.testing.assert_array_equal(one[key], two[key], key)


def test_a_disks_cache_tells_the_brightness_without_the_photograph(root):
  folder = _kept(root, 'disk')._folder
  pairs = cache.DiskPairs(folder)
  for entry in pairs._index:  # whoever read pixels there would fail
    entry['low'][0] = entry['target'][0] = 10**9
  known = [cache.DiskPairs(folder)[n].brightness for n in range(len(pairs))]
  again = [cache.DiskPairs(folder)[n].clean for n in range(len(pairs))]
  for found, clean in zip(known, again, strict=True):
    own = Brightness.of(clean)
    assert found.mean == own.mean == pytest.approx(clean.mean() / 255, abs=1e-6)
    np.testing.assert_array_equal(found.few, own.few)


def test_brightness_takes_few_rows_and_columns_of_a_large_photograph():
  ramp = np.linspace(0, 60_000, 2000 * 3000).reshape(2000, 3000, 1)
  found = Brightness.of(ramp.repeat(3, 2).astype(np.uint16))
  assert found.few.shape == (87, 131, 3) and found.few.dtype == np.uint16
  assert found.mean == pytest.approx(30_000 / 65_535, abs=1e-3)


@pytest.mark.parametrize('kind', cache.CACHES)
def test_validation_is_kept_as_training_is(root, kind):
  config = sample.get_config()
  config.data.update(
    source='folder', root=str(root), held_out=2, cache=kind,
    cache_dir=str(root / 'kept'),
  )  # fmt: skip
  settings = Settings.parse(config)
  pairs = build.validation_pairs(settings)
  assert isinstance(pairs, list) == (kind == 'memory')
  assert isinstance(pairs, cache.DiskPairs) == (kind == 'disk')
  names = [pairs[n].name for n in range(len(pairs))]
  assert names == [pair.name for pair in _kept(root, 'memory', 'val')]
  # What is broken is left out; no other one is shown twice in its place.
  (broken,) = (root / 'val' / 'low').glob(f'{names[0]}.*')
  broken.write_bytes(broken.read_bytes()[:300])
  leave = settings.changed({'data.skip_broken': True})
  pairs = build.validation_pairs(leave)
  assert [pairs[n].name for n in range(len(pairs))] == names[1:]
  if kind != 'none':
    with pytest.raises(InputError, match=broken.name):
      build.validation_pairs(settings)


@pytest.fixture
def home(tmp_path, monkeypatch):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'home'))
  monkeypatch.setattr(scenes, '_LONG', 0.0)
  return tmp_path / 'home' / 'sel_jax' / 'scenes'


def test_scenes_are_described_once(root, home, monkeypatch):
  pairs = open_pairs(PairsSpec.create(root=str(root), held_out=0), 'train')
  first = scenes.describe(pairs)
  expected = np.stack([splits.descriptor(pair.clean) for pair in pairs])
  np.testing.assert_array_equal(first, expected)
  (kept,) = home.iterdir()
  with monkeypatch.context() as patch:
    patch.setattr(splits, 'descriptor', None)
    np.testing.assert_array_equal(scenes.describe(pairs), first)
  for content in (b'', b'\x93NUMPY', kept.read_bytes()[:-7]):
    kept.write_bytes(content)
    np.testing.assert_array_equal(scenes.describe(pairs), first)
  # Another file, another description.
  path = next((root / 'train' / 'high').iterdir())
  cv2.imwrite(str(path), np.eye(30, 44)[..., None].repeat(3, 2) * 255)
  assert np.abs(scenes.describe(pairs) - first).max() > 0.01
  assert len(list(home.iterdir())) == 2


def test_scenes_of_broken_files_are_not_kept(root, home):
  path = next((root / 'train' / 'high').iterdir())
  path.write_bytes(path.read_bytes()[:100])
  pairs = open_pairs(PairsSpec.create(root=str(root), held_out=0), 'train')
  found = scenes.describe(pairs)
  assert (found == 0).all(1).sum() == 1 and not home.exists()


def test_scenes_are_described_where_nothing_can_be_kept(root, home):
  pairs = open_pairs(PairsSpec.create(root=str(root), held_out=0), 'train')
  home.parent.parent.mkdir()
  home.parent.write_text('no folder')
  assert len(scenes.describe(pairs)) == len(pairs)
