"""Pairs whose names follow patterns."""

import numpy as np
import pytest

from sel_jax.data import folders
from sel_jax.data import patterns
from sel_jax.data.pairs import PairsSpec
from sel_jax.errors import InputError
from sel_jax.images import codec


def _fill(root, *names):
  for name in names:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    codec.write_image(path, np.zeros((4, 5, 3), np.uint8))


def _found(root, low, clean, split='train', **options):
  pairs = patterns.find_pairs(root, split, low=low, clean=clean, **options)
  if pairs is None:
    return None
  place = lambda path: path.relative_to(root).as_posix()
  return [(p.name, place(p.low), place(p.clean)) for p in pairs]


def test_one_star_is_what_a_pair_has_in_common(tmp_path):
  for n in (10, 9):
    _fill(tmp_path, f'input/{n}_in.png', f'gt/{n}_gt.jpg')
  _fill(tmp_path, 'input/9_mask.png')
  assert _found(tmp_path, 'input/*_in.png', 'gt/*_gt.jpg') == [
    ('9', 'input/9_in.png', 'gt/9_gt.jpg'),
    ('10', 'input/10_in.png', 'gt/10_gt.jpg'),
  ]
  (rest,) = _found(tmp_path, 'input/*_in.png', 'gt/*_gt.jpg', exclude=('9',))
  assert rest[0] == '10'


def test_a_clean_one_may_have_several_exposures(tmp_path):
  _fill(tmp_path, 'low/a_1.png', 'low/a_2.png', 'low/b_1.png')
  _fill(tmp_path, 'clean/a.png', 'clean/b.png')
  found = _found(tmp_path, 'low/{name}_*.png', 'clean/{name}.png')
  assert found == [
    ('a_1', 'low/a_1.png', 'clean/a.png'),
    ('a_2', 'low/a_2.png', 'clean/a.png'),
    ('b_1', 'low/b_1.png', 'clean/b.png'),
  ]


def test_a_name_may_be_a_folder(tmp_path):
  _fill(tmp_path, 'kitchen/dark.png', 'kitchen/light.png')
  found = _found(tmp_path, '{name}/dark.png', '{name}/light.png')
  assert found == [('kitchen', 'kitchen/dark.png', 'kitchen/light.png')]


def test_splits_are_in_the_patterns_or_there_is_train_alone(tmp_path):
  _fill(tmp_path, 'train/a_in.png', 'train/a_gt.png')
  _fill(tmp_path, 'test/b_in.png', 'test/b_gt.png')
  sides = '{split}/*_in.png', '{split}/*_gt.png'
  assert _found(tmp_path, *sides)[0][0] == 'a'
  assert _found(tmp_path, *sides, 'test')[0][0] == 'b'
  assert _found(tmp_path, *sides, 'val') is None
  assert _found(tmp_path, 'train/*_in.png', 'train/*_gt.png', 'test') is None


@pytest.mark.parametrize(
  ('low', 'clean', 'words'),
  [
    ('in/*_*.png', 'gt/*.png', "low='in/._..png': has 2 stars; write {name}"),
    ('in/a.png', 'gt/*.png', 'has 0 stars'),
    ('none/*.png', 'gt/*.png', 'none/{name}.png: matches no image file'),
    (
      'in/*.png',
      'gt/*.png',
      "0 of 2 names pair; low has 'a_in.png', clean has",
    ),
    ('in/*_in.png', 'gt/*_gt.png', "b_in.png' has no partner.*list b in"),
  ],
)
def test_what_does_not_pair_is_named(low, clean, words, tmp_path):
  _fill(tmp_path, 'in/a_in.png', 'in/b_in.png', 'gt/a_gt.png')
  with pytest.raises(InputError, match=words):
    _found(tmp_path, low, clean)


def test_two_clean_ones_of_a_name_are_refused(tmp_path):
  _fill(tmp_path, 'in/a.png', 'gt/a_1.png', 'gt/a_2.png')
  with pytest.raises(InputError, match='a_1.*a_2.*both clean ones of a'):
    _found(tmp_path, 'in/{name}.png', 'gt/{name}_*.png')


def test_a_source_takes_both_patterns_or_none(tmp_path):
  _fill(tmp_path, 'in/a_in.png', 'gt/a_gt.png')
  spec = PairsSpec.create(
    root=str(tmp_path), low='in/*_in.png', clean='gt/*_gt.png'
  )
  (pair,) = spec.open('train')
  assert pair.name == 'a' and spec.open('test') is None
  with pytest.raises(InputError, match="clean='': give both patterns"):
    PairsSpec.create(root=str(tmp_path), low='in/*.png')


def test_other_names_are_told_once_and_the_remedy_is_named(tmp_path):
  for n in range(20):
    _fill(tmp_path, f'train/low/{n}_in.png', f'train/high/{n}_gt.png')
  with pytest.raises(InputError, match="0 of 20 names pair.*'0_in.png'.*--low"):
    folders.find_pairs(tmp_path, 'train')
  _fill(tmp_path, 'train/low/0_gt.png')
  with pytest.raises(
    InputError, match=r'no partner in .* \(and 38 more\); add'
  ):
    folders.find_pairs(tmp_path, 'train')


def test_a_folder_above_the_root_is_seen_through(tmp_path):
  _fill(tmp_path, 'up/LOL/our485/low/1.png', 'up/LOL/our485/high/1.png')
  root, layout = folders.locate(tmp_path / 'up')
  assert (root.name, layout) == ('LOL', 'LOL-v1')
  (pair,) = folders.find_pairs(tmp_path / 'up', 'train')
  assert pair.low.parts[-4:-1] == ('LOL', 'our485', 'low')
  _fill(tmp_path, 'up/mine/train/low/1.png')
  with pytest.raises(InputError, match=r'several data sets.*up/LOL.*up/mine'):
    folders.find_pairs(tmp_path / 'up', 'train')
