"""The model that comes with the package."""

import numpy as np
import pytest

from sel_jax.data.pairs import open_pairs
from sel_jax.data.pairs import PairsSpec
from sel_jax.evaluation import metrics
from sel_jax.images import codec
from sel_jax.inference import Enhancer
from sel_jax.inference import SHIPPED
from sel_jax.inference.enhancer import _resolved


@pytest.fixture(scope='module')
def shipped():
  return Enhancer.from_checkpoint(steps=2)


def test_it_is_small_and_knows_nothing_of_where_it_was_made(shipped):
  path = _resolved(None)
  assert path == _resolved(SHIPPED)
  assert path.stat().st_size <= 25e6
  data = shipped.settings.data.pairs
  assert data.origin.root == ''
  assert data.leave_test_scenes
  assert shipped.step > 0
  facts = path.with_name(f'{path.name}.json').read_text()
  assert '/tmp' not in facts and '/home' not in facts


def test_it_brightens_a_photograph_it_has_not_seen(shipped):
  pair = open_pairs(PairsSpec.create(source='sample'), 'test')[0]
  low = codec.to_float(pair.low[:192, :256])
  clean = codec.to_uint8(codec.to_float(pair.clean[:192, :256]))
  restored = codec.to_uint8(shipped(low))
  before = metrics.psnr(restored=codec.to_uint8(low), clean=clean)
  assert metrics.psnr(restored=restored, clean=clean) > before + 5
  assert np.ptp(restored) > 100


@pytest.mark.slow
def test_it_keeps_its_promise_on_lol(lol):
  """The figures of docs/model.md, on the 15 images of LOL-v1 test."""
  enhancer = Enhancer.from_checkpoint()
  found = []
  for pair in open_pairs(PairsSpec.create(root=str(lol)), 'test'):
    clean = codec.to_uint8(codec.to_float(pair.clean))
    restored = codec.to_uint8(enhancer(codec.to_float(pair.low)))
    found.append(metrics.psnr(restored=restored, clean=clean))
  assert np.mean(found) >= 18
