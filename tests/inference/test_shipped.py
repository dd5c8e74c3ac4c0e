"""The model that comes with the package."""

import numpy as np
import pytest

from sel_jax.data import images
from sel_jax.data.photos import DataSpec
from sel_jax.data.photos import open_photos
from sel_jax.evaluation import metrics
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
  assert shipped.config.data.root == ''
  assert shipped.config.data.leave_test_scenes
  assert shipped.step > 0
  facts = path.with_name(f'{path.name}.json').read_text()
  assert '/tmp' not in facts and '/home' not in facts


def test_it_brightens_a_photograph_it_has_not_seen(shipped):
  photo = open_photos(DataSpec(source='sample'), 'test')[0]
  low = images.to_float(photo.low[:192, :256])
  truth = images.to_uint8(images.to_float(photo.target[:192, :256]))
  output = images.to_uint8(shipped(low))
  before = metrics.psnr(images.to_uint8(low), truth)
  assert metrics.psnr(output, truth) > before + 5
  assert np.ptp(output) > 100


@pytest.mark.slow
def test_it_keeps_its_promise_on_lol(lol):
  """The figures of docs/model.md, on the 15 images of LOL-v1 test."""
  enhancer = Enhancer.from_checkpoint()
  found = []
  for photo in open_photos(DataSpec(root=str(lol)), 'test'):
    truth = images.to_uint8(images.to_float(photo.target))
    output = images.to_uint8(enhancer(images.to_float(photo.low)))
    found.append(metrics.psnr(output, truth))
  assert np.mean(found) >= 18
