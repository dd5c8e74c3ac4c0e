"""Scenes that splits and data sets have in common."""

from helpers.commands import refused
import numpy as np
import pytest
import skimage.data

from sel_jax.data import inspection
from sel_jax.data import overlap
from sel_jax.errors import InputError
from sel_jax.images import codec


def _write(root, split, name, clean):
  for side, image in (('low', clean // 6), ('high', clean)):
    folder = root / split / side
    folder.mkdir(parents=True, exist_ok=True)
    codec.write_image(folder / f'{name}.png', image)


@pytest.fixture(scope='module')
def roots(tmp_path_factory):
  """Two sets: of the second's test, one picture and one scene are known."""
  coffee, astronaut = skimage.data.coffee(), skimage.data.astronaut()
  views = [coffee[:200, :300], coffee[200:400, 300:600], astronaut[:200, :300]]
  new = astronaut[250:450, 200:500]
  first, second = (tmp_path_factory.mktemp(name) for name in ('one', 'two'))
  for n, view in enumerate(views):
    _write(first, 'train', str(n), view)
  _write(first, 'test', 'new', new)
  _write(second, 'train', 'own', skimage.data.rocket()[:200, :300])
  _write(second, 'test', 'a', views[0])  # the same picture
  _write(second, 'test', 'b', views[2] // 2)  # the same scene, darker
  _write(second, 'test', 'c', skimage.data.chelsea()[:200, :300])
  return first, second


def test_scenes_and_pictures_that_are_shared_are_counted(roots):
  parts = [part for root in roots for part in overlap.look(root)]
  assert [part.split for part in parts] == ['train', 'test'] * 2
  (found,) = overlap.overlaps(parts)
  assert found.first.label == f'{roots[0]} train'
  assert found.scenes == {'a': ['0'], 'b': ['2']} and found.pictures == 1
  assert str(found) == (
    f'2 of 3 photographs of {roots[1]} test show scenes of {roots[0]} train, 1 '
    'are the same picture: a (0); b (2)'
  )


def test_long_lists_end(roots):
  part = overlap.look(roots[0])[0]
  names = {str(n): ['0'] for n in range(30)}
  text = str(overlap.Shared(part, part, names, 0))
  assert text.endswith('19 (0) and 10 more')


def test_what_may_be_compared_is_said(roots):
  parts = [part for root in roots for part in overlap.look(root)]
  first, second = roots
  assert list(overlap.advice(parts)) == [
    f'{first} test is new to what was trained on {first} train, {second} train',
    f'{second} test is new to what was trained on {second} train',
    f'{second} test is not new to what was trained on {first} train (2 of 3): '
    'say so beside such figures, and compare them with their like alone',
  ]


def test_a_check_compares_with_other_sets(roots):
  first, second = roots
  found = inspection.inspect(second, 'low_light_pairs', against=[first])
  notes = [finding.text for finding in found if finding.kind == 'note']
  assert any(
    n.startswith(f'2 of 3 photographs of test show scenes of {first}')
    for n in notes
  )
  assert 'test is new to what was trained on train' in notes
  alone = inspection.inspect(second, 'low_light_pairs')
  assert not any('new to' in finding.text for finding in alone)


def test_the_command_says_it(run, roots):
  first, second = roots
  flags = ('--dataset=low_light_pairs', f'--manual-dir={second}')
  done = run('prepare_data', *flags, '--check', f'--against={first}')
  assert done.returncode == 0
  assert '1 are the same picture' in done.stdout
  refused(run('prepare_data', *flags, f'--against={first}'), 'give it too')


def test_a_set_that_cannot_be_looked_at_is_named(roots, tmp_path):
  with pytest.raises(InputError, match='none of the known layouts'):
    overlap.look(tmp_path)
  _write(tmp_path, 'train', 'a', np.zeros((40, 40, 3), np.uint8))
  (tmp_path / 'train/high/a.png').write_bytes(b'')
  with pytest.raises(InputError, match=r'a\.png'):
    overlap.look(tmp_path)
