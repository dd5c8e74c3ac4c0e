"""Splits, scenes, decoded copies and TFDS records of small data sets."""

import dataclasses
import json
import re
import subprocess
import sys

import cv2
import numpy as np
import pytest
import skimage.data

from sel_jax.commands import command_line
from sel_jax.commands import flags
from sel_jax.data import cache
from sel_jax.data import folders
from sel_jax.data import public
from sel_jax.data import splits
from sel_jax.data import tfds
from sel_jax.data.cache import CacheSpec
from sel_jax.data.pairs import open_pairs
from sel_jax.data.pairs import PairsSpec
from sel_jax.errors import InputError
from sel_jax.images import codec
from sel_jax.settings import Settings

PHOTOGRAPHS = [
  skimage.data.astronaut,
  skimage.data.coffee,
  skimage.data.chelsea,
  skimage.data.rocket,
]


def _view(scene, exposure):
  """A photograph at one of several exposures, with a little noise."""
  image = cv2.resize(PHOTOGRAPHS[scene](), (60, 40)) * exposure
  noise = np.random.default_rng(int(100 * exposure)).normal(0, 2, image.shape)
  return codec.to_uint8((image + noise) / 255)


def write_views(root, views, low='our485/low', high='our485/high'):
  """Pairs named by their position, of (scene, exposure)."""
  for n, (scene, exposure) in enumerate(views, 1):
    clean = _view(scene, exposure)
    for folder, image in ((low, clean // 8), (high, clean)):
      (root / folder).mkdir(parents=True, exist_ok=True)
      codec.write_image(root / folder / f'{n}.png', image)
  return root


@pytest.fixture
def lol_like(tmp_path):
  """Three scenes in train, one of them in test too."""
  views = [(0, 1.0), (0, 0.6), (1, 0.9), (2, 0.5), (2, 0.8), (2, 1.0)]
  write_views(tmp_path, views)
  write_views(tmp_path, [(0, 0.8), (3, 1.0)], 'eval15/low', 'eval15/high')
  return tmp_path


def _names(spec, split):
  return [pair.name for pair in open_pairs(spec, split)]


def test_one_scene_is_recognised_at_every_exposure():
  views = [(s, e) for s in range(4) for e in (0.4, 0.7, 1.0)]
  found = splits.group(splits.describe(_view(*view) for view in views))
  assert found.tolist() == [0] * 3 + [3] * 3 + [6] * 3 + [9] * 3


def test_images_without_contrast_are_scenes_of_their_own():
  flat = [np.full((20, 30, 3), value, np.uint8) for value in (0, 90, 90)]
  assert splits.group(splits.describe(flat)).tolist() == [0, 1, 2]


def test_validation_is_cut_by_whole_scenes(lol_like):
  spec = PairsSpec.create(root=str(lol_like), held_out=2)
  assert _names(spec, 'val') == ['5', '6']
  assert _names(spec, 'train') == ['1', '2', '3']  # 4 shows what 5 and 6 show
  assert _names(spec, 'test') == ['1', '2']
  with pytest.raises(InputError, match=r'6 training pairs of 3 scene.*held_ou'):
    open_pairs(PairsSpec.create(root=str(lol_like), held_out=6), 'val')


def test_scenes_of_the_test_split_can_leave_train(lol_like):
  spec = PairsSpec.create(
    root=str(lol_like), held_out=1, leave_test_scenes=True
  )
  assert _names(spec, 'train') == ['3']
  assert _names(spec, 'val') == ['6']


def test_a_word_says_that_train_has_scenes_of_test(lol_like, caplog):
  spec = PairsSpec.create(root=str(lol_like), held_out=1)
  open_pairs(spec, 'val')
  assert not caplog.records
  open_pairs(spec, 'train')
  open_pairs(spec, 'train')
  (said,) = caplog.records
  words = (
    r'\d of 2 photographs of test show scenes of train, of \d pairs .*test_'
  )
  assert re.search(words, said.getMessage())
  caplog.clear()
  open_pairs(dataclasses.replace(spec, leave_test_scenes=True), 'train')
  assert not caplog.records


def test_a_test_split_that_is_broken_stops_no_training(tmp_path, caplog):
  views = [(0, 1.0), (1, 1.0)]
  write_views(tmp_path, views, 'train/low', 'train/high')
  (tmp_path / 'test/low').mkdir(parents=True)
  spec = PairsSpec.create(root=str(tmp_path), held_out=1)
  assert _names(spec, 'train') == ['1']
  assert not caplog.records


def test_all_is_every_pair_and_nothing_held_out(lol_like):
  spec = PairsSpec.create(
    root=str(lol_like), held_out=2, leave_test_scenes=True
  )
  every = open_pairs(spec, 'all')
  assert [pair.name for pair in every] == [*'123456', '1', '2']
  assert len(every) == len(set(every.marks())) == 8
  first = open_pairs(spec, 'test')[0]
  np.testing.assert_array_equal(every[6].low, first.low)
  with pytest.raises(IndexError):
    every[8]


def test_pairs_to_measure_leave_no_test_scenes_where_there_is_no_test(tmp_path):
  write_views(tmp_path, [(0, 1.0), (1, 1.0)], 'train/low', 'train/high')
  made = command_line.parser('A command.')
  flags.add_report(made)
  made.add_argument('--data')
  args = made.parse_flags([f'--data={tmp_path}', '--split=train'])
  settings = Settings().changed(
    {'data.leave_test_scenes': True, 'data.held_out': 1}
  )
  spec = flags.pairs(args, settings)
  assert not spec.leave_test_scenes and spec.held_out == 1
  assert _names(spec, 'train') == ['1']
  assert settings.data.pairs.leave_test_scenes


def test_a_validation_folder_is_used_as_it_is(tmp_path):
  write_views(tmp_path, [(0, 1.0), (1, 1.0)], 'train/low', 'train/high')
  write_views(tmp_path, [(0, 0.7)], 'val/low', 'val/high')
  spec = PairsSpec.create(root=str(tmp_path))
  assert _names(spec, 'train') == ['1', '2']
  assert _names(spec, 'val') == ['1']
  with pytest.raises(InputError, match="no split 'test'.*--split=all"):
    open_pairs(spec, 'test')


def test_sample_set_has_three_splits_and_repeats_itself():
  spec = PairsSpec.create(source='sample')
  for split in folders.SPLITS:
    pairs = open_pairs(spec, split)
    assert len(pairs) >= 2
    for pair in (pairs[0], pairs[len(pairs) - 1]):
      assert pair.low.dtype == pair.clean.dtype == np.uint8
      assert pair.low.shape == pair.clean.shape
      assert pair.low.mean() < 0.5 * pair.clean.mean()


def test_unknown_sources_and_splits_are_named():
  with pytest.raises(InputError, match="choose .*'photographs', 'sample'"):
    open_pairs(PairsSpec.create(source='web'), 'train')
  with pytest.raises(InputError, match='config.data.root'):
    open_pairs(PairsSpec.create(), 'train')
  with pytest.raises(InputError, match="split 'dev'"):
    open_pairs(PairsSpec.create(source='sample'), 'dev')


def _cache(kind, folder):
  return CacheSpec(kind, cache_dir=str(folder / 'kept'))


def _assert_same(found, pairs):
  assert len(found) == len(pairs)
  for a, b in zip(found, pairs, strict=True):
    assert a.name == b.name
    np.testing.assert_array_equal(a.low, b.low)
    np.testing.assert_array_equal(a.clean, b.clean)
    assert a.low.dtype == b.low.dtype
    assert a.brightness.mean == b.brightness.mean
    np.testing.assert_array_equal(a.brightness.few, b.brightness.few)


def test_every_cache_holds_the_same_photographs(lol_like, tmp_path):
  deep = np.arange(7 * 5 * 3, dtype=np.uint16).reshape(7, 5, 3) * 600
  for side in ('low', 'high'):
    cv2.imwrite(str(lol_like / 'eval15' / side / '3.png'), deep)
  pairs = open_pairs(PairsSpec.create(root=str(lol_like)), 'test')
  assert pairs[2].low.dtype == np.uint16
  for kind in cache.CACHES:
    kept = cache.keep(pairs, _cache(kind, tmp_path))
    _assert_same(kept, pairs)
  before = [p.stat().st_mtime_ns for p in (tmp_path / 'kept').rglob('*')]
  _assert_same(cache.keep(pairs, _cache('disk', tmp_path)), pairs)
  after = [p.stat().st_mtime_ns for p in (tmp_path / 'kept').rglob('*')]
  assert before == after and len(after) == 3
  # A changed file makes another copy.
  codec.write_image(lol_like / 'eval15/low/1.png', np.zeros((40, 60, 3)))
  kept = cache.keep(pairs, _cache('disk', tmp_path))
  assert kept[0].low.max() == 0


@pytest.mark.parametrize('kind', cache.CACHES)
def test_a_broken_file_stops_or_is_left_out(kind, lol_like, tmp_path, caplog):
  broken = lol_like / 'our485/low/2.png'
  broken.write_bytes(broken.read_bytes()[:300])
  spec = PairsSpec.create(root=str(lol_like), held_out=1)
  pairs = open_pairs(spec, 'train')
  options = {'cache_dir': str(tmp_path / 'kept')}
  with pytest.raises(InputError, match=r'2\.png: broken or truncated'):
    list(cache.keep(pairs, CacheSpec(kind, **options)))
  kept = cache.keep(pairs, CacheSpec(kind, skip_broken=True, **options))
  names = [pair.name for pair in kept]
  assert names == (['1', '3', '3'] if kind == 'none' else ['1', '3'])
  assert '2.png: broken or truncated' in caplog.text
  if kind == 'disk':  # nothing half-written is left behind
    assert len(list((tmp_path / 'kept').iterdir())) == 1


def test_a_builder_writes_records_that_read_back(lol_like, tmp_path):
  write_views(lol_like / 'm', [(0, 1.0), (1, 0.8)], 'train/low', 'train/high')
  tfds.prepare(tmp_path / 'tfds', lol_like / 'm', 'low_light_pairs')
  spec = PairsSpec.create(
    source='tfds', root=str(tmp_path / 'tfds'), name='low_light_pairs'
  )
  folder = PairsSpec.create(root=str(lol_like / 'm'), held_out=1)
  short = dataclasses.replace(spec, held_out=1)
  _assert_same(open_pairs(short, 'train'), open_pairs(folder, 'train'))
  assert list((tmp_path / 'tfds').rglob('*.array_record*'))
  other = dataclasses.replace(spec, exclude=('1',), held_out=0)
  assert _names(other, 'train') == ['2']
  with pytest.raises(InputError, match="has no split 'test'"):
    open_pairs(spec, 'test')


def write_as_published(root, name):
  """Pairs of 4x6 pixels in a data set's own layout, names and numbers.

  Returns:
    Split -> [(name, low, clean)], as they should be read back.
  """
  data = public.DATA_SETS[name]
  named = {
    'LOL-v1': ('{}.png', '{}.png', '{}'),
    'LOL-v2': ('low{:05d}.png', 'normal{:05d}.png', '{:05d}'),
    'NTIRE 2024': ('{}.png', '{}.png', '{}'),
  }[data.layout]
  rng = np.random.default_rng(0)
  written = {}
  for split, count in data.counts.items():
    sides = [
      root / data.folder / s for s in folders.LAYOUTS[data.layout][split]
    ]
    for side in sides:
      side.mkdir(parents=True)
    written[split] = []
    for n in range(1, count + 1):
      images = rng.integers(0, 256, (2, 4, 6, 3), dtype=np.uint8)
      for side, form, image in zip(sides, named, images):
        codec.write_image(side / form.format(n), image)
      written[split].append((named[2].format(n), *images))
  return written


# The others have a layout of these, or one that the folders' tests read.
QUICK = ('lol_v2/real', 'ntire2024_low_light')
PUBLISHED = [
  pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
  for name, data in public.DATA_SETS.items()
  if data.counts
]


@pytest.mark.parametrize('name', PUBLISHED)
def test_a_public_set_is_read_back_as_it_was_unpacked(name, tmp_path):
  written = write_as_published(tmp_path / 'unpacked', name)
  builder = tfds.prepare(tmp_path / 'tfds', tmp_path / 'unpacked', name)
  assert set(builder.info.splits) == set(written)
  spec = PairsSpec.create(
    source='tfds', root=str(tmp_path / 'tfds'), name=name, held_out=0
  )
  for split, expected in written.items():
    found = open_pairs(spec, split)
    assert [pair.name for pair in found] == [row[0] for row in expected]
    for pair, (_, low, clean) in zip(found, expected, strict=True):
      np.testing.assert_array_equal(pair.low, low)
      np.testing.assert_array_equal(pair.clean, clean)
  for split in set(folders.SPLITS) - set(written):
    assert tfds.open_split(tmp_path / 'tfds', name, split) is None


@pytest.mark.parametrize(
  ('name', 'lost', 'sentence'),
  [
    (
      'lol_v2/real',
      'Real_captured/Test/Normal/normal00007.png',
      r"Test/Low/low00007\.png' has no partner in .*Test/Normal'.* 00007",
    ),
    (
      'ntire2024_low_light',
      'Input/3.png',
      r"GT/3\.png' has no partner in .*Input'.* 3 ",
    ),
  ],
  ids=['LOL-v2', 'NTIRE 2024'],
)
def test_a_public_set_without_a_partner_is_not_written(
  name, lost, sentence, tmp_path
):
  write_as_published(tmp_path / 'unpacked', name)
  (tmp_path / 'unpacked' / lost).unlink()
  with pytest.raises(InputError, match=sentence):
    tfds.prepare(tmp_path / 'tfds', tmp_path / 'unpacked', name)
  assert not (tmp_path / 'tfds').exists()


def test_what_is_not_the_data_set_is_not_written(lol_like, tmp_path):
  with pytest.raises(InputError, match=r'6 pairs in train, but LOL-v1 has 485'):
    tfds.prepare(tmp_path / 'tfds', lol_like, 'lol_v1')
  with pytest.raises(InputError, match='Real_captured: no such folder'):
    tfds.prepare(tmp_path / 'tfds', lol_like, 'lol_v2/real')
  assert not (tmp_path / 'tfds').exists()
  with pytest.raises(InputError, match='is not prepared there; run python -m'):
    spec = PairsSpec.create(source='tfds', root=str(tmp_path), name='lol_v1')
    open_pairs(spec, 'train')
  with pytest.raises(InputError, match="data set 'mnist': choose one of"):
    public.instructions('mnist')


def test_every_data_set_has_instructions():
  for name, data in public.DATA_SETS.items():
    text = public.instructions(name)
    assert data.url in text and data.licence in text
    for low, clean in folders.LAYOUTS[data.layout].values():
      assert low in text and clean in text


def test_training_from_records_needs_no_tensorflow(lol_like, tmp_path):
  tfds.prepare(tmp_path / 'tfds', lol_like, 'low_light_pairs')
  code = f"""
import sys, json
from sel_jax.data import *
spec = PairsSpec.create(
  source='tfds', root={str(tmp_path / 'tfds')!r}, name='low_light_pairs',
  held_out=1)
data = TrainingData(open_pairs(spec, 'train'), seed=0, augment=AugmentSpec(16),
  loader=LoaderSpec(4))
shapes = [b['low'].shape for _, b in data.batches(0, 2)]
loaded = [m for m in sys.modules if m.split('.')[0] in ('tensorflow', 'torch')]
print(json.dumps([shapes, loaded]))
"""
  done = subprocess.run(
    [sys.executable, '-c', code], capture_output=True, text=True
  )
  assert done.returncode == 0, done.stderr
  shapes, loaded = json.loads(done.stdout)
  assert shapes == [[4, 16, 16, 3]] * 2 and loaded == []


def test_lol_v1_shares_scenes_between_its_splits(lol):
  """The subset with a scene per pair has none; the full set has 14 of 15."""
  test, train = (
    splits.describe(
      folders.read_pair(pair)[1] for pair in folders.find_pairs(lol, split)
    )
    for split in ('test', 'train')
  )
  expected = 14 if len(train) == 485 else 0
  assert splits.shared(test, train).sum() == expected
