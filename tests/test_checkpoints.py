import contextlib
import shutil
import subprocess

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from sel_jax.checkpoints import Checkpoints
from sel_jax.errors import DamagedCheckpointError
from sel_jax.errors import InputError
from sel_jax.training.state import TrainState
from sel_jax.training.store import train_item

CONFIG = {'model': {'width': 4}, 'list': [1, 2.5, 'three', None]}


def _state(step, seed=0, side=64):
  rng = np.random.default_rng(seed)
  params = {
    'a': rng.normal(size=(side, side)).astype(np.float32),
    'b': {'c': np.float32(rng.normal(size=3))},
  }
  state = TrainState.create(params, optax.adamw(1e-3))
  return jax.device_get(state.replace(step=jnp.asarray(step, jnp.int32)))


def _save(checkpoints, step, metrics=None, **options):
  state = _state(step, seed=step, **options)
  checkpoints.save(step, train_item(state), state.ema, CONFIG, metrics=metrics)
  return state


def _like(**options):
  state = _state(0, **options)
  return {'train': train_item(state), 'ema': state.ema}


def _assert_equal(a, b):
  assert jax.tree.structure(a) == jax.tree.structure(b)
  jax.tree.map(np.testing.assert_array_equal, a, b)


def test_what_was_saved_comes_back(tmp_path):
  checkpoints = Checkpoints(tmp_path)
  state = _save(checkpoints, 3)
  checkpoints.close()
  reader = Checkpoints.open(tmp_path)
  step, items, meta = reader.restore_latest(**_like())
  reader.close()
  assert step == 3 and meta['config'] == CONFIG
  _assert_equal(items, {'train': train_item(state), 'ema': state.ema})


def test_the_last_and_the_best_are_kept(tmp_path):
  checkpoints = Checkpoints(tmp_path, keep=2)
  scores = {1: 12.0, 3: 9.0, 5: 10.0}
  for step in range(1, 7):
    psnr = scores.get(step)
    _save(checkpoints, step, {'psnr': psnr, 'ssim': 0.5} if psnr else None)
  checkpoints.close()
  reader = Checkpoints(tmp_path)
  assert reader.steps() == [1, 5, 6]
  assert reader.best_step() == 1
  reader.close()


def test_a_score_goes_before_the_psnr_of_before(tmp_path):
  checkpoints = Checkpoints(tmp_path, keep=1)
  for step, score in ((1, -0.3), (2, -0.1), (3, -0.2)):
    _save(checkpoints, step, {'psnr': 20.0 + step, 'score': score})
  _save(checkpoints, 4)
  assert checkpoints.best_step() == 2
  checkpoints.close()
  assert Checkpoints(tmp_path).steps() == [2, 4]


def _damage(folder):
  files = [p for p in folder.rglob('*') if p.is_file() and 'd' in p.parts]
  largest = max(files, key=lambda p: p.stat().st_size)
  data = bytearray(largest.read_bytes())
  data[len(data) // 2] ^= 1
  largest.write_bytes(data)
  return largest


def test_a_flipped_bit_is_noticed_and_the_older_one_is_taken(tmp_path, caplog):
  checkpoints = Checkpoints(tmp_path)
  for step in (1, 2):
    _save(checkpoints, step)
  checkpoints.close()
  _damage(checkpoints.directory / '2' / 'train')
  reader = Checkpoints.open(tmp_path)
  with pytest.raises(DamagedCheckpointError, match=r'checkpoints/2: damaged'):
    reader.restore(2, **_like())
  step, items, _ = reader.restore_latest(**_like())
  assert step == 1
  _assert_equal(items['ema'], _state(1, seed=1).ema)
  assert 'checkpoints/2: damaged' in caplog.text
  assert 'the one of update 1 is taken' in caplog.text
  _damage(checkpoints.directory / '1' / 'ema')
  with pytest.raises(InputError, match='no sound checkpoint'):
    reader.restore_latest(**_like())
  reader.close()


def test_a_run_goes_on_past_a_damaged_checkpoint(tmp_path, caplog):
  """It comes by the same update again, where the damaged one lay."""
  writer = Checkpoints(tmp_path)
  for step in (1, 2):
    _save(writer, step)
  writer.close()
  _damage(writer.directory / '2' / 'train')
  writer = Checkpoints(tmp_path)
  assert writer.restore_latest(**_like())[0] == 1
  state = _save(writer, 2)
  writer.close()
  reader = Checkpoints.open(tmp_path)
  step, items, _ = reader.restore_latest(**_like())
  reader.close()
  assert step == 2
  _assert_equal(items['ema'], state.ema)
  assert [p.name for p in (tmp_path / 'damaged').iterdir()] == ['2-1']
  assert 'damaged/2-1' in caplog.text


@pytest.mark.parametrize(
  'content', [b'', b'{"score"', b'{"score": 99.0}', b'[]', b'\xff', b'{"a": 1}']
)
def test_a_damaged_validation_is_passed_over(tmp_path, caplog, content):
  writer = Checkpoints(tmp_path, keep=1)
  for step, score in ((1, 11.0), (2, 12.0)):
    _save(writer, step, {'psnr': 20.0, 'score': score})
  writer.close()
  path = writer.directory / '2' / 'metrics' / 'metrics'
  path.write_bytes(content)
  reader = Checkpoints.open(tmp_path)
  assert reader.best_step() == (1 if 1 in reader.steps() else None)
  assert reader.restore_latest(**_like())[0] == 2
  reader.close()
  assert path.read_bytes() == content
  assert 'damaged' in caplog.text
  writer = Checkpoints(tmp_path)
  _save(writer, 3, {'psnr': 20.0, 'score': 5.0})
  writer.close()
  reader = Checkpoints.open(tmp_path)
  assert reader.best_step() == 3 and reader.steps() == [2, 3]
  reader.close()
  moved = tmp_path / 'damaged' / '2-metrics-1' / 'metrics'
  assert moved.read_bytes() == content


def _harm(rng, path):
  """Flips, cuts, empties, removes a file, or fills it with chance."""
  content = np.frombuffer(path.read_bytes(), np.uint8).copy()
  kind = rng.integers(5)
  if kind == 0 and len(content):
    where = rng.integers(0, len(content), 6)
    content[where] ^= rng.integers(1, 256, 6).astype(np.uint8)
  elif kind == 1:
    content = content[: rng.integers(0, len(content) + 1)]
  elif kind == 2:
    content = content[:0]
  elif kind == 3:
    content = np.frombuffer(rng.bytes(max(1, len(content))), np.uint8)
  path.write_bytes(content.tobytes())
  if kind == 4:
    path.unlink()


def _harmed_folders_are_survived(tmp_path, count, seed):
  sound = Checkpoints(tmp_path / 'sound', keep=3)
  for step in (1, 2, 3):
    _save(sound, step, {'psnr': 20.0, 'score': 1.0 * step}, side=4)
  sound.close()
  paths = [p for p in sorted(sound.directory.rglob('*')) if p.is_file()]
  expected = {step: _state(step, seed=step, side=4) for step in (1, 2, 3)}
  fell_back = 0
  for n in range(count):
    rng = np.random.default_rng((seed, n))
    run = tmp_path / f'run{n}'
    shutil.copytree(tmp_path / 'sound', run)
    path = paths[rng.integers(len(paths))].relative_to(tmp_path / 'sound')
    _harm(rng, run / path)
    reader = Checkpoints.open(run)
    assert reader.best_step() in (1, 2, 3), path
    assert reader.newest_config()[1] == CONFIG
    reader.close()
    writer = Checkpoints(run, keep=3)
    step, items, _ = writer.restore_latest(**_like(side=4))
    _assert_equal(items['train'], train_item(expected[step]))
    _assert_equal(items['ema'], expected[step].ema)
    again = _save(writer, step + 1, {'psnr': 20.0, 'score': 0.5}, side=4)
    writer.close()
    reader = Checkpoints.open(run)
    step, items, _ = reader.restore_latest(**_like(side=4))
    reader.close()
    _assert_equal(items['ema'], again.ema)
    fell_back += step < 4
    shutil.rmtree(run)
  return fell_back


def test_no_harmed_file_ends_a_run(tmp_path):
  _harmed_folders_are_survived(tmp_path, 8, 0)


@pytest.mark.slow
def test_no_harmed_file_ends_a_run_at_length(tmp_path):
  assert _harmed_folders_are_survived(tmp_path, 200, 1) > 10


def test_another_model_is_named_by_its_first_difference(tmp_path):
  checkpoints = Checkpoints(tmp_path)
  _save(checkpoints, 1)
  with pytest.raises(
    InputError, match=r'another model: .*a is \(64, 64\) there and \(8, 8\)'
  ):
    checkpoints.restore_latest(**_like(side=8))
  checkpoints.close()


def test_a_folder_without_checkpoints_is_named(tmp_path):
  with pytest.raises(InputError, match=r'no checkpoint in it'):
    Checkpoints.open(tmp_path / 'run')
  assert not (tmp_path / 'run').exists()


@pytest.fixture
def small_disk(tmp_path):
  """A file system of 12 MB, where this user may mount one."""
  disk = tmp_path / 'disk'
  disk.mkdir()
  mount = ['mount', '-t', 'tmpfs', '-o', 'size=12m', 'tmpfs', str(disk)]
  try:
    subprocess.run(mount, check=True, capture_output=True)
  except (OSError, subprocess.CalledProcessError):
    pytest.skip('a small file system cannot be mounted here (not root)')
  yield disk
  subprocess.run(['umount', '-l', str(disk)], check=True)


def test_files_that_may_not_be_opened_have_a_remedy(tmp_path, monkeypatch):
  checkpoints = Checkpoints(tmp_path)
  tree = {'a': np.zeros(3)}

  def refuse(*_, **__):
    raise OSError(24, 'Too many open files')

  monkeypatch.setattr(checkpoints._manager, 'save', refuse)
  with pytest.raises(InputError, match='allow more by ulimit -n and run again'):
    checkpoints.save(1, tree, tree, CONFIG)
  monkeypatch.undo()
  checkpoints.close()


def test_a_full_disk_is_named_and_the_earlier_checkpoint_is_whole(small_disk):
  rng = np.random.default_rng(0)

  def save(checkpoints, step, side):
    tree = {'a': rng.normal(size=(side, side))}
    checkpoints.save(step, tree, tree, CONFIG)
    return tree

  checkpoints = Checkpoints(small_disk, keep=3)
  first = save(checkpoints, 1, 500)
  with pytest.raises(InputError, match='disk is full.*earlier ones are whole'):
    save(checkpoints, 2, 1200)
    checkpoints.close()
  with contextlib.suppress(InputError):
    checkpoints.close()
  reader = Checkpoints.open(small_disk)
  step, items, _ = reader.restore_latest(train=first)
  reader.close()
  assert step == 1
  np.testing.assert_array_equal(items['train']['a'], first['a'])
  # With room again the same folder goes on, and what was half-written is gone.
  checkpoints = Checkpoints(small_disk, keep=3)
  save(checkpoints, 2, 300)
  checkpoints.close()
  names = {path.name for path in checkpoints.directory.iterdir()}
  assert names == {'1', '2'}
