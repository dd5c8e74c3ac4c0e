"""The archive for a challenge's server."""

import zipfile

from helpers.commands import refused
import numpy as np
import pytest

from sel_jax.images import codec


@pytest.fixture
def folder(tmp_path):
  for n in (3, 12):
    path = tmp_path / 'Input' / f'{n}.png'
    path.parent.mkdir(exist_ok=True)
    codec.write_image(path, np.full((20, 31, 3), n, np.uint8))
  return tmp_path / 'Input'


def _args(folder, trained, *more):
  output = folder.parent / 'out'
  archive = folder.parent / 'sent.zip'
  return (
    'enhance', folder, f'--checkpoint={trained}', f'--output={output}',
    f'--submission={archive}', *more,
  )  # fmt: skip


def _readme(path):
  with zipfile.ZipFile(path) as archive:
    lines = archive.read('readme.txt').decode().splitlines()
  return dict(line.split(' : ') for line in lines)


def test_results_and_readme_are_packed(run, trained, folder):
  done = run(*_args(folder, trained))
  assert done.returncode == 0, done.stderr
  assert '2 result(s) packed' in done.stdout
  path = folder.parent / 'sent.zip'
  with zipfile.ZipFile(path) as archive:
    assert sorted(archive.namelist()) == ['12.png', '3.png', 'readme.txt']
    for name in ('3.png', '12.png'):
      own = (folder.parent / 'out' / name).read_bytes()
      assert archive.read(name) == own
  said = _readme(path)
  assert 0 < float(said['runtime per image [s]']) < 60
  assert said['CPU[1] / GPU[0]'] == '1'
  assert said['Extra Data [1] / No Extra Data [0]'] == '1'
  assert 'tiny (nafnet' in said['Other description']
  assert str(trained) not in said['Other description']
  # What is there already is packed as well; nothing was timed.
  done = run(*_args(folder, trained))
  assert done.returncode == 0 and _readme(path).keys() == said.keys()
  assert _readme(path)['runtime per image [s]'] == 'not measured'


def test_nothing_is_packed_where_a_photograph_failed(run, trained, folder):
  (folder / '4.png').write_text('no picture')
  done = run(*_args(folder, trained))
  assert done.returncode == 2 and not (folder.parent / 'sent.zip').exists()


@pytest.mark.parametrize(
  ('flag', 'words'),
  [
    ('--submission=sent.tar', 'ends in .zip'),
    ('--submission=/dev/null/sent.zip', '/dev/null'),
    ('--samples=2', 'one result of each'),
  ],
)
def test_what_cannot_be_packed_is_refused_first(
  run, trained, folder, flag, words
):
  refused(run(*_args(folder, trained, flag)), words)
  assert not (folder.parent / 'out').exists()


def test_two_results_of_one_name_are_not_packed(run, trained, folder):
  (folder / 'more').mkdir()
  codec.write_image(folder / 'more' / '3.png', np.zeros((9, 9, 3), np.uint8))
  refused(run(*_args(folder, trained, '--recursive')), '3.png', 'one name')
  assert not (folder.parent / 'sent.zip').exists()
