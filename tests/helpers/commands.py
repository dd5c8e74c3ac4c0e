"""Running the commands as people do."""

import os
from pathlib import Path
import subprocess
import sys

import jaxlib

# For programs that are compiled once and hardly run: half the time of XLA's
# usual way. An unknown flag ends the process, and later versions lack the last.
QUICK_XLA = (
  '--xla_backend_optimization_level=0 '
  '--xla_llvm_disable_expensive_passes=true '
  '--xla_cpu_parallel_codegen_split_count=1'
)
if jaxlib.version.__version_info__ < (0, 11):
  QUICK_XLA += ' --xla_cpu_use_fusion_emitters=false'

ROOT = Path(__file__).parents[2]
ENVIRONMENT = dict(os.environ, XLA_FLAGS=QUICK_XLA)


def run_process(command, *args, **environment):
  """A command in a process of its own."""
  return run_module(f'experiments.{command}', *args, **environment)


def run_module(module, *args, **environment):
  """A module in a process of its own."""
  return subprocess.run(
    [sys.executable, '-m', module, *map(str, args)],
    cwd=ROOT,
    env=ENVIRONMENT | environment,
    capture_output=True,
    text=True,
  )


def train_args(root, workdir, **overrides):
  settings = {'data.root': root, **overrides}
  return (
    '--config=configs/lol.py:tiny',
    f'--workdir={workdir}',
    *(f'--config.{k}={v}' for k, v in settings.items()),
  )


def refused(done, *parts):
  assert done.returncode == 2, (done.returncode, done.stderr)
  assert 'Traceback' not in done.stderr
  last = done.stderr.strip().splitlines()[-1]
  assert last.startswith('error: ')
  for part in parts:
    assert part in last, last
