import numpy as np
import pytest

from sel_jax.data import folders
from sel_jax.errors import InputError
from sel_jax.images import codec


def fill(folder, names, size=(20, 24)):
  folder.mkdir(parents=True, exist_ok=True)
  for n, name in enumerate(names):
    codec.write_image(folder / name, np.full((*size, 3), n, np.uint8))


def fill_pairs(root, low, high, names, **options):
  fill(root / low, names, **options)
  fill(root / high, names, **options)


def _names(pairs):
  return [pair.name for pair in pairs]


def test_plain_layout(tmp_path):
  for split in folders.SPLITS:
    fill_pairs(tmp_path, f'{split}/low', f'{split}/high', ['10.png', '9.png'])
  for split in folders.SPLITS:
    assert _names(folders.find_pairs(tmp_path, split)) == ['9', '10']


def test_lol_v1_layout_has_no_validation_split(tmp_path):
  fill_pairs(tmp_path, 'our485/low', 'our485/high', ['2.png', '10.png'])
  fill_pairs(tmp_path, 'eval15/low', 'eval15/high', ['a.png'])
  assert _names(folders.find_pairs(tmp_path, 'train')) == ['2', '10']
  assert _names(folders.find_pairs(tmp_path, 'test')) == ['a']
  assert folders.find_pairs(tmp_path, 'val') is None


def test_lol_v2_layout_pairs_by_number(tmp_path):
  for split in ('Train', 'Test'):
    fill(tmp_path / split / 'Low', ['low00001.png', 'low00002.png'])
    fill(tmp_path / split / 'Normal', ['normal00001.png', 'normal00002.png'])
  pairs = folders.find_pairs(tmp_path, 'test')
  assert _names(pairs) == ['00001', '00002']
  assert pairs[0].clean.name == 'normal00001.png'


def test_endings_may_differ_within_a_pair(tmp_path):
  fill(tmp_path / 'test/low', ['a.jpg'])
  fill(tmp_path / 'test/high', ['a.PNG'])
  assert len(folders.find_pairs(tmp_path, 'test')) == 1


@pytest.mark.parametrize('side', ['low', 'high'])
def test_a_missing_partner_is_named_and_can_be_excluded(tmp_path, side):
  fill_pairs(tmp_path, 'test/low', 'test/high', ['11.png'])
  fill(tmp_path / 'test' / side, ['12.png'])
  with pytest.raises(InputError, match=rf'{side}/12\.png.*list 12 in'):
    folders.find_pairs(tmp_path, 'test')
  assert _names(folders.find_pairs(tmp_path, 'test', exclude=['12'])) == ['11']


def test_missing_and_empty_folders_are_named(tmp_path):
  with pytest.raises(InputError, match='nowhere.*data.root'):
    folders.find_pairs(tmp_path / 'nowhere', 'test')
  with pytest.raises(InputError, match='none of the known layouts'):
    folders.find_pairs(tmp_path, 'test')
  (tmp_path / 'test' / 'low').mkdir(parents=True)
  with pytest.raises(InputError, match='high.*no such folder'):
    folders.find_pairs(tmp_path, 'test')
  (tmp_path / 'test' / 'high').mkdir()
  with pytest.raises(InputError, match='low.*no image files'):
    folders.find_pairs(tmp_path, 'test')
  with pytest.raises(InputError, match="split 'dev'"):
    folders.find_pairs(tmp_path, 'dev')


def test_unequal_sizes_are_named_with_both_paths(tmp_path):
  fill(tmp_path / 'test/low', ['a.png'], size=(20, 24))
  fill(tmp_path / 'test/high', ['a.png'], size=(20, 25))
  (pair,) = folders.find_pairs(tmp_path, 'test')
  with pytest.raises(InputError, match=r"low/a.png' is 24x20.*25x20"):
    folders.read_pair(pair)


def test_two_files_of_one_name_are_refused(tmp_path):
  fill_pairs(tmp_path, 'test/low', 'test/high', ['a.png'])
  fill(tmp_path / 'test/low', ['a.jpg'])
  with pytest.raises(InputError, match='have one name'):
    folders.find_pairs(tmp_path, 'test')


def test_real_pairs(lol):
  # All of LOL-v1, or the subset with a scene per pair.
  assert len(folders.find_pairs(lol, 'train')) in (485, 120)
  assert len(folders.find_pairs(lol, 'test')) == 15
  low, clean = folders.read_pair(folders.find_pairs(lol, 'test')[0])
  assert low.shape == clean.shape == (400, 600, 3)
