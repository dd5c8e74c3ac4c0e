import json
from pathlib import Path
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import step
from benchmarks.lib import measure
from sel_jax import entropy
from sel_jax import models
from sel_jax.configs import lol
from sel_jax.interop import torch_weights

ROOT = Path(__file__).parents[2]


def _run(name, *flags):
  done = subprocess.run(
    [sys.executable, '-m', f'benchmarks.{name}', *flags],
    capture_output=True,
    text=True,
    cwd=ROOT,
  )
  assert done.returncode == 0, done.stderr
  return done.stdout


@pytest.mark.parametrize(
  'sizes', ['8', pytest.param('8,12,16', marks=pytest.mark.slow)]
)
def test_entropy_prints_a_table_and_writes_figures(tmp_path, sizes):
  path, count = tmp_path / 'figures.json', len(sizes.split(','))
  flags = (f'--sizes={sizes}', '--levels=4', '--repeats=1', f'--json={path}')
  table = _run('entropy', *flags, '--baseline=dense')
  rows = json.loads(path.read_text())['rows']
  assert [row['form'] for row in rows] == ['dense', 'tiles'] * count
  for dense, tiles in zip(rows[::2], rows[1::2], strict=True):
    assert tiles['value'] == pytest.approx(dense['value'], rel=1e-4)
    assert tiles['times'] == pytest.approx(dense['both'] / tiles['both'])
  assert table.count('| tiles |') == count
  assert ('pixels^' in table) == (count > 2)


def test_data_prints_a_table(tmp_path):
  path = tmp_path / 'figures.json'
  flags = (
    '--batch=4',
    '--steps=10',
    '--busy=0.01',
    '--threads=1',
    '--workers=',
  )
  _run('data', *flags, f'--json={path}')
  rows = json.loads(path.read_text())['rows']
  assert [row['cache'] for row in rows] == ['memory', 'disk', 'none']
  assert all(row['crops/s'] > 0 for row in rows)


def test_a_failed_row_says_why():
  row = measure.in_child('benchmarks.entropy', ['--only=tiles', '--levels=1'])
  assert 'must be at least 2' in row['error']


def test_operations_are_counted_through_loops():
  a = jnp.ones((3, 4))

  def products(x):
    def body(c, _):
      y = jnp.dot(jnp.dot(a, c), jnp.ones((5, 5)))
      return jnp.tile(y, (2, 1))[:4], None

    return jax.lax.scan(body, x, length=7)[0]

  found = step.flops(jax.make_jaxpr(products)(jnp.ones((4, 5))).jaxpr)
  assert found == 7 * 2 * (3 * 5 * 4 + 3 * 5 * 5)
  image, kernel = jnp.ones((2, 6, 8, 3)), jnp.ones((3, 3, 3, 10))
  dimensions = ('NHWC', 'HWIO', 'NHWC')
  conv = lambda x: jax.lax.conv_general_dilated(
    x, kernel, (1, 1), 'SAME', dimension_numbers=dimensions
  )
  found = step.flops(jax.make_jaxpr(conv)(image).jaxpr)
  assert found == 2 * (2 * 6 * 8 * 10) * (3 * 3 * 3)


def test_the_baseline_is_the_same_network_and_loss():
  torch = pytest.importorskip('torch', reason='PyTorch is not installed')
  from benchmarks.lib import torch_baseline

  config = lol.get_config('small').model
  sizes = (config.width, config.enc, config.middle, config.dec)
  torch.manual_seed(0)
  net = torch_baseline.ConditionalNAFNet(*sizes)
  with torch.no_grad():  # the gains start at zero
    for parameter in net.parameters():
      parameter.add_(0.1 * torch.randn_like(parameter))
  weights = {k: v.numpy() for k, v in net.state_dict().items()}
  x, mu = measure.images('photo', 32, 2)
  t = np.array([3, 70])
  ours = models.ConditionalNAFNet(*sizes).apply(
    {'params': torch_weights.nafnet_params(weights)}, x, mu, t
  )
  theirs = [torch.tensor(np.moveaxis(a, -1, 1).copy()) for a in (x, mu)]
  with torch.no_grad():
    output = net(*theirs, torch.tensor(t, dtype=torch.float32)).numpy()
    loss = torch_baseline.hellinger_loss(*theirs, levels=8)
  np.testing.assert_allclose(ours, np.moveaxis(output, 1, -1), atol=1e-3)
  spec = entropy.EntropySpec.reference('hellinger', 8)
  value = entropy.spatial_entropy_loss(
    jnp.asarray(x), jnp.asarray(mu), spec=spec
  )
  assert float(value.mean()) == pytest.approx(float(loss), rel=1e-5)


def test_few_steps_prints_a_table(tmp_path):
  path = tmp_path / 'figures.json'
  _run('few_steps', '--steps=1,2', '--limit=1', f'--json={path}')
  rows = json.loads(path.read_text())['rows']
  assert [row['steps'] for row in rows] == [1, 2]
  assert all(row['psnr low'] <= row['psnr'] for row in rows)
