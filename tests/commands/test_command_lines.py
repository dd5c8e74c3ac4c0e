"""The commands as people run them."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time

from helpers.commands import ENVIRONMENT
from helpers.commands import refused
from helpers.commands import ROOT
from helpers.commands import run_process
from helpers.commands import train_args
import numpy as np
import pytest

from benchmarks.lib.runs import last_checkpoint
from benchmarks.lib.runs import make_pairs
from sel_jax.images import codec


def test_training_leaves_checkpoints_log_and_picture(trained):
  log = [
    json.loads(s) for s in (trained / 'log.jsonl').read_text().splitlines()
  ]
  assert [line['step'] for line in log] == [1, 2, 3, 4, 4]
  assert {'loss', 'entropy', 'grad_norm', 'lr'} <= set(log[0])
  assert log[-1]['val/psnr'] > 0
  picture = codec.read_image(trained / 'enhanced.png')
  assert picture.shape == (21, 90, 3)
  assert list((trained / 'tensorboard').glob('events*'))


def test_a_finished_run_is_left_as_it_is(run, pairs, trained):
  before = last_checkpoint(trained)
  log = (trained / 'log.jsonl').read_text()
  done = run('train', *train_args(pairs, trained))
  assert done.returncode == 0, done.stderr
  assert last_checkpoint(trained) == before
  assert (trained / 'log.jsonl').read_text() == log


# What compiles sooner, where the loss is not looked at.
SIMPLE = {'loss.entropy': 0.0, 'loss.l1': 1.0, 'train.steps': 30}
LONGER = {'train.steps': 30, 'train.save_every': 3, 'train.eval_every': 30}


@pytest.fixture(scope='module')
def uninterrupted(pairs, tmp_path_factory):
  """A run of 30 steps that nothing disturbed."""
  workdir = tmp_path_factory.mktemp('runs') / 'whole'
  done = run_process('train', *train_args(pairs, workdir, **LONGER))
  assert done.returncode == 0, done.stderr
  return workdir


def _interrupted(args, tmp_path, number, *, when):
  """Exit status of a run that gets a signal as soon as `when()` holds."""
  command = [sys.executable, '-m', 'experiments.train', *args]
  with open(tmp_path / 'stderr', 'w') as stderr:
    process = subprocess.Popen(
      command,
      cwd=ROOT,
      env=ENVIRONMENT,
      stdout=subprocess.DEVNULL,
      stderr=stderr,
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
      if when():
        process.send_signal(number)
        break
      time.sleep(0.01)
    return process.wait(60)


def _steps_logged(log):
  if not log.exists():
    return []
  return [json.loads(line)['step'] for line in log.read_text().splitlines()]


@pytest.mark.fence
def test_a_killed_run_ends_bitwise_equal(pairs, trained, tmp_path):
  cut = tmp_path / 'cut'
  args = train_args(pairs, cut)

  def saved_and_beyond():
    log = cut / 'log.jsonl'
    saved = (cut / 'checkpoints' / '2').is_dir()
    return saved and log.read_text().count('\n') >= 3

  status = _interrupted(args, tmp_path, signal.SIGKILL, when=saved_and_beyond)
  assert status == -signal.SIGKILL
  again = run_process('train', *args)
  assert again.returncode == 0, again.stderr
  assert 'steps 2 to 4' in again.stderr
  assert last_checkpoint(cut) == last_checkpoint(trained)
  assert _steps_logged(cut / 'log.jsonl') == [1, 2, 3, 4, 4]


@pytest.mark.fence
def test_of_two_runs_in_a_folder_one_waits_and_goes_on(
  pairs, trained, tmp_path
):
  """The first is killed while the second waits; it ends as one run does."""
  cut = tmp_path / 'cut'
  command = [sys.executable, '-m', 'experiments.train', *train_args(pairs, cut)]
  outputs = [tmp_path / name for name in ('first', 'second')]
  running = []

  def wait_until(words, output):
    deadline = time.monotonic() + 120
    while words not in output.read_text() and time.monotonic() < deadline:
      assert running[-1].poll() is None, output.read_text()
      time.sleep(0.01)

  try:
    for output, words in zip(
      outputs, ('steps 0 to 4', 'works in it; waits until'), strict=True
    ):
      with open(output, 'w') as stderr:
        running.append(
          subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stderr=stderr)
        )
      wait_until(words, output)
      if len(running) == 1:
        running[0].send_signal(signal.SIGSTOP)  # or it would be done first
    assert f'process {running[0].pid} on' in outputs[1].read_text()
    running[0].kill()
    assert running[1].wait(120) == 0, outputs[1].read_text()
  finally:
    for process in running:
      process.kill()
      process.wait()
  assert last_checkpoint(cut) == last_checkpoint(trained)
  assert not list(cut.glob('.lease*'))


@pytest.mark.slow
@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_run_ends_bitwise_equal(
  pairs, uninterrupted, tmp_path, number
):
  args = train_args(pairs, tmp_path / 'cut', **LONGER)
  log = tmp_path / 'cut' / 'log.jsonl'
  status = _interrupted(
    args,
    tmp_path,
    number,
    when=lambda: log.exists() and log.read_text().count('\n') >= 8,
  )
  assert status == (0 if number == signal.SIGTERM else -number)
  again = run_process('train', *args)
  assert again.returncode == 0, again.stderr
  assert last_checkpoint(tmp_path / 'cut') == last_checkpoint(uninterrupted)
  assert _steps_logged(log) == [*range(1, 31), 30]


def test_evaluate_prints_a_table_and_writes_json(run, pairs, trained, tmp_path):
  out = tmp_path / 'figures.json'
  done = run(
    'evaluate',
    f'--checkpoint={trained}',
    f'--data={pairs}',
    '--split=test',
    '--sampler=ode',
    '--steps=3',
    '--metrics=psnr,ssim',
    f'--json={out}',
    f'--output={tmp_path / "images"}',
  )
  assert done.returncode == 0, done.stderr
  assert 'GT-mean' in done.stdout and 'mean' in done.stdout
  figures = json.loads(out.read_text())['entries'][0]
  assert figures['protocol']['images'] == 3
  assert figures['protocol']['sampler'] == 'ode'
  assert figures['protocol']['steps'] == 3
  assert len(figures['images']) == 3
  assert len(list((tmp_path / 'images').iterdir())) == 3


def _swap_in(root, path, image):
  (root / path).unlink()
  codec.write_image(root / path, image)


def _one_row(size):
  return np.zeros((*size, 3), np.uint8)


BAD_DATA = {
  'low without high': (
    lambda r: (r / 'train/high/1.png').unlink(),
    ('low/1.png', 'no partner', 'config.data.exclude'),
  ),
  'unequal sizes': (
    lambda r: _swap_in(r, 'train/low/1.png', _one_row((21, 31))),
    ('31x21', '30x21'),
  ),
  'smaller than the crop': (
    lambda r: [
      _swap_in(r, f'train/{s}/1.png', _one_row((9, 30)))
      for s in ('low', 'high')
    ],
    ('1: 30x9 is smaller than the crop of 16', 'config.data.crop'),
  ),
  'truncated file': (
    lambda r: (r / 'train/low/1.png').write_bytes(b'\x89PNG\r\n\x1a\n1234'),
    ('low/1.png',),
  ),
  'broken validation file': (
    lambda r: (r / 'val/high/2.png').write_bytes(b''),
    ('high/2.png',),
  ),
  'empty folder': (
    lambda r: [p.unlink() for p in (r / 'train').glob('*/*.png')],
    ('train/low', 'no image files'),
  ),
}


@pytest.mark.parametrize('case', BAD_DATA)
def test_bad_data_is_one_clear_sentence(run, case, tmp_path):
  spoil, parts = BAD_DATA[case]
  root = make_pairs(tmp_path / 'data', size=(21, 30))
  spoil(root)
  for flags in ((), ('--dry-run',)):
    done = run('train', *train_args(root, tmp_path / 'run'), *flags)
    refused(done, *parts)
    assert not (tmp_path / 'run').exists()


BAD_FLAGS = {
  '--config.optim.lrr=1': ('lr',),
  '--config.optim.lr=fast': ('config.optim.lr', 'fast'),
  '--config.loss.objective=magic': ('config.loss.objective', 'optimum'),
  '--config.data.root=/nowhere': ('/nowhere', 'no such folder'),
  '--config=configs/none.py': ('configs/none.py',),
  '--config=configs/lol.py:huge': ('huge', 'small', 'tiny'),
  '--config.train.steps=0': ('config.train.steps',),
}


@pytest.mark.parametrize('flag', BAD_FLAGS)
def test_bad_flags_are_one_clear_sentence(run, flag, pairs, tmp_path):
  args = train_args(pairs, tmp_path / 'run')
  whole = flag.startswith('--config=')
  args = (flag, args[1]) if whole else (*args, flag)
  for more in ((), ('--dry-run',)):
    refused(run('train', *args, *more), *BAD_FLAGS[flag])
  assert not (tmp_path / 'run').exists()


def test_odd_calls_of_train_are_explained(run, pairs, tmp_path):
  refused(run('train'), '--config', '--workdir')
  refused(run('train', f'--workdir={tmp_path}'), 'no checkpoint', '--config=')
  refused(run('train', 'configs/lol.py'), 'configs/lol.py')
  file = tmp_path / 'file'
  file.write_text('')
  done = run('train', *train_args(pairs, file / 'run'))
  refused(done, 'file', 'cannot write there')


def test_a_run_of_another_model_is_not_overwritten(run, pairs, trained):
  before = last_checkpoint(trained)
  args = train_args(pairs, trained, **{'model.width': 6})
  for more in ((), ('--dry-run',)):
    refused(run('train', *args, *more), 'model.width=6 (was 4)', '--workdir')
  refused(run('train', *args, '--allow-change'), 'another model', '--workdir')
  assert last_checkpoint(trained) == before


@pytest.mark.fence
def test_a_folder_alone_goes_on_with_what_it_stores(run, trained, tmp_path):
  mine = tmp_path / 'mine'
  shutil.copytree(trained, mine)
  done = run('train', f'--workdir={mine}', '--config.train.steps=5')
  assert done.returncode == 0, done.stdout
  assert last_checkpoint(mine)[0] == 5
  done = run('train', f'--workdir={mine}')
  assert 'has done its 5 updates; to go on, set' in done.stderr
  assert done.returncode == 0


def test_bad_calls_of_evaluate_and_enhance(run, pairs, trained, tmp_path):
  photo = tmp_path / 'a.png'
  codec.write_image(photo, np.zeros((4, 4, 3), np.uint8))
  here = f'--checkpoint={trained}'
  refused(
    run('evaluate', f'--checkpoint={tmp_path}', f'--data={pairs}'),
    str(tmp_path),
    'no checkpoint',
  )
  refused(run('evaluate', here, '--data=/nowhere'), '/nowhere')
  refused(run('evaluate', here, f'--data={pairs}', '--split=dev'), "'dev'")
  refused(run('enhance', photo, here, '--steps=99'), 'steps=99', '1 to 10')
  refused(run('enhance', photo, here, '--sampler=x'), 'posterior')
  refused(run('enhance', tmp_path / 'no.png', here), 'no.png: no such file')
  refused(
    run('enhance', photo, here, f'--output={tmp_path}'), 'would be overwritten'
  )
  refused(run('enhance', photo, here, f'--output={photo}/x'), 'cannot write')
  assert codec.read_image(photo).max() == 0


@pytest.mark.fence
def test_freed_memory_is_kept_where_the_allocator_can():
  code = (
    'from sel_jax import allocator; import platform; '
    'print(allocator.keep_memory(), platform.libc_ver()[0])'
  )
  done = subprocess.run(
    [sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT
  )
  assert done.returncode == 0, done.stderr
  kept, libc = done.stdout.split(' ', 1)
  assert kept == str(libc.strip() == 'glibc')


def test_a_run_told_to_stop_while_it_starts_saves_its_first_step(
  run, pairs, tmp_path
):
  class Stop(logging.Handler):
    def emit(self, record):
      os.kill(os.getpid(), signal.SIGTERM)  # it compiles next

  handler, log = Stop(), logging.getLogger('sel_jax.training.loop')
  log.addHandler(handler)
  try:
    done = run('train', *train_args(pairs, tmp_path / 'cut', **SIMPLE))
  finally:
    log.removeHandler(handler)
  assert done.returncode == 0, done.stderr
  assert 'stopped and saved at step 1' in done.stdout
  assert last_checkpoint(tmp_path / 'cut')[0] == 1


def test_prepare_data_lists_checks_and_writes(run, tmp_path):
  done = run('prepare_data', '--list')
  assert done.returncode == 0 and 'lol_v2/synthetic: ' in done.stdout
  done = run('prepare_data')
  assert done.returncode == 2 and 'give --manual-dir. LOL-v1' in done.stderr
  own = make_pairs(tmp_path / 'pairs', size=(40, 60))
  flags = ('--dataset=low_light_pairs', f'--manual_dir={own}')
  done = run('prepare_data', *flags, '--check')
  assert done.returncode == 0 and '0 problem(s)' in done.stdout
  assert f'{own}: 3 train, 3 val, 3 test pairs\n' in done.stdout
  (own / 'val/low/1.png').unlink()
  done = run('prepare_data', *flags, '--check')
  assert done.returncode == 1
  assert 'problem: ' in done.stdout and '1.png: has no partner' in done.stdout
  done = run('prepare_data', *flags)
  assert done.returncode == 2 and 'give --data-dir' in done.stderr
  shutil.rmtree(own / 'val')
  done = run('prepare_data', *flags, f'--data_dir={tmp_path / "tfds"}')
  assert done.returncode == 0, done.stderr
  assert '3 train, 3 test' in done.stdout


def test_prepare_data_darkens_pairs_anew(run, pairs, tmp_path):
  folder = tmp_path / 'unseen'
  flags = (f'--manual-dir={pairs}', '--split=test', f'--darken={folder}')
  done = run('prepare_data', *flags, '--dry-run')
  assert done.returncode == 0 and not folder.exists()
  assert f'would write 3 pairs to {folder}' in done.stdout
  done = run('prepare_data', *flags)
  assert done.returncode == 0, done.stderr
  assert f'wrote 3 pairs to {folder}' in done.stdout
  assert len(list((folder / 'test' / 'low').iterdir())) == 3
  done = run('prepare_data', *flags)
  assert done.returncode == 2 and 'is there already; remove it' in done.stderr


def test_a_reader_that_stops_listening_is_no_error(tmp_path):
  with open(tmp_path / 'stderr', 'w') as stderr:
    process = subprocess.Popen(
      [sys.executable, '-m', 'experiments.prepare_data', '--list'],
      cwd=ROOT,
      stdout=subprocess.PIPE,
      stderr=stderr,
    )
    process.stdout.close()
    assert process.wait(60) == 1
  assert (tmp_path / 'stderr').read_text() == ''
