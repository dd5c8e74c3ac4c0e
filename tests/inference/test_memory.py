"""A program that does not fit is refused before it runs, with a remedy."""

from pathlib import Path
import re
import resource
import subprocess
import sys

from helpers.commands import ROOT
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sel_jax import memory
from sel_jax.errors import InputError


def test_what_is_free_is_the_least_of_all_limits(monkeypatch):
  free = memory.free()
  assert free is not None and free > 1e8
  soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
  pages = int(Path('/proc/self/statm').read_text().split()[5])
  used = pages * resource.getpagesize()
  resource.setrlimit(resource.RLIMIT_DATA, (used + 2**27, hard))
  try:
    assert 0 < memory.free() <= 2**27
  finally:
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
  monkeypatch.setattr(memory, '_of_container', lambda: iter([5]))
  assert memory.free() == 5


def test_a_container_has_what_its_files_give_back(tmp_path):
  assert list(memory._of_container(tmp_path)) == []
  (tmp_path / 'memory.max').write_text('max\n')
  (tmp_path / 'memory.current').write_text('900\n')
  assert list(memory._of_container(tmp_path)) == []
  (tmp_path / 'memory.max').write_text('1000\n')
  assert list(memory._of_container(tmp_path)) == [100]
  stat = 'anon 100\ninactive_file 300\nactive_file 200\n'
  (tmp_path / 'memory.stat').write_text(stat)
  assert list(memory._of_container(tmp_path)) == [600]


def test_a_program_says_what_it_takes():
  def chain(x):
    return jnp.fft.ifft2(jnp.fft.fft2(x)).real

  run = jax.jit(chain)
  small, large = (np.zeros((n, n), np.float32) for n in (256, 1024))
  taken = [memory.taken(run.lower(x).compile()) for x in (small, large)]
  assert taken[0] >= small.nbytes and taken[1] > 8 * taken[0]


def test_what_does_not_fit_is_refused_before_it_runs(monkeypatch):
  ran = []

  def noted(x):
    jax.debug.callback(lambda: ran.append(1))
    return x @ x

  x = np.ones((512, 512), np.float32)
  remedy = memory.tiles(512, 512, multiple=32)
  run = memory.compile(jax.jit(noted), x, remedy=remedy)
  jax.block_until_ready(run(x))
  assert ran == [1]
  monkeypatch.setattr(memory, 'taken', lambda compiled: 10**9)
  monkeypatch.setattr(memory, 'free', lambda: 4 * 10**8)
  words = r'takes 1 GB of memory, and 0.4 GB are left; give --tile=256, or'
  with pytest.raises(InputError, match=words):
    memory.compile(jax.jit(noted), x, remedy=remedy)
  monkeypatch.setattr(memory, 'free', lambda: 10**8)
  with pytest.raises(memory.ShortOfMemoryError, match='end other programs'):
    memory.compile(jax.jit(noted), x, remedy=remedy)
  assert ran == [1]
  monkeypatch.setattr(memory, 'free', lambda: None)
  memory.compile(jax.jit(noted), x, remedy=remedy)


def test_tiles_that_are_named_are_small_enough():
  remedy = memory.tiles(4000, 6000, multiple=32)
  assert remedy(0.5).startswith('give --tile=2880, or')
  assert remedy(1e-3).startswith('give --tile=128 --overlap=32, or')
  assert 'tile' not in remedy(1e-5)


@pytest.mark.fence
def test_half_of_the_memory_is_one_sentence(tmp_path):
  """A photograph of 3 megapixels, whole, takes more than 500 MB."""
  code = (
    'import resource\n'
    'from pathlib import Path\n'
    'import jax\n'
    'from sel_jax.commands import command_line, enhance\n'
    'from sel_jax.inference import Enhancer\n'
    'jax.block_until_ready(jax.numpy.ones(3) + 1)\n'
    'pages = int(Path("/proc/self/statm").read_text().split()[0])\n'
    'limit = pages * resource.getpagesize() + 500_000_000\n'
    'resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n'
    'command_line.run(enhance.main)\n'
  )
  from PIL import Image

  rng = np.random.default_rng(0)
  samples = rng.integers(0, 60, (1500, 2000, 3), dtype=np.uint8)
  Image.fromarray(samples).save(tmp_path / 'large.png')
  found = subprocess.run(
    [
      sys.executable,
      '-c',
      code,
      str(tmp_path / 'large.png'),
      '--tile=0',
      f'--output={tmp_path / "out"}',
    ],
    cwd=ROOT,
    capture_output=True,
    text=True,
  )
  assert found.returncode == 2, found.stderr
  said = found.stdout + found.stderr
  assert 'Traceback' not in said
  # As it happens, and in the closing report.
  assert len(set(re.findall(r'large\.png: takes .* memory', said))) == 1
