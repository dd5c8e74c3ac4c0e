"""Every benchmark starts, says what it would do, and tells what failed."""

import argparse
import importlib
import json
import os
import re
import subprocess
import sys

import cv2
from helpers.commands import refused
from helpers.commands import ROOT
from helpers.commands import run_module
import jax
import numpy as np
from PIL import Image
import pytest

from benchmarks import cost
from benchmarks.lib import analytic
from benchmarks.lib import front
from benchmarks.lib import rows
from sel_jax import models
from sel_jax.inference import Enhancer
from sel_jax.inference import tone
from sel_jax.interop import portable

# Benchmark -> the smallest flags, and what tells its rows apart, in order.
# {folder} is empty, {pairs} a data set, {model} a tiny network's weights,
# {alike} a data set whose test photograph is the train photograph, livelier.
SMALLEST = {
  'cost': (
    '--preset=tiny --batches=1,2 --remat=no --share=0.2',
    [{'remat': 'no', 'batch': 1}, {'remat': 'no', 'batch': 2}]
    + [{'device': name} for name in cost.DEVICES],
  ),
  'data': (
    '--make=3 --megapixels=0.01 --crop=16 --batch=4 --steps=10 --busy=0.01 '
    '--threads=1 --workers=',
    [{'cache': name, 'threads': 1} for name in ('memory', 'disk', 'none')],
  ),
  'denoise': (
    '--checkpoint={denoising} --sigmas=20,40 --limit=1 '
    '--picture={folder}/strip.png',
    [{'sigma': sigma, 'photographs': 1} for sigma in (20, 40)],
  ),
  'endurance': ('--steps=4', [{'step': n} for n in (1, 2, 3, 4)]),
  'entropy': (
    '--sizes=8 --levels=4 --repeats=1 --baseline=dense --forms=tiles '
    '--windows=5,7',
    [
      {
        'definition': 'ours',
        'form': form,
        'input': 'photo',
        'size': 8,
        'window': window,
      }
      for window in (5, 7)
      for form in ('dense', 'tiles')
    ],
  ),
  'exposure': (
    '--checkpoint={told} --requests=0.2,0.6 --folds=3 --limit=1',
    [
      {'request': 0.2},
      {'request': 0.6},
      {'guess': 'stored', 'photographs': 1},
      {'guess': 'folds', 'photographs': 30},
    ],
  ),
  'enhance_faults': (
    '--checkpoint={model} --kills=1 --photographs=4 --warm --pause=0.1',
    [{'kill': 1}],
  ),
  'faults': (
    '--kills=1 --steps=60 --early=0 --pause=0 --warm',
    [{'run': 0, 'kill': 1}],
  ),
  'few_steps': (
    '--checkpoint={model} --steps=1,2 --limit=1 --metrics=psnr,ssim',
    [{'sampler': 'posterior', 'grid': 'time', 'steps': n} for n in (1, 2)],
  ),
  'first': (
    '--checkpoint={model} --rounds=1',
    [{'run': name} for name in ('bare JAX', 'first ever', 'after it')],
  ),
  'folder': (
    '--checkpoint={model} --photographs=3 --sizes=1,3 --steps=1 '
    '--smallest=32x32 --largest=70x50 --loss',
    [{'sizes': 1, 'programs': 1}, {'sizes': 3, 'photographs': 3}],
  ),
  'metrics': (
    '--metrics=psnr,delta_e --size=64x40 --repeats=1',
    [{'metric': 'psnr'}, {'metric': 'delta_e'}, {'metric': 'all'}],
  ),
  'pictures': (
    '--checkpoint={model} --folder={folder} --width=48 --pictures=not_dark.jpg',
    [{'photograph': name} for name in ('rocket', 'astronaut')],
  ),
  'saturation': (
    '--data={alike} --limit=1',
    [{'photograph': 'b', 'beside': 'a'}],
  ),
  'sampler': (
    '--preset=tiny --samplers=ddim --grids=time --steps=1,2 --sizes=32 '
    '--repeats=1',
    [{'sampler': 'ddim', 'steps': n, 'size': 32} for n in (1, 2)],
  ),
  'step': (
    '--preset=tiny --repeats=1 --rounds=1 --losses=entropy',
    [{'framework': 'jax', 'loss': 'entropy', 'precision': 'float32'}],
  ),
  'tiling': (
    '--checkpoint={model} --steps=1 --sizes=64x40 --seam-size=64x96 '
    '--seam-tile=32 --seam-overlaps=8 --seam-pools=16',
    [
      {'tiles': 'blended at every step', 'pool': 0},
      {'tiles': 'blended at the end'},
      {'tiles': 'pasted'},
      {'tiles': 'blended at every step', 'pool': 16},
      {'size': '64x40', 'tiles': 1},
    ],
  ),
  'weights': (
    '--preset=tiny --folder={folder}',
    [
      {'from': 'safetensors', 'to': 'run'},
      {'from': 'run', 'to': 'safetensors'},
    ],
  ),
}  # fmt: skip


# What `front.run` changes of JAX.
_CHANGED = ('jax_enable_compilation_cache', 'jax_traceback_filtering')


@pytest.fixture(scope='module')
def model(tmp_path_factory):
  """Weights of a tiny network that was never trained."""
  settings = front.settings('tiny')
  network = Enhancer.create(settings).method.model
  path = tmp_path_factory.mktemp('model') / 'tiny.safetensors'
  facts = {'config': settings.to_dict(), 'step': 0}
  portable.save(path, models.init_params(jax.random.key(0), network), facts)
  return path


@pytest.fixture(scope='module')
def alike(tmp_path_factory):
  """One scene in both splits; test's colours are 1.5 times train's."""
  root = tmp_path_factory.mktemp('alike')
  seen = np.random.default_rng(0).uniform(0.3, 0.7, (6, 8, 3))
  clean = cv2.resize(seen, (128, 96), interpolation=cv2.INTER_CUBIC)
  for split, name, image in (
    ('train', 'a', clean),
    ('val', 'c', clean[::-1]),
    ('test', 'b', tone.saturated(clean.astype('f4'), 1.5)),
  ):
    for side, scale in ('low', 25), ('high', 255):
      (root / split / side).mkdir(parents=True)
      samples = np.rint(image * scale).astype(np.uint8)
      Image.fromarray(samples).save(root / split / side / f'{name}.png')
  return root


@pytest.fixture
def start(monkeypatch, capsys):
  """A benchmark in this process: its exit status and what it printed."""

  def call(name, *flags):
    main = importlib.import_module(f'benchmarks.{name}').main
    capsys.readouterr()
    changed = {name: getattr(jax.config, name) for name in _CHANGED}
    with pytest.raises(SystemExit) as left:
      front.run(lambda: main(flags))
    for name, value in changed.items():
      jax.config.update(name, value)
    printed = capsys.readouterr()
    code = left.value.code
    return subprocess.CompletedProcess(flags, code, printed.out, printed.err)

  monkeypatch.chdir(ROOT)
  return call


@pytest.fixture
def smallest(model, told, denoising, pairs, alike, tmp_path):
  """Of a benchmark: its smallest flags, and the rows they give."""

  def flags(name):
    text, expected = SMALLEST[name]
    names = {'model': model, 'told': told, 'pairs': pairs, 'alike': alike}
    text = text.format(**names, denoising=denoising, folder=tmp_path)
    return text.split(), expected

  return flags


def _matches(row, expected):
  return {key: row.get(key) for key in expected} == expected


def test_every_benchmark_is_started_by_a_test():
  found = {path.stem for path in (ROOT / 'benchmarks').glob('*.py')}
  assert found - {'__init__'} == set(SMALLEST)


@pytest.mark.fence
@pytest.mark.parametrize('name', SMALLEST)
def test_benchmark_runs(name, smallest, tmp_path):
  path = tmp_path / 'figures.json'
  flags, expected = smallest(name)
  done = run_module(f'benchmarks.{name}', *flags, f'--json={path}')
  assert done.returncode == 0, done.stderr
  found = json.loads(path.read_text())['rows']
  assert len(found) == len(expected), found
  for row, known in zip(found, expected, strict=True):
    assert _matches(row, known), (row, known)
    assert len(row) > len(known)  # it has figures
    assert 'error' not in row
  assert 'failed' not in done.stdout
  lines = [x for x in done.stdout.splitlines() if x.startswith('|')]
  tables = sum(line.startswith('| ---') for line in lines)
  # A line per row, and for each table its head and the line below.
  assert tables and len(lines) == len(expected) + 2 * tables


@pytest.mark.parametrize('name', SMALLEST)
def test_dry_run_tells_the_rows_and_writes_nothing(
  name, smallest, tmp_path, start, monkeypatch
):
  flags, expected = smallest(name)
  started = []
  for call in ('run', 'Popen'):
    monkeypatch.setattr(subprocess, call, lambda *a, **_: started.append(a))
  monkeypatch.chdir(tmp_path)
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
  compiled = []

  def on_event(event, *_, **__):
    if event.endswith('backend_compile_duration'):
      compiled.append(event)

  jax.monitoring.register_event_duration_secs_listener(on_event)
  try:
    done = start(name, *flags, '--dry-run', '--json=figures.json')
  finally:
    jax.monitoring.unregister_event_duration_listener(on_event)
  assert done.returncode == 0, done.stderr
  lines = done.stdout.splitlines()
  assert len(lines) == len(expected)
  for line, known in zip(lines, expected, strict=True):
    told = [f'{k}={v}' for k, v in known.items() if f'{k}=' in line]
    assert told and all(part in line for part in told), (line, known)
  assert not list(tmp_path.iterdir()) and not started
  # A model that is loaded brings its sampler's coefficients, small programs.
  loaded = re.search('{(model|denoising)}', SMALLEST[name][0])
  assert not compiled or loaded


@pytest.mark.parametrize(
  'name, flags, parts',
  [
    ('entropy', '--kernel=round', ['--kernel', 'round', 'logistic']),
    ('entropy', '--forms=tile', ['--forms', 'tile', 'tiles']),
    ('entropy', '--distance=far', ['--distance', 'far', 'hellinger']),
    ('entropy', '--levels=1', ['levels=1', 'at least 2']),
    ('entropy', '--windows=3,4', ['windows=(3, 4)', 'odd']),
    ('entropy', '--sizes=600', ['600', '512']),
    ('entropy', '--sizes=8,x', ['--sizes', 'x', 'no number']),
    ('entropy', '--size=8', ['--size ', '--sizes']),
    ('entropy', '--json=/no/such/x.json', ['/no/such', 'no folder']),
    ('step', '--preset=huge', ['--preset=huge', 'small']),
    ('step', '--losses=l3', ['--losses', 'l3', 'l1']),
    ('step', '--precisions=int8', ['--precisions', 'int8', 'bfloat16']),
    ('step', '--preset=tune --losses=detail --sample=7', ['sample', '7']),
    ('step', '--preset=light --baseline=torch', ['--baseline=torch']),
    ('cost', '--batches=3,1', ['--batches', 'smaller']),
    ('cost', '--preset=huge', ['--preset=huge', 'small']),
    ('data', '--root={pairs} --crop=4096', ['--crop=4096', 'pixels']),
    ('data', '--root=/no/such', ['/no/such']),
    ('data', '--steps=1', ['--steps', 'at least 2']),
    ('faults', '--signal=HUP', ['--signal', 'HUP', 'KILL']),
    ('faults', '--clock', ['--clock', '--warm']),
    ('faults', '--full=0.5', ['--full', '--folder']),
    ('sampler', '--samplers=euler', ['--samplers', 'euler']),
    ('sampler', '--preset=tiny --steps=99', ['steps=99', '10']),
    ('few_steps', '--checkpoint=/no/such', ['/no/such']),
    ('denoise', '--checkpoint=/no/such', ['/no/such']),
    ('few_steps', '--metrics=beauty', ['--metrics', 'beauty']),
    ('pictures', '--pictures=cat.jpg', ['--pictures', 'cat.jpg']),
    (
      'folder',
      '--sizes=9 --smallest=64x64 --largest=65x65',
      ['9', '4 between'],
    ),
    ('folder', '--smallest=64x64 --largest=65x60', ['--smallest', '--largest']),
    ('tiling', '--sizes=64', ['--sizes', '64', 'WIDTHxHEIGHT']),
    ('tiling', '--checkpoint=shipped --seam-tile=40', ['40', 'multiple of 32']),
  ],
)
def test_wrong_value_is_one_line(name, flags, parts, start, pairs):
  done = start(name, *flags.format(pairs=pairs).split())
  refused(done, *parts)
  assert not done.stdout


def test_saturation_is_found(start, alike, tmp_path):
  path = tmp_path / 'found.json'
  done = start('saturation', f'--data={alike}', f'--json={path}')
  assert done.returncode == 0, done.stderr
  (row,) = json.loads(path.read_text())['rows']
  assert row['saturation'] == pytest.approx(1.5, abs=0.02)
  assert row['alike'] > 0.99 and row['saturated'] > row['PSNR'] + 10


def test_help_is_the_docstring(start):
  doc = importlib.import_module('benchmarks.entropy').__doc__
  assert doc.strip() in start('entropy', '--help').stdout


def test_a_row_that_fails_is_told_and_the_rest_is_taken(
  start, tmp_path, monkeypatch
):
  true = analytic.error

  def broken(data, sde, sampler, times):
    if sampler == 'ode':
      raise ArithmeticError('no\nsuch error')
    return true(data, sde, sampler, times)

  monkeypatch.setattr(analytic, 'error', broken)
  path = tmp_path / 'figures.json'
  flags = ('--preset=tiny', '--grids=time', '--steps=2', f'--json={path}')
  done = start('sampler', *flags, '--samplers=ode,ddim')
  assert done.returncode == 1
  case = 'sampler=ode, grid=time, steps=2'
  assert f'failed: {case}: ArithmeticError: such error' in done.stdout
  assert 'ArithmeticError' in done.stderr  # the traceback
  failed, sound = json.loads(path.read_text())['rows']
  assert (
    failed['error'] == 'ArithmeticError: such error'
    and 'error 0.1' not in failed
  )
  assert sound['sampler'] == 'ddim' and sound['error 0.1'] > 0
  assert done.stdout.count('| ddim |') == done.stdout.count('| ode |') == 1


def test_a_process_that_fails_is_a_row_that_failed(
  start, tmp_path, monkeypatch
):
  path, python = tmp_path / 'figures.json', tmp_path / 'python'
  python.write_text(
    '#!/bin/sh\necho "Traceback" >&2\necho "MemoryError: no room" >&2\nexit 3\n'
  )
  python.chmod(0o755)
  monkeypatch.setattr(sys, 'executable', os.fspath(python))
  done = start('entropy', '--sizes=8', '--forms=rows', f'--json={path}')
  assert done.returncode == 1
  case = {'definition': 'ours', 'form': 'rows', 'input': 'photo', 'size': 8}
  told = ', '.join(f'{key}={value}' for key, value in case.items())
  assert f'failed: {told}: MemoryError: no room' in done.stdout
  [row] = json.loads(path.read_text())['rows']
  assert row == case | {'error': 'MemoryError: no room'}


def test_a_failed_plan_fails_the_run(start, monkeypatch):
  monkeypatch.setattr(cost, 'train_step', lambda *_, **__: 1 / 0)
  done = start('cost', '--preset=tiny', '--batches=1,2', '--remat=no')
  assert done.returncode == 1
  assert done.stdout.count('ZeroDivisionError') == 2
  assert 'device |' not in done.stdout


def test_a_table_without_rows_is_a_failure(capsys):
  args = argparse.Namespace(json=None)
  assert rows.report(args, ([], {'size': 'd'})) == 1
  assert rows.report(args, ([{'size': 3}], {'size': 'd'})) == 0
  assert '| 3 |' in capsys.readouterr().out
