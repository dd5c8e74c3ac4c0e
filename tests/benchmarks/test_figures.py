"""What the benchmarks' figures must be, whatever the machine."""

import json

import jax
import numpy as np
import pytest

from benchmarks import entropy
from benchmarks import few_steps
from benchmarks import step
from benchmarks.lib import front
from sel_jax import models
from sel_jax.data.pairs import open_pairs
from sel_jax.data.pairs import PairsSpec
from sel_jax.images import codec
from sel_jax.inference import Enhancer
from sel_jax.interop import portable


@pytest.mark.fence
@pytest.mark.parametrize('definition', ['ours', 'reference'])
def test_every_form_measures_the_same_loss(definition):
  flags = ['--sizes=12', '--levels=4', '--repeats=1', '--baseline=dense']
  args = entropy._parse([*flags, f'--definition={definition}'])
  dense, tiles, rows = (
    entropy._row(args, form, 12) for form in ('dense', 'tiles', 'rows')
  )
  assert dense['value'] > 0.01
  for row in (tiles, rows):
    assert row['value'] == pytest.approx(dense['value'], rel=1e-4)
    assert 0 < row['best'] <= row['both']


def test_ratios_are_those_of_the_baseline():
  slow = {'form': 'dense', 'size': 8, 'both': 6.0, 'memory': 90.0}
  quick = {'form': 'tiles', 'size': 8, 'both': 1.5, 'memory': 0.0}
  failed = {'form': 'rows', 'size': 8, 'error': 'no'}
  entropy._compare([slow, quick, failed], 'dense')
  assert (slow['times'], slow['memory times']) == (1, 1)
  assert (quick['times'], quick['memory times']) == (4, 90)
  assert 'times' not in failed


def test_one_row_of_pytorch_stands_for_both_definitions():
  args = entropy._parse(
    ['--definition=reference,ours', '--input=photo,noise', '--sizes=8']
  )
  args.baseline = 'torch'
  cases = entropy._cases(args)
  assert [case['form'] for case in cases] == ['torch', 'tiles', 'tiles'] * 2
  seconds = [6.0, 2.0, 3.0, 8.0, 2.0, 4.0]
  rows = [
    case | {'both': both, 'memory': 1.0}
    for case, both in zip(cases, seconds, strict=True)
  ]
  entropy._compare(rows, 'torch')
  assert [row['times'] for row in rows] == [1, 3, 2, 1, 4, 2]


def test_growth_is_the_slope_over_pixels():
  rows = [
    {'form': 'tiles', 'size': size, 'both': 3e-6 * size**2.5}
    for size in (8, 16, 64)
  ]
  rows.insert(1, {'form': 'dense', 'size': 8, 'both': 9.0})
  assert entropy._growth(rows, 'tiles').endswith('pixels^1.25')
  assert entropy._growth(rows[:3], 'tiles') == ''


def test_windows_are_compared_with_that_of_5():
  rows = [
    {'form': form, 'size': 8, 'window': window, 'best': best}
    for form, window, best in [('tiles', 5, 2.0), ('tiles', 31, 3.0)]
  ]
  rows.append({'form': 'tiles', 'size': 8, 'window': 7, 'error': 'no'})
  rows.append({'form': 'rows', 'size': 8, 'window': 31, 'best': 1.0})
  entropy._widen(rows)
  assert [row.get('to window 5') for row in rows] == [1, 1.5, None, None]
  rows = [rows[0] | {'window': window, 'both': 1.0} for window in (3, 5, 7)]
  assert entropy._growth(rows, 'tiles') == ''


def test_a_step_is_the_round_in_the_middle(monkeypatch):
  """And a case that failed in one round has failed."""
  times = {'l1': [3.0, 1.0, 2.0], 'entropy': [6.0, None, 9.0]}

  def in_child(args, case):
    time = times[case['loss']].pop(0)
    return case | ({'error': 'no'} if time is None else {'seconds': time})

  monkeypatch.setattr(step.rows, 'in_child', in_child)
  cases = [
    {'framework': 'jax', 'loss': loss, 'precision': 'float32'}
    for loss in ('l1', 'entropy')
  ]
  plain, failed = step._rounds(step._parse(['--preset=tiny']), cases)
  assert (plain['seconds'], plain['least'], plain['most']) == (2, 1, 3)
  assert failed['error'] == 'no' and 'seconds' not in failed


def _psnr(restored, clean):
  error = restored.astype(float) - clean.astype(float)
  return 10 * np.log10(255**2 / np.mean(error**2))


@pytest.mark.fence
def test_few_steps_figures_are_those_of_the_images(tmp_path):
  """Each row, recomputed from the images that the same model restores.

  Two images: of the four equally likely resamples two are one image alone, so
  the 95 % interval of the mean ends at the two figures themselves.
  """
  settings = front.settings('tiny')
  network = Enhancer.create(settings).method.model
  weights, path = tmp_path / 'tiny.safetensors', tmp_path / 'figures.json'
  facts = {'config': settings.to_dict(), 'step': 0}
  portable.save(weights, models.init_params(jax.random.key(0), network), facts)
  flags = [f'--checkpoint={weights}', '--steps=1,3', '--metrics=psnr,ssim']
  assert few_steps.main([*flags, f'--json={path}']) == 0
  rows = json.loads(path.read_text())['rows']
  assert [row['steps'] for row in rows] == [1, 3]
  pairs = open_pairs(PairsSpec.create(source='sample'), 'test')
  assert len(pairs) == 2
  for row in rows:
    enhancer = Enhancer.from_checkpoint(weights, steps=row['steps'])
    figures = [
      _psnr(
        codec.to_uint8(enhancer(codec.to_float(pair.low))),
        codec.to_uint8(codec.to_float(pair.clean)),
      )
      for pair in pairs
    ]
    assert figures[0] != pytest.approx(figures[1], abs=0.01)
    assert row['psnr'] == pytest.approx(np.mean(figures), abs=1e-6)
    assert row['psnr low'] == pytest.approx(min(figures), abs=1e-6)
    assert row['psnr high'] == pytest.approx(max(figures), abs=1e-6)
  assert rows[0]['psnr'] != pytest.approx(rows[1]['psnr'], abs=1e-5)
