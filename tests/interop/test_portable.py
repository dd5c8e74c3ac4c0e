import json
import subprocess
import sys

import numpy as np
import pytest
import safetensors.numpy

from sel_jax.errors import InputError
from sel_jax.inference import Enhancer
from sel_jax.inference import SHIPPED
from sel_jax.interop import portable

PARAMS = {
  'a': {'kernel': np.arange(6, dtype=np.float32).reshape(2, 3).T},
  'b': {'c': {'bias': np.array([0.1], np.float32)}},
}


def test_weights_and_facts_come_back(tmp_path):
  path = tmp_path / 'w.safetensors'
  facts = {'config': {'seed': 0}, 'step': 7, 'note': 'ü'}
  portable.save(path, PARAMS, facts)
  params, found = portable.load(path)
  assert found == facts
  beside = tmp_path / 'w.safetensors.json'
  assert json.loads(beside.read_text()) == facts
  np.testing.assert_array_equal(params['a']['kernel'], PARAMS['a']['kernel'])
  np.testing.assert_array_equal(
    params['b']['c']['bias'], PARAMS['b']['c']['bias']
  )


def test_half_precision_is_half_as_large(tmp_path):
  large = {'a': np.linspace(0, 1, 10_000, dtype=np.float32)}
  sizes = []
  for dtype in ('float32', 'float16'):
    path = tmp_path / f'{dtype}.safetensors'
    portable.save(path, large, {'config': {}, 'step': 0}, dtype=dtype)
    sizes.append(path.stat().st_size)
    params, _ = portable.load(path)
    assert params['a'].dtype == np.float32
    np.testing.assert_allclose(params['a'], large['a'], atol=5e-4)
  assert sizes[1] < 0.52 * sizes[0]


def test_reading_needs_neither_flax_nor_jax(tmp_path):
  path = tmp_path / 'w.safetensors'
  portable.save(path, PARAMS, {'config': {}, 'step': 0})
  code = (
    'import json, sys; from safetensors import safe_open\n'
    f'f = safe_open({str(path)!r}, framework="numpy")\n'
    'print(sorted(f.keys()), json.loads(f.metadata()["sel_jax"])["step"],\n'
    '      bool({"jax", "flax", "sel_jax"} & set(sys.modules)))'
  )
  done = subprocess.run(
    [sys.executable, '-c', code], capture_output=True, text=True
  )
  assert done.stdout.split() == ["['a/kernel',", "'b/c/bias']", '0', 'False']


def test_bad_files_are_named(tmp_path):
  path = tmp_path / 'w.safetensors'
  with pytest.raises(InputError, match='no such file'):
    portable.load(path)
  portable.save(path, PARAMS, {'config': {}, 'step': 0})
  path.write_bytes(path.read_bytes()[:-3])
  with pytest.raises(InputError, match='damaged'):
    portable.load(path)
  safetensors.numpy.save_file({'a': np.ones(2)}, path)
  with pytest.raises(InputError, match='no configuration in its header'):
    portable.load(path)


def test_a_run_enhances_the_same_from_its_portable_weights(
  run, trained, tmp_path
):
  path = tmp_path / 'w.safetensors'
  done = run('convert', trained, path)
  assert done.returncode == 0, done.stderr
  done = run('convert', trained, path)
  assert done.returncode == 2 and '--overwrite' in done.stderr
  image = np.random.default_rng(0).uniform(0, 0.2, (20, 30, 3))
  image = image.astype(np.float32)
  one, two = (Enhancer.from_checkpoint(p) for p in (trained, path))
  assert one.step == two.step
  np.testing.assert_array_equal(one(image), two(image))
  done = run('convert', trained, path, '--dtype=float16', '--overwrite',
             '--note', 'data=pairs = two', '--set', 'eval.steps=1')  # fmt: skip
  assert done.returncode == 0, done.stderr
  half = Enhancer.from_checkpoint(path, steps=one.spec.steps)(image)
  assert 0 < np.abs(half - one(image)).max() < 0.02
  facts = portable.load(path)[1]
  assert facts['notes'] == {'data': 'pairs = two'}
  assert facts['config']['data']['root'] == ''
  assert facts['config']['eval']['steps'] == 1
  done = run('convert', trained, tmp_path / 'x', '--set', 'sde.steps=9')
  assert done.returncode == 2 and 'only eval.* can be' in done.stderr


def test_what_is_plausible_goes_along(run, told, tmp_path):
  """To a file, and from it to a checkpoint; PyTorch's form has no place."""
  path, folder = tmp_path / 'w.safetensors', tmp_path / 'run'
  for source, destination in ((told, path), (path, folder)):
    done = run('convert', source, destination)
    assert done.returncode == 0, done.stderr
  image = np.random.default_rng(0).uniform(0, 0.2, (20, 30, 3))
  image = image.astype(np.float32)
  one, *others = (Enhancer.from_checkpoint(p) for p in (told, path, folder))
  for other in others:
    assert other.plausible(image) == one.plausible(image)
    np.testing.assert_array_equal(other(image, ev=0.5), one(image, ev=0.5))
  done = run('convert', told, tmp_path / 'w.pth')
  assert done.returncode == 2 and 'config.model.exposure=True' in done.stderr


def test_what_pytorch_cannot_express_is_refused(run, tmp_path):
  destination = tmp_path / 'shipped.pth'
  done = run('convert', SHIPPED, destination)
  assert done.returncode == 2 and not destination.exists()
  assert 'config.model.patch=2' in done.stderr
