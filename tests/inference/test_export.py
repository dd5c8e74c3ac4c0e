"""Exported models run where this package is not."""

import dataclasses
import subprocess
import sys

from helpers.commands import run_process
import jax
import jax.export
import numpy as np
import pytest

from sel_jax import build
from sel_jax.configs import lol
from sel_jax.errors import InputError
from sel_jax.inference import Enhancer
from sel_jax.inference import export
from sel_jax.models import ConditionalNAFNet
from sel_jax.models import init_params
from sel_jax.models import unrolled_params
from sel_jax.settings import Settings

# Reads the artefact, the photographs and the seed; imports none of ours.
FOREIGN = """
import sys
import jax
import jax.export
import numpy as np
artefact, photos, result = sys.argv[1:]
with open(artefact, 'rb') as file:
  model = jax.export.deserialize(bytearray(file.read()))
low = np.load(photos)['low']
np.save(result, np.asarray(jax.jit(model.call)(low, np.uint32(0))))
assert not [name for name in sys.modules if name.startswith('sel_jax')]
"""


def _foreign(script, artefact, tmp_path):
  """What a script that knows nothing of us makes of 'in.npz'."""
  (tmp_path / 'foreign.py').write_text(script)
  done = subprocess.run(
    [sys.executable, 'foreign.py', artefact, 'in.npz', 'out.npy'],
    cwd=tmp_path,
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr
  return np.load(tmp_path / 'out.npy')


def _in_a_fresh_process(artefact, photos, tmp_path):
  np.savez(tmp_path / 'in.npz', low=photos)
  return _foreign(FOREIGN, artefact, tmp_path)


def _photos(*shape):
  rng = np.random.default_rng(0)
  return rng.uniform(0, 0.3, (*shape, 3)).astype(np.float32)


@pytest.mark.fence
def test_the_whole_sampler_runs_in_a_fresh_process(run, trained, tmp_path):
  """Any batch and any size, equal to our own result."""
  path = tmp_path / 'model.stablehlo'
  flags = (f'--checkpoint={trained}', path, '--sampler=dpm2m', '--steps=3')
  done = run('export', *flags)
  assert done.returncode == 0, done.stderr
  assert 'greatest difference' in done.stdout
  enhancer = Enhancer.from_checkpoint(trained, sampler='dpm2m', steps=3)
  for shape in ((1, 64, 32), (2, 32, 96)):
    photos = _photos(*shape)
    found = _in_a_fresh_process(path, photos, tmp_path)
    # The noise of a picture depends on its place in the batch.
    np.testing.assert_allclose(found[0], enhancer(photos[0]), atol=1e-5)
    assert found.shape == photos.shape
  done = run('export', *flags)
  assert done.returncode == 2 and '--overwrite' in done.stderr


def test_fixed_sizes_and_refusals(run, trained, tmp_path):
  here = f'--checkpoint={trained}'
  path = tmp_path / 'model.stablehlo'
  for flags, sentence in (
    ((path, '--size=100x64'), 'multiples of 32'),
    ((path, '--pool=64'), '--size'),
    ((tmp_path / 'model.tflite',), '.stablehlo or .onnx'),
  ):
    done = run('export', here, *flags)
    assert done.returncode == 2 and sentence in done.stderr, done.stderr
    assert not path.exists()
  done = run('export', here, path, '--size=32x64', '--pool=33')
  assert done.returncode == 0, done.stderr
  enhancer = Enhancer.from_checkpoint(trained, pool=33)
  photos = _photos(1, 32, 64)
  found = _in_a_fresh_process(path, photos, tmp_path)
  np.testing.assert_allclose(found[0], enhancer(photos[0]), atol=1e-5)


@pytest.mark.parametrize('patch', [3, pytest.param(5, marks=pytest.mark.slow)])
def test_free_sizes_are_multiples_of_the_networks_own(patch, tmp_path):
  config = lol.get_config('tiny')
  config.model.patch = patch
  settings = Settings.parse(config)
  params = init_params(jax.random.key(0), build.build_method(settings).model)
  enhancer = Enhancer.create(settings, params=params)
  path = tmp_path / 'model.stablehlo'
  with pytest.raises(InputError, match=f'multiples of {32 * patch}'):
    export.stablehlo(enhancer, path, size=(64, 64))
  export.stablehlo(enhancer, path, platforms=('cpu',))
  model = jax.export.deserialize(bytearray(path.read_bytes()))
  photos = _photos(2, 32 * patch, 64 * patch)
  found = jax.jit(model.call)(photos, np.uint32(0))
  np.testing.assert_allclose(found[0], enhancer(photos[0]), atol=1e-5)
  with pytest.raises(ValueError, match='shape'):
    jax.jit(model.call)(_photos(1, 64, 64), np.uint32(0))


def test_a_model_that_comes_out_different_is_not_written(
  trained, tmp_path, monkeypatch
):
  monkeypatch.setattr(export, '_ENOUGH', -1.0)
  with pytest.raises(ArithmeticError, match='nothing was written'):
    export.stablehlo(
      Enhancer.from_checkpoint(trained), tmp_path / 'a.stablehlo', size=(32, 32)
    )
  assert list(tmp_path.iterdir()) == []


def test_blocks_one_by_one_equal_the_scan():
  model = ConditionalNAFNet(4, (1, 2), 2, (2, 1))
  params = init_params(jax.random.key(0), model)
  params = jax.tree.map(lambda leaf: leaf + 0.05, params)
  photos = _photos(2, 32, 32)
  x = photos[::-1]
  expected = jax.jit(model.apply)({'params': params}, x, photos, 3)
  loop = dataclasses.replace(model, scan=False)
  unrolled = unrolled_params(params)
  found = jax.jit(loop.apply)({'params': unrolled}, x, photos, 3)
  np.testing.assert_allclose(found, expected, atol=1e-5)


def test_onnx_without_its_converter_says_what_to_do(trained, tmp_path):
  try:
    import jax2onnx  # noqa: F401
  except ImportError:
    with pytest.raises(InputError, match='environment of its own'):
      export.onnx(Enhancer.from_checkpoint(trained), tmp_path / 'a.onnx')
    return
  pytest.skip('the converter is installed')


# onnxruntime and NumPy alone.
ONNX_FOREIGN = """
import sys
import numpy as np
import onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
inputs = dict(np.load(sys.argv[2]))
np.save(sys.argv[3], session.run(None, inputs)[0])
assert not {'jax', 'flax', 'sel_jax'} & set(sys.modules)
"""


@pytest.mark.slow
def test_onnx_gives_the_network_in_onnxruntime(trained, tmp_path):
  """Needs the converter: `make test-onnx`."""
  pytest.importorskip('jax2onnx', reason='make test-onnx installs it')
  path = tmp_path / 'model.onnx'
  done = run_process('export', f'--checkpoint={trained}', path, '--size=64x32')
  assert done.returncode == 0, done.stderr
  low = _photos(1, 64, 32)
  inputs = {'x': low[:, ::-1].copy(), 'mu': low, 't': np.full(1, 3, np.float32)}
  np.savez(tmp_path / 'in.npz', **inputs)
  found = _foreign(ONNX_FOREIGN, path, tmp_path)
  enhancer = Enhancer.from_checkpoint(trained)
  expected = enhancer.method.estimate_noise(
    enhancer.params, inputs['x'], low, np.full(1, 3)
  )
  np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.slow
def test_onnx_has_an_input_for_the_exposure(told, tmp_path):
  """Needs the converter: `make test-onnx`."""
  pytest.importorskip('jax2onnx', reason='make test-onnx installs it')
  path, low = tmp_path / 'model.onnx', _photos(1, 64, 32)
  done = run_process('export', f'--checkpoint={told}', path, '--size=64x32')
  assert done.returncode == 0, done.stderr
  enhancer, t = Enhancer.from_checkpoint(told), np.full(1, 3, np.float32)
  for e in (0.3, np.nan):
    asked = np.full(1, e, np.float32)
    inputs = {'x': low[:, ::-1].copy(), 'mu': low, 't': t, 'exposure': asked}
    np.savez(tmp_path / 'in.npz', **inputs)
    found = _foreign(ONNX_FOREIGN, path, tmp_path)
    expected = enhancer.method.estimate_noise(
      enhancer.params, inputs['x'], low, np.full(1, 3), exposure=asked
    )
    np.testing.assert_allclose(found, expected, atol=1e-4)
