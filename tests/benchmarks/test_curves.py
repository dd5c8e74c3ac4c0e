"""The curve of the model card."""

import json
import xml.etree.ElementTree

import pytest

from benchmarks import pictures
from benchmarks.lib import curves
from sel_jax.errors import InputError

LINES = [
  {'part': 'one', 'step': 100, 'loss': 0.5},
  {'part': 'one', 'step': 200, 'val/psnr_given': 20.0, 'val/ssim': 0.5},
  {'part': 'one', 'step': 300, 'loss': 0.4},
  {'part': 'two', 'step': 50, 'val/psnr_given': 22.0, 'val/ssim': 0.7},
  {'part': 'two', 'step': 150, 'val/psnr_given': 23.0, 'val/ssim': 0.6},
]


@pytest.fixture
def log(tmp_path):
  path = tmp_path / 'log.jsonl'
  path.write_text('\n'.join(map(json.dumps, LINES)))
  return path


def test_updates_are_counted_on_from_part_to_part(log):
  one, two = curves.read(log)
  assert (one.first, one.last, two.first, two.last) == (0, 300, 300, 450)
  assert sorted(two.validated) == [350, 450]
  assert one.row() == {
    'part': 'one',
    'updates': 300,
    'psnr_given': 20.0,
    'ssim': 0.5,
  }


def test_the_log_of_one_run_is_one_part(log):
  lines = [{k: v for k, v in line.items() if k != 'part'} for line in LINES[:3]]
  log.write_text('\n'.join(map(json.dumps, lines)))
  (part,) = curves.read(log)
  assert (part.name, part.first, part.last) == ('', 0, 300)


def test_the_picture_has_what_was_validated(log, tmp_path, capsys):
  flags = ['--pictures=curve.svg', f'--log={log}', f'--folder={tmp_path}']
  assert pictures.main(flags) == 0
  assert '| curve.svg | two | 150 | 23.000 | 0.600 |' in capsys.readouterr().out
  first = (tmp_path / 'curve.svg').read_bytes()
  text = ''.join(xml.etree.ElementTree.fromstring(first).itertext())
  for words in ('one', 'two', 'PSNR, exposure given, dB', 'SSIM', 'updates'):
    assert words in text
  assert 'GT-mean' not in text
  assert pictures.main(flags) == 0
  assert (tmp_path / 'curve.svg').read_bytes() == first


@pytest.mark.parametrize(
  ('text', 'words'),
  [
    (None, 'no log of a training run'),
    ('no JSON', 'no log of a training run'),
    ('[1]', 'no log of a training run'),
    ('', 'no validation to draw'),
    ('{"step": 1, "loss": 2.0}', 'no validation to draw'),
  ],
)
def test_what_is_no_log_is_named(text, words, tmp_path):
  path = tmp_path / 'log.jsonl'
  if text is not None:
    path.write_text(text)
  with pytest.raises(InputError, match=f'log.jsonl: .*{words}'):
    curves.read(path)
