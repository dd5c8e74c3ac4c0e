import numpy as np
import pytest
import skimage.data

from sel_jax.data import inspection
from sel_jax.errors import InputError
from sel_jax.images import codec


def _write(root, split, name, low, clean):
  for side, image in (('low', low), ('high', clean)):
    folder = root / split / side
    folder.mkdir(parents=True, exist_ok=True)
    codec.write_image(folder / f'{name}.png', image)


@pytest.fixture
def root(tmp_path):
  """Sound pairs, and one of every kind of fault."""
  coffee, astronaut = skimage.data.coffee(), skimage.data.astronaut()
  views = {
    'plain': coffee[:200, :300],
    'other': coffee[200:400, 300:600],
    'scene': astronaut[:200, :300],
  }
  for name, view in views.items():
    _write(tmp_path, 'train', name, view // 6, view)
  _write(tmp_path, 'train', 'twin', views['plain'] // 9, views['plain'])
  moved = coffee[4:204, 3:303]
  _write(tmp_path, 'train', 'moved', views['plain'] // 6, moved)
  _write(tmp_path, 'train', 'wrong', astronaut[200:400, 200:500], moved)
  _write(tmp_path, 'test', 'leak', views['scene'] // 5, views['scene'] // 2)
  return tmp_path


def _texts(root, kind):
  found = inspection.inspect(root, 'low_light_pairs')
  return [finding.text for finding in found if finding.kind == kind]


def test_sound_files_have_notes_only(root):
  assert _texts(root, 'problem') == []
  notes = _texts(root, 'note')
  assert len(notes) == 5
  assert any('moved are apart by' in text for text in notes)
  assert any('wrong hardly look alike' in text for text in notes)
  assert any('1 low image(s) ' in n and 'moved, plain' in n for n in notes)
  assert any(n.endswith('pair: moved, wrong; plain, twin') for n in notes)
  assert (
    notes[-1] == '1 of 1 photographs of test show scenes of train: leak (scene)'
  )


def test_what_makes_a_set_unusable_is_listed_completely(root):
  (root / 'train/low/other.png').unlink()
  broken = root / 'train/high/plain.png'
  broken.write_bytes(broken.read_bytes()[:100])
  codec.write_image(root / 'test/low/leak.png', np.zeros((9, 9, 3)))
  problems = _texts(root, 'problem')
  assert len(problems) == 3
  for part in ('other.png: has no partner', 'plain.png: broken', 'is 9x9 but'):
    assert any(part in text for text in problems), part


def test_counts_of_a_public_set_are_checked(root):
  (root / 'train').rename(root / 'our485')
  (root / 'test').rename(root / 'eval15')
  found = inspection.inspect(root, 'lol_v1')
  assert inspection.counts(root, 'lol_v1') == {'train': 6, 'test': 1}
  (root / 'our485/low/plain.png').unlink()
  assert inspection.counts(root, 'lol_v1') == {'train': 5, 'test': 1}
  assert [f.text.split(': ')[1] for f in found if f.kind == 'problem'] == [
    '6 images, but LOL-v1 has 485',
    '1 images, but LOL-v1 has 15',
  ]
  with pytest.raises(InputError, match='none of the known layouts'):
    inspection.inspect(root / 'our485', 'lol_v1')


@pytest.mark.parametrize('shift', [(0, 0), (3, -2), (-1, 5)])
def test_a_shift_is_measured(shift):
  image = skimage.data.coffee()
  x, y = shift
  low = image[50:250, 50:350] // 4
  clean = image[50 - y : 250 - y, 50 - x : 350 - x]
  found, likeness = inspection.alignment(low=low, clean=clean)
  np.testing.assert_allclose(found, shift, atol=0.2)
  assert likeness > 0.3
