"""Files that cannot be read are all named, before work begins."""

import numpy as np
import pytest

from benchmarks.lib.runs import make_pairs
from sel_jax.data import soundness
from sel_jax.data.pairs import open_pairs
from sel_jax.data.pairs import PairsSpec
from sel_jax.data.sequences import Joined
from sel_jax.data.sequences import Part
from sel_jax.errors import InputError
from sel_jax.images import codec


@pytest.fixture
def root(tmp_path):
  return make_pairs(tmp_path / 'data', count=6, size=(21, 30))


def _cut(path, size):
  path.write_bytes(path.read_bytes()[:size])


def _spoil(root):
  """Four pairs of train: no header, half a file, another size, a text."""
  names = sorted(path.name for path in (root / 'train/low').iterdir())
  _cut(root / 'train/low' / names[0], 20)
  _cut(root / 'train/high' / names[1], 300)
  codec.write_image(root / 'train/high' / names[2], np.zeros((9, 9, 3)))
  (root / 'train/low' / names[3]).write_text('no picture')
  return names


def _opened(root, split='train'):
  return open_pairs(PairsSpec.create(root=str(root), held_out=0), split)


def test_every_header_is_looked_at_and_every_fault_named(root, caplog):
  names = _spoil(root)
  pairs = _opened(root)
  with pytest.raises(InputError, match=rf'^3 of {len(pairs)} pairs cannot'):
    soundness.require(pairs)
  said = [record.message for record in caplog.records]
  assert len(said) == 3
  for text, name in zip(said, [names[0], names[2], names[3]], strict=True):
    assert name in text
  assert 'truncated' in said[0] and 'is 9x9' in said[1]
  assert 'not an image' in said[2]


def test_pixels_are_looked_at_where_they_are_decoded(root, caplog):
  names = _spoil(root)
  pairs = _opened(root)
  index = [mark.count(names[1]) > 0 for mark in pairs.marks()].index(True)
  alone = Part(pairs, np.array([index]))
  soundness.require(alone)
  with pytest.raises(InputError, match=rf'high/{names[1]}: broken'):
    list(soundness.read_all(alone, skip_broken=False))
  with pytest.raises(InputError, match='no photograph of the data set'):
    list(soundness.read_all(alone, skip_broken=True))
  with pytest.raises(InputError, match='no photograph of the data set'):
    soundness.usable(pairs, [index], skip_broken=True)
  assert caplog.text.count('left out') == 2


def test_what_is_sound_is_left_where_the_rest_may_be_left_out(root, caplog):
  _spoil(root)
  pairs = _opened(root)
  every = range(len(pairs))
  found = soundness.usable(pairs, every, skip_broken=True)
  assert len(found) == len(pairs) - 4
  read = list(soundness.read_all(pairs, skip_broken=True))
  assert [pair.name for pair in read] == [pair.name for pair in found]
  assert caplog.text.count('left out') == 8


def test_parts_and_several_splits_know_their_files(root):
  names = _spoil(root)
  pairs = _opened(root)
  joined = Joined([_opened(root, 'val'), pairs])
  for whole in (Part(pairs, np.arange(len(pairs))[::-1]), joined):
    faults = 0
    for index in range(len(whole)):
      try:
        whole.check(index)
      except InputError:
        faults += 1
    assert faults == 3
  soundness.require(joined, indices=range(len(_opened(root, 'val'))))
  soundness.require([pairs[len(names) - 1]])  # decoded ones are sound


@pytest.mark.parametrize('command', ['train', 'evaluate', 'compare'])
def test_commands_name_all_before_they_begin(command, run, root, trained):
  _spoil(root)
  args = {
    'train': [
      '--config=configs/lol.py:tiny',
      f'--config.data.root={root}',
      f'--workdir={root / "run"}',
    ],
    'evaluate': [
      f'--checkpoint={trained}',
      f'--data={root}',
      '--split=train',
      '--metrics=psnr',
    ],
    'compare': [
      f'low={root / "val/low"}',
      f'--data={root}',
      '--split=train',
      '--metrics=psnr',
    ],
  }[command]
  for more in ([], ['--dry-run']):
    done = run(command, *args, *more)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert sum('data/train/' in line for line in lines) == 3
    assert lines[-1].startswith('error: 3 of ')
    assert 'Traceback' not in done.stderr
  assert not (root / 'run').exists()


def test_evaluate_leaves_out_what_is_broken(run, root, trained):
  names = _spoil(root)
  flags = [f'--checkpoint={trained}', f'--data={root}', '--split=train']
  done = run('evaluate', *flags, '--metrics=psnr', '--skip-broken')
  assert done.returncode == 0
  assert done.stderr.count('left out: ') == 4
  for name in names[:4]:
    assert f'\n{name.removesuffix(".png")} ' not in done.stdout
  assert f'images {len(_opened(root)) - 4},' in done.stdout
