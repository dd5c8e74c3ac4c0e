"""Every Python block of the guide to the loss runs as it stands.

Run: make check-commands; make test-torch for the block of PyTorch
"""

import os
import re
import subprocess
import sys

from helpers.commands import QUICK_XLA
from helpers.commands import ROOT
from helpers.examples import examples_of
from helpers.examples import run_example
from jax.experimental import checkify
import numpy as np
import pytest

PAGE = ROOT / 'docs' / 'guides' / 'loss.md'
EXAMPLES = examples_of(PAGE)


def _per_image(found):
  assert found['loss'].shape == (4,)
  assert ((found['loss'] > 0) & (found['loss'] < 1)).all()


def _differentiated(found):
  assert 0 < found['value'] < 1
  assert np.isfinite(found['gradient']).all()
  assert np.abs(found['gradient']).max() > 0


def _descends(found):
  assert len(found['losses']) == 20
  assert found['losses'][-1] < 0.8 * found['losses'][0]


def _near(found):
  assert found['distance'].shape == (1,)
  assert 0 < found['distance'] < 1
  same = found['metric'](*2 * [np.float32(found['photo']) / 255])
  np.testing.assert_allclose(same, 0, atol=1e-6)


def _told(text, found):
  """Whether the page has the very figures of its example."""
  told = ', '.join(f'{x:.2f}' for x in found)
  assert told in text.replace('\n', ' '), told


def _widens(found):
  text = PAGE.read_text()
  assert (np.diff(found['values']) < 0).all()
  assert (np.diff([0.5, *found['learned']]) > 0).all()
  _told(text, found['values'])
  assert f'from 0.5 to {found["learned"][-1]:.1f}' in text


def _reaches_torch(found):
  gradient = found['pred'].grad
  assert gradient.shape == found['pred'].shape
  alone = found['value_and_gradient'](
    *(x.detach().numpy().transpose(0, 2, 3, 1) for x in
      (found['pred'], found['target']))
  )  # fmt: skip
  assert found['loss'].item() == pytest.approx(float(alone[0].mean()))
  expected = np.transpose(alone[1], (0, 3, 1, 2)) / 2  # the mean over two
  np.testing.assert_allclose(gradient.numpy(), expected, rtol=1e-5)


# Title of a block -> what holds for the names that it leaves.
HERE = {
  'Four lines': _per_image,
  'When to use it, and when not': _differentiated,
  'Optax alone': _descends,
  'Flax NNX': _descends,
  'Flax Linen': _descends,
  'Equinox': _descends,
  'As a metric': _near,
  'The bandwidth as an array': _widens,
  'Inside PyTorch': _reaches_torch,
}
# Blocks with a test of their own below.
APART = {'Ranges', 'On many devices'}
# Title -> package that may be missing, and what installs it.
EXTRAS = {
  'Equinox': ('equinox', 'make check-commands installs it'),
  'Inside PyTorch': ('torch', 'make test-torch installs it'),
}


def test_every_block_is_run():
  assert EXAMPLES.keys() == HERE.keys() | APART


@pytest.mark.fence
@pytest.mark.parametrize('title', HERE)
def test_a_block_runs_as_it_stands(title):
  if title in EXTRAS:
    package, installs = EXTRAS[title]
    pytest.importorskip(package, reason=installs)
  HERE[title](run_example(EXAMPLES[title]))


@pytest.mark.fence
def test_the_check_says_what_the_page_says():
  with pytest.raises(checkify.JaxRuntimeError) as info:
    run_example(EXAMPLES['Ranges'])
  (told,) = re.findall(r'```text\n(.*?)\n```', PAGE.read_text(), re.S)
  assert told in str(info.value)


# What has been started on one device cannot become eight.
_COUNT = """
import re
for axes in (P('data'), P(None, 'data')):
  pred, target = jax.device_put(tuple(images), NamedSharding(mesh, axes))
  program = value_and_gradient.lower(pred, target, key).compile().as_text()
  print(sorted(set(re.findall(r'(all-gather|collective-permute)\\(', program))))
"""


@pytest.mark.fence
def test_devices_agree_and_exchange_what_the_page_says():
  environment = dict(os.environ, PYTHONPATH=str(ROOT))
  # The block gives the flags itself, as a user would.
  text = EXAMPLES['On many devices'].replace(
    '--xla_force', f'{QUICK_XLA} --xla_force'
  )
  done = subprocess.run(
    [sys.executable, '-c', text + _COUNT],
    cwd=ROOT,
    env=environment,
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr
  batch, height, *exchanged = done.stdout.splitlines()
  assert 'batch' in batch and 'height' in height
  assert "'data'" in batch and "None, 'data'" in height
  assert exchanged == ['[]', "['collective-permute']"]
