"""Shared by all tests: golden numbers, strict promotion, float64 on request."""

import importlib
import os
from pathlib import Path
import subprocess
import sys

from helpers.commands import QUICK_XLA
from helpers.commands import ROOT
from helpers.commands import run_process
from helpers.commands import train_args
import jax
import jaxtyping
import numpy as np
import pytest

from benchmarks.lib.runs import make_pairs
from sel_jax.commands import command_line
from sel_jax.data import folders
from sel_jax.data import whereabouts
from sel_jax.entropy.forms.tiles import sums
from sel_jax.errors import InputError

GOLDEN = Path(os.environ.get('SEL_GOLDEN') or Path(__file__).parent / 'golden')

# Read when the first device is asked for; most of a test is compilation.
os.environ.setdefault('XLA_FLAGS', QUICK_XLA)

jax.config.update('jax_numpy_rank_promotion', 'raise')
# Loops over bin pairs are written out: fewer at a time compile sooner. How many
# changes nothing, see `tests/entropy/test_forms.py`.
sums._MOST, sums._SHARES = 8, 4


@pytest.fixture(scope='session')
def golden():
  """name -> {key: array} of the reference's numbers; SEL_GOLDEN moves them."""

  def load(name):
    with np.load(GOLDEN / f'{name}.npz', allow_pickle=False) as file:
      return {key: file[key] for key in file.files}

  return load


@pytest.fixture
def x64():
  """Double precision for one test."""
  with jax.enable_x64(True):
    yield


@pytest.fixture
def unchecked():
  """What a user meets, whose program checks no shapes: our own messages."""
  jaxtyping.config.update('jaxtyping_disable', True)
  yield
  jaxtyping.config.update('jaxtyping_disable', False)


@pytest.fixture(scope='session')
def lol():
  """The folder of real pairs, where commands look for it too."""
  try:
    root = whereabouts.find('lol_v1')
  except InputError as error:
    pytest.skip(f'needs real pairs: {error}')
  try:
    folders.layout_of(root)
  except InputError as error:
    pytest.fail(str(error), pytrace=False)
  return root.resolve()


def nhwc(array):
  """[..., C, H, W] of the reference to [..., H, W, C]."""
  return np.moveaxis(np.asarray(array), -3, -1)


@pytest.fixture
def run(monkeypatch, capsys):
  """A command in this process: its exit status and what it printed."""

  def call(module, *args):
    main = importlib.import_module(f'experiments.{module}').main
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, 'argv', [module, *map(str, args)])
    capsys.readouterr()
    with pytest.raises(SystemExit) as exit_info:
      command_line.run(main)
    printed = capsys.readouterr()
    status = exit_info.value.code
    return subprocess.CompletedProcess(args, status, printed.out, printed.err)

  return call


@pytest.fixture(scope='session')
def pairs(tmp_path_factory):
  return make_pairs(tmp_path_factory.mktemp('pairs'), size=(21, 30))


@pytest.fixture(scope='session')
def told(trained, tmp_path_factory):
  """The tiny run as that of a network that is told the exposure."""
  from sel_jax.checkpoints import Checkpoints
  from sel_jax.data.pairs import open_pairs
  from sel_jax.data.pairs import PairsSpec
  from sel_jax.inference import stored
  from sel_jax.models import param_shapes
  from sel_jax.models.exposure import adapted
  from sel_jax.training import exposures

  found = stored.load(trained)
  settings = found.settings.changed({'model.exposure': True})
  params = adapted(found.params, param_shapes(settings.model.network))
  # What it is told matters.
  kernel = params['intro']['conv']['kernel'].copy()
  kernel[:, :, -2:] = np.random.default_rng(0).normal(0, 0.3, (3, 3, 2, 4))
  params['intro']['conv']['kernel'] = kernel
  pairs = open_pairs(PairsSpec.create(source='sample'), 'train')
  predictor = exposures.fit(pairs, settings.data.augment)
  workdir = tmp_path_factory.mktemp('runs') / 'told'
  checkpoints = Checkpoints(workdir)
  checkpoints.save(
    4, None, params, settings.to_dict(), exposure=predictor.to_json()
  )
  checkpoints.close()
  return workdir


@pytest.fixture(scope='session')
def denoising(pairs, tmp_path_factory):
  """A finished tiny run of the denoising diffusion."""
  workdir = tmp_path_factory.mktemp('runs') / 'denoising'
  settings = {
    'data.noise': '(25.0,)', 'sde.name': 'denoising', 'sde.max_sigma': 75.0,
    'sde.steps': 50, 'eval.steps': 1,
  }  # fmt: skip
  done = run_process('train', *train_args(pairs, workdir, **settings))
  assert done.returncode == 0, done.stderr
  return workdir


@pytest.fixture(scope='session')
def trained(pairs, tmp_path_factory):
  """A finished tiny run."""
  workdir = tmp_path_factory.mktemp('runs') / 'tiny'
  done = run_process('train', *train_args(pairs, workdir))
  assert done.returncode == 0, done.stderr
  return workdir
