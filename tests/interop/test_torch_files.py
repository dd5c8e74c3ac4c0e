"""PyTorch's files: the release's names, both networks, both ways."""

import collections
import itertools
import json
import pickle

from conftest import nhwc
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.lib import measure
from sel_jax import interop
from sel_jax.inference import Enhancer
from sel_jax.interop import torch_weights
from sel_jax.models import ConditionalNAFNet
from sel_jax.models import ConditionalUNet
from sel_jax.models import init_params

torch = pytest.importorskip('torch', reason='reads files of PyTorch')

NETWORKS = ('nafnet', 'unet')


def _state(numbers):
  return {
    name.removeprefix('params/'): value
    for name, value in numbers.items()
    if name.startswith('params/')
  }


def _tensors(state, prefix=''):
  pairs = [
    (prefix + n, torch.from_numpy(np.array(v))) for n, v in state.items()
  ]
  return collections.OrderedDict(pairs)


@pytest.mark.parametrize('name', NETWORKS)
def test_a_published_file_becomes_a_checkpoint_of_equal_output(
  golden, name, run, tmp_path
):
  numbers = golden(name)
  path, folder = tmp_path / 'lastest_EMA.pth', tmp_path / 'ours'
  torch.save(_tensors(_state(numbers), 'module.'), path)
  done = run('convert', path, folder, '--set', 'sde.steps=20', '--set',
             'eval.steps=4')  # fmt: skip
  assert done.returncode == 0, done.stderr
  enhancer = Enhancer.from_checkpoint(folder)
  assert enhancer.settings.sde.spec.steps == 20 and enhancer.spec.steps == 4
  cfg = json.loads(str(numbers['cfg']))
  assert enhancer.settings.model.network.width == cfg.get(
    'width', cfg.get('nf')
  )
  found = jax.jit(enhancer.method.model.apply)(
    {'params': enhancer.params},
    nhwc(numbers['x']),
    nhwc(numbers['cond']),
    jnp.asarray(numbers['t']),
  )
  np.testing.assert_allclose(found, nhwc(numbers['out']), atol=1e-5)


@pytest.mark.parametrize('name', NETWORKS)
def test_every_round_trip_is_exact(golden, name, run, tmp_path):
  """PyTorch -> ours -> portable -> ours -> PyTorch, to the last bit."""
  state = _state(golden(name))
  chain = [
    tmp_path / part
    for part in ('a.pth', 'ours', 'b.safetensors', 'again', 'c.pth')
  ]
  torch.save(_tensors(state), chain[0])
  for source, destination in itertools.pairwise(chain):
    flags = (
      ('--set', 'eval.steps=5', '--set', 'sde.steps=9')
      if source is chain[0]
      else ()
    )
    done = run('convert', source, destination, *flags)
    assert done.returncode == 0, done.stderr
  again = torch.load(chain[-1], weights_only=True)
  assert again.keys() == state.keys()
  for tensor, value in state.items():
    np.testing.assert_array_equal(again[tensor].numpy(), value, tensor)


MODELS = [
  ConditionalNAFNet(4, (1, 2, 1), 2, (2, 1, 1)),
  ConditionalNAFNet(6, (1,), 0, (3,)),
  ConditionalUNet(4, 3),
  ConditionalNAFNet(6, (1,), 0, (3,), exposure=True),
  ConditionalUNet(4, 3, exposure=True),
]


@pytest.mark.parametrize('model', MODELS)
def test_shapes_tell_the_model_and_renaming_inverts(model):
  params = init_params(jax.random.key(0), model)
  name = 'unet' if isinstance(model, ConditionalUNet) else 'nafnet'
  state = interop.to_state(name, params)
  found = interop.infer_model(state)
  assert found.pop('name') == name
  assert all(getattr(model, key) == value for key, value in found.items())
  again = interop.to_params(name, state, params)
  assert jax.tree.structure(again) == jax.tree.structure(params)
  jax.tree.map(np.testing.assert_array_equal, again, params)


def test_larger_files_give_their_average(golden, tmp_path):
  state = _state(golden('unet'))
  other = {name: value + 1 for name, value in state.items()}
  wrapped = {
    'ema-pytorch': {
      **_tensors(other, 'online_model.'),
      **_tensors(state, 'ema_model.module.'),
      'initted': torch.tensor(True),
      'step': torch.tensor(7),
    },
    'basicsr': {'params': _tensors(other), 'params_ema': _tensors(state)},
    'lightning': {'state_dict': _tensors(state), 'epoch': 3},
    'half': _tensors({n: v.astype(np.float16) for n, v in state.items()}),
  }
  for kind, content in wrapped.items():
    path = tmp_path / f'{kind}.pth'
    torch.save(content, path)
    found = interop.read_state(path)
    assert found.keys() == state.keys(), kind
    atol = 1e-2 if kind == 'half' else 0
    for name, value in state.items():
      assert found[name].dtype == np.float32
      np.testing.assert_allclose(found[name], value, rtol=0, atol=atol)


def test_what_lies_beside_the_network_is_not_read(golden, tmp_path):
  path, side = tmp_path / 'state.pth', 8192  # 256 MiB of optimizer
  moments = {'state': {0: {'exp_avg': torch.ones(side, side)}}}
  average = _tensors(_state(golden('nafnet')), 'module.')
  torch.save({'params_ema': average, 'optimizer': moments}, path)
  interop.read_state(path)  # loads PyTorch
  grown = measure.peak_extra_megabytes(lambda: interop.read_state(path))
  assert grown < 64


def test_files_of_pytorch_before_1_6_are_read(golden, tmp_path):
  path, state = tmp_path / 'old.pth', _state(golden('unet'))
  torch.save(_tensors(state), path, _use_new_zipfile_serialization=False)
  found = interop.read_state(path)
  for name, value in state.items():
    np.testing.assert_array_equal(found[name], value)


class Malicious:
  """Runs a command when it is read."""

  def __init__(self, path):
    self.path = path

  def __reduce__(self):
    return (open, (str(self.path), 'w'))


@pytest.mark.parametrize('form', ['torch', 'plain pickle', 'nested'])
def test_a_malicious_pickle_is_refused(form, run, tmp_path):
  mark, path = tmp_path / 'was-here', tmp_path / 'evil.pth'
  evil = Malicious(mark)
  if form == 'plain pickle':
    path.write_bytes(pickle.dumps(evil))
  else:
    content = {'intro.weight': evil}
    if form == 'nested':
      content = {'state_dict': {'intro.weight': torch.ones(1)}, 'extra': evil}
    torch.save(content, path)
  done = run('convert', path, tmp_path / 'out')
  assert done.returncode == 2
  assert done.stderr.startswith(f'error: {path}: ')
  assert not mark.exists()
  assert not (tmp_path / 'out').exists()


def test_tensors_that_do_not_fit_are_named(golden, run, tmp_path):
  state = _state(golden('nafnet'))
  path = tmp_path / 'a.pth'
  cases = {
    'missing: ending.bias': lambda s: s.pop('ending.bias'),
    'foreign: extra.weight': lambda s: s.update({'extra.weight': np.ones(2)}),
    'ending.weight of nafnet is (4, 8, 3, 3) and should be (3, 8, 3, 3)':
      lambda s: s.update({'ending.weight': np.ones((4, 8, 3, 3))}),
    'neither ConditionalNAFNet nor': lambda s: s.pop('intro.weight'),
    'holds no state dict': lambda s: s.clear(),
  }  # fmt: skip
  for sentence, spoil in cases.items():
    spoiled = dict(state)
    spoil(spoiled)
    torch.save(_tensors(spoiled), path)
    done = run('convert', path, tmp_path / 'out', '--overwrite')
    assert done.returncode == 2 and sentence in done.stderr, done.stderr
    assert 'Traceback' not in done.stderr
  for content in (b'', b'hello', b'PK\x03\x04'):
    path.write_bytes(content)
    done = run('convert', path, tmp_path / 'out')
    assert done.returncode == 2 and str(path) in done.stderr
  assert not (tmp_path / 'out').exists()


def test_files_are_not_overwritten_and_settings_are_checked(
  golden, run, tmp_path
):
  source, destination = tmp_path / 'a.pth', tmp_path / 'b.pth'
  torch.save(_tensors(_state(golden('unet'))), source)
  destination.write_text('mine')
  done = run('convert', source, destination)
  assert done.returncode == 2 and '--overwrite' in done.stderr
  assert destination.read_text() == 'mine'
  for text in ('sde', 'sde.stepps=3', 'sde.steps=many', 'sde.eps=2.0'):
    done = run('convert', source, tmp_path / 'new', '--set', text)
    assert done.returncode == 2 and done.stderr.startswith('error: ')
  assert run('convert', source, tmp_path / 'new').returncode == 0
  done = run('convert', source, tmp_path / 'new')
  assert done.returncode == 2 and 'holds checkpoints already' in done.stderr
  done = run(
    'train', '--config=configs/lol.py:tiny', '--config.data.source=sample',
    f'--workdir={tmp_path / "new"}',
  )  # fmt: skip
  assert done.returncode == 2 and 'holds weights alone' in done.stderr
  assert f'--init={tmp_path / "new"} and another' in done.stderr


def test_foreign_parameters_are_named():
  with pytest.raises(ValueError, match='novel'):
    torch_weights.nafnet_state({'novel': {'kernel': np.ones((1, 1))}})
  with pytest.raises(ValueError, match='novel'):
    torch_weights.unet_state({'novel': {'kernel': np.ones((1, 1))}})
