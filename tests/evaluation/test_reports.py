import csv
import dataclasses
import json
import math
import re

from helpers.commands import refused
import numpy as np
import pytest

from sel_jax.data import tfds
from sel_jax.data import whereabouts
from sel_jax.evaluation import html_report
from sel_jax.evaluation import text_report
from sel_jax.images import codec


def _entry(name, offset=0.0, count=7):
  fixed = {
    'ssim': 0.5,
    'psnr_gt_mean': 23.0,
    'ssim_gt_mean': math.nan,
    'delta_e_gt_mean': 5.0,
    'seconds': 0.1,
  }
  rows = [
    {'name': f'<{n}>', 'psnr': 20 + n + offset, 'delta_e': 9.0 - n, **fixed}
    for n in range(count)
  ]
  return text_report.Entry(name, {'data': 'a & b', 'images': count}, rows)


def test_tables_keep_order_and_say_what_is_better():
  entries = [_entry('first'), _entry('second', offset=1.0)]
  columns = text_report.columns(entries[0].rows)
  assert list(columns) == [
    'psnr', 'ssim', 'delta_e', 'psnr_gt_mean', 'ssim_gt_mean',
    'delta_e_gt_mean', 'seconds',
  ]  # fmt: skip
  table = text_report.compare_table(entries)
  lines = table.splitlines()
  assert '23.00' in lines[1] and '24.00' in lines[3]
  assert len({len(line) for line in lines[:-1]}) == 1
  summary = text_report.summarize(entries[0].rows)
  assert summary['psnr']['count'] == 7 and summary['ssim_gt_mean']['count'] == 0
  assert summary['psnr']['low'] < 23 < summary['psnr']['high']


@pytest.mark.parametrize('first', [0, 1])
def test_an_entry_that_cannot_be_told_the_exposure_leaves_it_blank(
  first, tmp_path
):
  told = _entry('told')
  rows = [{**row, 'psnr_given': 25.0} for row in told.rows]
  entries = [_entry('plain'), dataclasses.replace(told, rows=rows)]
  entries = entries[first:] + entries[:first]
  table = text_report.compare_table(entries)
  head, *lines = table.splitlines()
  assert head.split()[-3:] == ['DeltaE*', 'PSNR+', 'seconds']
  assert '25.00' in table and lines[-1].startswith('+ exposure given')
  assert len({len(line) for line in table.splitlines()[:5]}) == 1
  path = tmp_path / 'a.csv'
  text_report.write_csv(path, entries)
  with open(path, newline='') as file:
    found = {row['entry']: row['psnr_given'] for row in csv.DictReader(file)}
  assert found == {'plain': '', 'told': '25.0'}
  page = tmp_path / 'a.html'
  html_report.write_html(page, entries, {})
  text = page.read_text()
  assert text.count('<td></td>') == 1 and '+ exposure given' in text
  assert '* GT-mean' in text
  one = text_report.format_table(rows, 'a heading')
  assert 'PSNR+' in one and one.splitlines()[-1].startswith('+ exposure given')


def test_csv_has_a_line_an_image(tmp_path):
  path = tmp_path / 'a.csv'
  text_report.write_csv(path, [_entry('first'), _entry('second')])
  with open(path, newline='') as file:
    rows = list(csv.DictReader(file))
  assert len(rows) == 14 and rows[7]['entry'] == 'second'
  assert float(rows[3]['psnr']) == 23.0 and rows[3]['image'] == '<3>'


@pytest.fixture(scope='module')
def page(tmp_path_factory):
  path = tmp_path_factory.mktemp('report') / 'a.html'
  rng = np.random.default_rng(0)
  entries = [_entry('<first>'), _entry('second', offset=1.0)]
  shots = {
    entry.name: {
      row['name']: html_report.Shot.create(
        **{
          side: rng.integers(0, 255, (24, 40, 3), dtype=np.uint8)
          for side in ('low', 'restored', 'clean')
        }
      )
      for row in entry.rows
    }
    for entry in entries
  }
  html_report.write_html(path, entries, shots)
  return path.read_text()


def test_the_report_stands_alone(page):
  loaded = re.findall(r'(?:src|href)="([^"]*)"', page)
  assert loaded and all(s.startswith('data:image/jpeg;base64,') for s in loaded)
  assert 'http' not in re.sub(r'base64,[^"]*', '', page)
  assert page.count('class="card"') == 2 * 2 * html_report.SHOWN


def test_what_comes_from_outside_is_escaped(page):
  assert '&lt;first&gt;' in page and '<first>' not in page
  assert '&lt;3&gt;' in page and '<3>' not in page
  assert 'a &amp; b' in page


def test_best_figures_are_marked(page):
  best = re.findall(r'class="best">([\d.]+)<', page)
  assert '24.00' in best and '23.00*' not in best
  assert best.count('0.5000') == 2  # a draw


def test_saved_outputs_are_compared(run, pairs, trained, tmp_path):
  restored = tmp_path / 'restored'
  figures = tmp_path / 'one.json'
  done = run(
    'evaluate', f'--checkpoint={trained}', f'--checkpoint={trained}/',
    f'--data={pairs}', '--metrics=psnr,delta_e', f'--json={figures}',
    f'--output={restored}',
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  one = json.loads(figures.read_text())['entries'][0]
  again, page = tmp_path / 'two.json', tmp_path / 'report.html'
  done = run(
    'compare', f'--data={pairs}', f'low={pairs}/test/low',
    f'ours={restored}/0_tiny', '--metrics=psnr,delta_e', f'--json={again}',
    f'--html={page}', f'--csv={tmp_path / "two.csv"}',
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  two = {e['name']: e for e in json.loads(again.read_text())['entries']}
  for key in ('psnr', 'delta_e', 'psnr_gt_mean'):
    mean = two['ours']['summary'][key]['mean']
    assert mean == pytest.approx(one['summary'][key]['mean'])
  assert '<h2>ours</h2>' in page.read_text()


def test_a_set_of_records_is_measured_as_its_folder(run, pairs, tmp_path):
  tfds.prepare(tmp_path, pairs, 'low_light_pairs')
  shown = [
    run('compare', *data, f'low={pairs}/test/low', '--metrics=psnr').stdout
    for data in (
      [f'--data={pairs}'],
      [f'--data={tmp_path}', '--tfds=low_light_pairs'],
    )
  ]
  folder, records = (text.splitlines()[1:] for text in shown)
  assert folder == records and any('PSNR' in line for line in folder)


def test_the_set_of_the_model_that_ships_is_looked_for(
  run, pairs, tmp_path, monkeypatch
):
  monkeypatch.setattr(whereabouts, '_parents', lambda: [tmp_path])
  done = run('evaluate', '--metrics=psnr')
  refused(done, 'lol_v1: ', f'no folder {tmp_path}/lol_v1', '--data')
  (tmp_path / 'lol_v1').symlink_to(pairs)
  done = run('evaluate', '--metrics=psnr', '--dry-run')
  assert done.returncode == 0 and f'{tmp_path}/lol_v1' in done.stdout


def test_what_is_missing_is_named(run, pairs, tmp_path):
  folder = tmp_path / 'restored'
  data = f'--data={pairs}'
  done = run('compare', data, f'a={folder}')
  assert done.returncode == 2 and str(folder) in done.stderr
  folder.mkdir()
  done = run('compare', data, f'a={folder}', '--metrics=psnr')
  assert done.returncode == 2 and "no output for pair '0'" in done.stderr
  codec.write_image(folder / '0.png', np.zeros((5, 5, 3), np.uint8))
  done = run('compare', data, f'a={folder}', '--metrics=psnr')
  assert done.returncode == 2 and 'is 5x5 and its clean image 30' in done.stderr
  done = run('compare', data, f'a={folder}', f'a={folder}')
  assert done.returncode == 2 and 'a name of its own' in done.stderr
  done = run('compare', data, f'a={folder}', '--metrics=psnr,beauty')
  assert done.returncode == 2 and "'beauty' is none of" in done.stderr
