"""--dry-run: what a command would do, and nothing done."""

import os
import shutil
import socket

from helpers.commands import refused
from helpers.commands import train_args
import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from sel_jax.commands import demo
from sel_jax.images import codec
from sel_jax.inference import enhancer
from sel_jax.inference import SHIPPED

# Command -> its flags, and what is said; {name} stands for a path.
CALLS = {
  'train': (
    '--config=configs/lol.py:tiny --config.data.root={pairs} --workdir={new}',
    'would train nafnet with 2,771 parameters for 4 updates of 8 x 16x16 on 3 '
    'pairs in {pairs}, from update 0 of {new}',
  ),
  'train on': (
    '--config=configs/lol.py:tiny --config.data.root={pairs} '
    '--workdir={trained} --config.train.steps=9',
    'for 9 updates of 8 x 16x16 on 3 pairs in {pairs}, from update 4 of '
    '{trained}',
  ),
  'train from disk': (
    '--config=configs/lol.py:tiny --config.data.root={pairs} --workdir={new} '
    '--config.data.cache=disk --config.data.cache_dir={new}/cache '
    '--coordinator=host:1 --processes=2 --process=1',
    'would be process 1 of 2',
  ),
  'train what is done': (
    '--config=configs/lol.py:tiny --config.data.root={pairs} '
    '--workdir={trained}',
    '{trained} has done its 4 updates; nothing to train',
  ),
  'ablate': (
    '--config=configs/ablations.py:bandwidth --config.base.data.root={pairs} '
    '--config.base.data.crop=16 --config.seeds=0,1 --workdir={new}',
    'would train 28 of 28 runs into {new} and measure psnr, ssim, lpips_alex, '
    'niqe on test',
  ),
  'evaluate': (
    '--checkpoint={trained} --data={pairs} --limit=2 --metrics=psnr '
    '--json={new}/a.json --output={new}',
    'would measure {trained} (nafnet, 2,771 parameters, update 4; posterior, 2 '
    'steps) on 2 pairs of {pairs}, split test: psnr; images to {new}',
  ),
  'compare': (
    'input={pairs}/test/low --data={pairs} --metrics=ssim --html={new}/a.html',
    'would measure input on 3 pairs of {pairs}, split test: psnr, ssim',
  ),
  'enhance': (
    '{pairs}/test/low --checkpoint={trained} --output={new}',
    'would brighten 3 photographs, 0.0 MP, with {trained} (nafnet, 2,771',
  ),
  'convert': (
    f'{SHIPPED} {{new}}.safetensors',
    'would write {new}.safetensors: nafnet of 11,517,292 parameters in 182',
  ),
  'convert to a folder': (
    '{trained} {new} --set eval.steps=4',
    'would write {new}: nafnet of 2,771 parameters',
  ),
  'export': (
    '{new}/a.stablehlo --checkpoint={trained}',
    'would write {new}/a.stablehlo: {trained} (nafnet, 2,771',
  ),
  'prepare_data': (
    '--dataset=low_light_pairs --manual-dir={pairs} --data-dir={new}',
    'would write 3 train, 3 val, 3 test pairs to {new}/low_light_pairs',
  ),
  'prepare_data --check': (
    '--dataset=low_light_pairs --manual-dir={pairs} --check',
    'would look at 18 images in {pairs}',
  ),
  'demo': (
    '--checkpoint={trained} --port={port}',
    'would serve {trained} (nafnet, 2,771 parameters, update 4; posterior, 2 '
    'steps) at http://127.0.0.1:{port}, photographs up to 100 megapixels',
  ),
}


def _tree(folder):
  """Path -> size and time of change of everything in a folder."""
  found = [folder, *folder.rglob('*')]
  return {p: (p.stat().st_size, p.stat().st_mtime_ns) for p in found}


@pytest.fixture
def compiled():
  """Names of the programs that are compiled meanwhile, but for single calls."""
  names = []

  def note(event, seconds, fun_name='', **_):
    name = fun_name.removeprefix('jit(').removesuffix(')')
    single = name.startswith('_') or hasattr(jnp, name) or hasattr(lax, name)
    if event.endswith('backend_compile_duration') and not single:
      names.append(name)

  jax.monitoring.register_event_duration_secs_listener(note)
  yield names
  jax.monitoring.unregister_event_duration_listener(note)


@pytest.fixture
def port():
  with socket.create_server(('127.0.0.1', 0)) as server:
    free = server.getsockname()[1]
  return free


@pytest.mark.fence
@pytest.mark.parametrize('case', CALLS)
def test_it_says_what_would_be_done_and_writes_nothing(
  run, case, pairs, trained, tmp_path, monkeypatch, compiled, port
):
  monkeypatch.setattr(demo, '_require_gradio', lambda: None)
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  names = {'pairs': pairs, 'trained': trained, 'port': port}
  names['new'] = tmp_path / 'new'
  text, sentence = CALLS[case]
  before = [_tree(folder) for folder in (pairs, trained, tmp_path)]
  module = case.partition(' ')[0]
  done = run(module, *text.format(**names).split(), '--dry-run')
  assert done.returncode == 0, done.stderr
  assert sentence.format(**names) in done.stdout
  assert done.stdout.endswith('dry run: nothing was written\n')
  assert [_tree(folder) for folder in (pairs, trained, tmp_path)] == before
  assert not compiled


def test_what_the_command_itself_compiles_would_have_been_seen(
  run, trained, tmp_path, compiled
):
  photo = tmp_path / 'a.png'
  codec.write_image(photo, np.zeros((4, 4, 3), np.uint8))
  flags = (photo, f'--checkpoint={trained}', f'--output={tmp_path / "out"}')
  enhancer._restorer.cache_clear()  # of another test with the same sampler
  done = run('enhance', *flags)
  assert done.returncode == 0 and compiled == ['whole']
  done = run('enhance', *flags, '--dry-run')
  assert 'would brighten 0 photographs' in done.stdout
  assert 'would keep 1 there already; --overwrite redoes them' in done.stdout


# What is wrong -> the command and its flags.
WRONG = {
  'a folder that is none': 'evaluate --checkpoint={trained} --data=/nowhere',
  'a file instead of a folder for results': (
    'evaluate --checkpoint={trained} --data={pairs} --csv={file}/a.csv'
  ),
  'a workdir below a file': (
    'train --config=configs/lol.py:tiny --config.data.root={pairs} '
    '--workdir={file}/run'
  ),
  'a workdir that is a file': (
    'train --config=configs/lol.py:tiny --config.data.root={pairs} '
    '--workdir={file}'
  ),
  'a checkpoint of another model': (
    'train --config=configs/lol.py:tiny --config.data.root={pairs} '
    '--workdir={trained} --config.model.width=6'
  ),
  'half an address': (
    'train --config=configs/lol.py:tiny --config.data.root={pairs} '
    '--workdir={new} --process=1'
  ),
  'no such sampler': 'enhance {photo} --checkpoint={trained} --sampler=x',
  'a result in its own place': (
    'enhance {photo} --checkpoint={trained} --output={photo}'
  ),
  'a broken photograph': (
    'enhance {file} --checkpoint={trained} --output={new}'
  ),
  'an output that is missing': (
    'compare other={folder} --data={pairs} --metrics=psnr'
  ),
  'a checkpoint that is there already': 'convert {trained} {trained}',
  'no file of weights': 'convert {new}.safetensors {new}',
  'a format of no name': 'export {new}.xyz --checkpoint={trained}',
  'sides that do not fit': (
    'export {new}.stablehlo --checkpoint={trained} --size=3x3'
  ),
  'no such data set': 'prepare_data --dataset=x --manual-dir={pairs} --check',
  'another number of pairs': (
    'prepare_data --manual-dir={pairs} --data-dir={new}'
  ),
  'an ablation of nothing': 'ablate --config=configs/lol.py --workdir={new}',
  'an ablation without data': (
    'ablate --config=configs/ablations.py:loss --workdir={new} '
    '--config.base.data.root={folder}'
  ),
}


@pytest.mark.fence
@pytest.mark.parametrize('case', WRONG)
def test_it_refuses_in_the_words_of_the_command(
  run, case, pairs, trained, tmp_path
):
  names = {'pairs': pairs, 'trained': trained}
  for name in ('new', 'file', 'folder', 'photo'):
    names[name] = tmp_path / name
  names['photo'] = tmp_path / 'photo.png'
  names['folder'].mkdir()
  names['file'].write_text('no image')
  codec.write_image(names['photo'], np.zeros((4, 4, 3), np.uint8))
  module, *flags = WRONG[case].format(**names).split()
  tried = run(module, *flags, '--dry-run')
  assert not names['new'].exists()
  done = run(module, *flags)
  assert tried.returncode == done.returncode == 2
  errors = [
    [line for line in text.splitlines() if line.startswith('error: ')]
    for text in (tried.stderr, done.stderr)
  ]
  assert errors[0] == errors[1] and len(errors[0]) == 1


def test_a_port_that_is_taken_is_told(run, trained, monkeypatch):
  monkeypatch.setattr(demo, '_require_gradio', lambda: None)
  with socket.create_server(('127.0.0.1', 0)) as server:
    port = server.getsockname()[1]
    flags = (f'--checkpoint={trained}', f'--port={port}', '--dry-run')
    refused(run('demo', *flags), f'--port={port}: not free')


@pytest.mark.skipif(os.geteuid() == 0, reason='everything is open to root')
def test_a_folder_that_is_closed_is_told(run, pairs, tmp_path):
  closed = tmp_path / 'closed'
  closed.mkdir(mode=0o500)
  for flags in ((), ('--dry-run',)):
    done = run('train', *train_args(pairs, closed / 'run'), *flags)
    refused(done, str(closed / 'run'), 'Permission denied')


def test_a_damaged_checkpoint_is_passed_over_as_in_a_run(
  run, pairs, trained, tmp_path
):
  workdir = tmp_path / 'run'
  shutil.copytree(trained, workdir)
  for path in (workdir / 'checkpoints' / '4').rglob('*'):
    if path.is_file() and path.stat().st_size > 200:
      path.write_bytes(path.read_bytes()[:100])
  flags = train_args(pairs, workdir, **{'train.steps': 9})
  done = run('train', *flags, '--dry-run')
  assert done.returncode == 0, done.stderr
  assert f'from update 2 of {workdir}' in done.stdout
