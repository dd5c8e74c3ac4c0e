"""Photographs that nobody has a clean one of."""

import csv
import json
import math
import re

from helpers.commands import refused
import numpy as np
import pytest

from sel_jax.data import photographs
from sel_jax.errors import InputError
from sel_jax.evaluation import evaluator
from sel_jax.evaluation import html_report
from sel_jax.evaluation import metrics
from sel_jax.evaluation import text_report
from sel_jax.evaluation.shots import Shot
from sel_jax.images import codec


def _image(seed, low=0, high=60, size=(48, 64)):
  rng = np.random.default_rng(seed)
  return rng.integers(low, high, (*size, 3)).astype(np.uint8)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """Three dark photographs, two methods' results of them, nothing else."""
  root = tmp_path_factory.mktemp('alone')
  for name, gain in (('photos', 1), ('twice', 2), ('thrice', 3)):
    (root / name).mkdir()
    for n in (1, 2, 10):
      codec.write_image(root / name / f'p{n}.png', gain * _image(n))
  return root / 'photos'


def _of(name, image, low):
  return metrics.UNPAIRED[name].function(restored=image, low=low)


def test_each_figure_by_hand():
  low = np.full((48, 64, 3), 10, np.uint8)
  restored = np.full((48, 64, 3), 51, np.uint8)
  restored[:12, :16] = 0
  restored[12:24, :16, 1] = 255
  shares = 100 * 12 * 16 / (48 * 64)
  assert _of('black', restored, low) == pytest.approx(shares)
  assert _of('white', restored, low) == pytest.approx(shares)
  mean = (51 * (1 - shares / 100) + 204 / 3 * shares / 100) / 255
  assert _of('exposure', restored, low) == pytest.approx(mean)
  stops = 2.2 * math.log2((restored.mean() + 0.5) / 10.5)
  assert _of('stops', restored, low) == pytest.approx(stops)
  assert _of('stops', low, low) == 0


def test_structure_is_that_of_the_photograph_whatever_its_brightness():
  low = _image(0, size=(96, 128))
  assert _of('structure', low, low) == pytest.approx(1)
  assert _of('structure', 3 * low, low) > 0.99
  grain = np.random.default_rng(1).normal(0, 4, low.shape)
  noisy = np.clip(3.0 * low + grain, 0, 255).astype(np.uint8)
  assert _of('structure', noisy, low) > 0.95
  assert _of('structure', _image(7, size=(96, 128)), low) < 0.7
  assert math.isnan(_of('structure', low[:20], low[:20]))


def test_niqe_looks_at_the_result_alone():
  image = _image(0, 0, 255, (192, 192))
  expected = metrics.naturalness(restored=image, clean=image)
  assert _of('niqe', image, image // 9) == expected


def test_a_folder_of_photographs_is_told_from_one_of_pairs(folder, pairs):
  assert photographs.is_folder(folder)
  assert not photographs.is_folder(pairs)
  assert not photographs.is_folder(folder.parent)  # no image in it
  assert not photographs.is_folder(folder / 'nowhere')


def test_they_are_read_in_natural_order(folder):
  found = photographs.Photographs(folder)
  assert [pair.name for pair in found] == ['p1', 'p2', 'p10']
  assert not found.has_clean and found.size(0) == (48, 64)
  assert len(set(found.marks())) == 3


def test_two_of_one_name_are_refused(tmp_path):
  for name in ('a.png', 'a.jpg'):
    codec.write_image(tmp_path / name, _image(0))
  with pytest.raises(InputError, match=r"a\.png and 'a\.jpg' have one name"):
    photographs.Photographs(tmp_path)


def test_rows_have_no_figure_that_needs_an_answer(folder):
  found = photographs.Photographs(folder)
  seen = []

  def on_image(name, *, low, restored, clean):
    seen.append(name)
    np.testing.assert_array_equal(restored, 2 * low)
    assert clean is None

  rows = evaluator.evaluate_outputs(
    folder.parent / 'twice',
    found,
    names=tuple(metrics.UNPAIRED),
    on_image=on_image,
  )
  assert seen == ['p1', 'p2', 'p10']
  assert set(rows[0]) == {'name', *metrics.UNPAIRED}
  table = text_report.format_table(rows, 'heading')
  assert 'blocks of 96' in table and 'GT-mean' not in table


@pytest.fixture(scope='module')
def page(tmp_path_factory):
  rows = [{'name': f'<{n}>', 'niqe': 4.0 + n, 'exposure': 0.4} for n in (0, 1)]
  entries = [
    text_report.Entry('<ours>', {'data': 'a & b'}, rows),
    text_report.Entry('other', {}, [{**row, 'niqe': 3.0} for row in rows]),
  ]
  shot = Shot.create(low=_image(0), restored=_image(1), clean=None)
  shots = {entry.name: {'<0>': shot, '<1>': shot} for entry in entries}
  path = tmp_path_factory.mktemp('report') / 'a.html'
  html_report.write_html(path, entries, shots)
  return path.read_text()


def test_the_page_has_every_picture_of_a_photograph_once(page):
  assert page.count('class="card photograph"') == 2
  assert page.count('src="data:image/jpeg;base64,') == 2 * 3
  assert page.count('<select') == 2 * 2
  assert page.count('class="left"') == page.count('class="right"') == 2
  assert 'class="pair"' not in page and 'by PSNR' not in page
  assert 'http' not in re.sub(r'base64,[^"]*', '', page)


def test_what_comes_from_outside_is_escaped(page):
  assert '&lt;ours&gt;' in page and '<ours>' not in page
  assert '&lt;1&gt;' in page and '<1>' not in page


def test_the_best_is_marked_where_there_is_a_better(page):
  assert re.findall(r'class="best">([\d.]+)<', page) == ['3.00']


def test_the_command_puts_models_and_outputs_beside_one_another(
  run, folder, trained, tmp_path
):
  figures, lines, page = (
    tmp_path / f'a.{end}' for end in ('json', 'csv', 'html')
  )
  done = run(
    'evaluate', f'--checkpoint={trained}', f'--data={folder}',
    f'--outputs=twice={folder.parent}/twice', f'--json={figures}',
    f'--csv={lines}', f'--html={page}', f'--output={tmp_path}/images',
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  entries = json.loads(figures.read_text())['entries']
  assert [entry['name'] for entry in entries] == [str(trained), 'twice']
  assert entries[0]['protocol']['images'] == 3
  assert set(entries[1]['summary']) == set(metrics.UNPAIRED)
  assert set(entries[0]['summary']) == {*metrics.UNPAIRED, 'seconds'}
  written = sorted(path.name for path in (tmp_path / 'images').iterdir())
  assert written == ['p1.png', 'p10.png', 'p2.png']
  restored = codec.read_image(tmp_path / 'images' / 'p2.png')
  mean = entries[0]['images'][1]['exposure']
  assert mean == pytest.approx(restored.mean() / 255)
  with open(lines, newline='') as file:
    assert len(list(csv.DictReader(file))) == 6
  assert page.read_text().count('class="card photograph"') == 3


def test_what_methods_saved_is_compared_without_a_model(run, folder):
  outputs = [f'{name}={folder.parent}/{name}' for name in ('twice', 'thrice')]
  done = run('compare', f'--data={folder}', *outputs)
  assert done.returncode == 0, done.stderr
  assert 'stops' in done.stdout and 'PSNR' not in done.stdout
  done = run('compare', f'--data={folder}', *outputs, '--dry-run')
  assert done.returncode == 0
  assert 'would measure twice, thrice on 3 photographs of' in done.stdout


def test_what_needs_an_answer_is_refused(run, folder, trained, tmp_path):
  data = (f'--checkpoint={trained}', f'--data={folder}')
  done = run('evaluate', *data, '--metrics=psnr')
  refused(done, "'psnr' is none of niqe, exposure", 'need no clean')
  refused(run('evaluate', *data, '--fid'), '--fid', 'no clean photographs')
  refused(run('evaluate', *data, '--split=val'), 'in no split')
  codec.write_image(tmp_path / 'p1.png', _image(0))
  outputs = f'--outputs=mine={tmp_path}'
  refused(run('evaluate', *data, outputs), "no output for pair 'p2'")
