"""What a notebook sees: nothing on the way, and programs of the time before."""

import subprocess
import sys

from helpers.commands import ENVIRONMENT
from helpers.commands import ROOT
import pytest

PROGRAM = """
import jax
import numpy as np
jax.jit(lambda x: x + 1)(0.0)  # JAX has looked for a cache before
from sel_jax.inference import Enhancer
enhancer = Enhancer.from_checkpoint({run!r})
jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
enhancer(np.full((16, 16, 3), 0.1, np.float32))
print(jax.config.jax_compilation_cache_dir)
"""


@pytest.mark.fence
@pytest.mark.parametrize('own', [False, True])
def test_a_model_says_nothing_and_keeps_its_programs(own, trained, tmp_path):
  environment = ENVIRONMENT | {
    'XDG_CACHE_HOME': str(tmp_path),
    'PYTHONPATH': str(ROOT),
  }
  environment.pop('JAX_COMPILATION_CACHE_DIR', None)
  folder = tmp_path / 'sel_jax' / 'xla'
  if own:
    folder = tmp_path / 'mine'
    environment['JAX_COMPILATION_CACHE_DIR'] = str(folder)
  done = subprocess.run(
    [sys.executable, '-c', PROGRAM.format(run=str(trained))],
    capture_output=True,
    text=True,
    cwd=tmp_path,
    env=environment,
  )
  assert done.returncode == 0, done.stderr
  assert done.stdout == f'{folder}\n' and not done.stderr
  assert any(folder.iterdir())
  assert own or not (tmp_path / 'mine').exists()
