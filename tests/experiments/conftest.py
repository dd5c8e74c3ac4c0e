import importlib
import subprocess
import sys

from commands import ROOT
from commands import run_process
from commands import train_args
import pytest

from benchmarks.runs import make_pairs
from experiments import command_line


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
def trained(pairs, tmp_path_factory):
  """A finished tiny run."""
  workdir = tmp_path_factory.mktemp('runs') / 'tiny'
  done = run_process('train', *train_args(pairs, workdir))
  assert done.returncode == 0, done.stderr
  return workdir
