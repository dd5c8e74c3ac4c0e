"""Configurations for the other published sets, on sets of their layout."""

import json

import numpy as np
import pytest

from sel_jax.commands import config_files
from sel_jax.errors import InputError
from sel_jax.images import codec
from sel_jax.settings import Settings


def _write(root, folders, size, count=9, pattern='{}.png'):
  """Noisy pairs, each of a scene of its own."""
  rng = np.random.default_rng(0)
  for n in range(count):
    coarse = rng.integers(60, 256, (5, 6, 3), dtype=np.uint8)
    clean = np.kron(coarse, np.ones((8, 8, 1), np.uint8))[: size[0], : size[1]]
    for folder, image in zip(folders, (clean // 9, clean), strict=True):
      name = pattern.format(n, side='low' if image is not clean else 'normal')
      (root / folder).mkdir(parents=True, exist_ok=True)
      codec.write_image(root / folder / name, image)
  return root


def _train(run, config, root, workdir, **keys):
  keys |= {'data.root': root, 'data.held_out': 2, 'train.steps': 2}
  return run(
    'train',
    f'--config={config}',
    f'--workdir={workdir}',
    *(f'--config.{key}={value}' for key, value in keys.items()),
  )


def test_lol_v2_trains_and_is_measured(run, tmp_path):
  root = tmp_path / 'LOL-v2'
  for split in ('Train', 'Test'):
    folders = f'{split}/Low', f'{split}/Normal'
    _write(root, folders, (32, 48), pattern='{side}{0:05d}.png')
  done = _train(run, 'configs/lol_v2.py:real,tiny', root, tmp_path / 'run')
  assert done.returncode == 0, done.stderr
  out = tmp_path / 'figures.json'
  done = run(
    'evaluate', f'--checkpoint={tmp_path / "run"}', f'--data={root}',
    '--metrics=psnr', f'--json={out}',
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  (entry,) = json.loads(out.read_text())['entries']
  assert len(entry['images']) == 9 and entry['images'][0]['name'] == '00000'


def test_ntire2024_trains_from_a_file_of_crops_and_is_submitted(run, tmp_path):
  root = _write(tmp_path / 'NTIRE', ('Input', 'GT'), (40, 48))
  _write(tmp_path / 'Test', ('Input', 'GT'), (33, 47), count=2)
  kept = tmp_path / 'kept'
  done = _train(
    run, 'configs/ntire2024.py:tiny', root, tmp_path / 'run',
    **{'data.cache_dir': kept},
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  assert len(list(kept.iterdir())) == 2  # training's and validation's
  done = run(
    'enhance', tmp_path / 'Test/Input', f'--checkpoint={tmp_path / "run"}',
    f'--output={tmp_path / "out"}', f'--submission={tmp_path / "sent.zip"}',
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  assert (tmp_path / 'sent.zip').is_file()


def test_sets_are_settings_of_lol_on_other_photographs():
  settings = {
    name: Settings.parse(config_files.load(f'configs/{name}'))
    for name in ('lol.py', 'lol_v2.py', 'lol_v2.py:synthetic', 'ntire2024.py')
  }
  paper = settings['lol.py']
  for name, expected in (
    ('lol_v2.py', 'lol_v2/real'),
    ('lol_v2.py:synthetic', 'lol_v2/synthetic'),
    ('ntire2024.py', 'ntire2024_low_light'),
  ):
    found = settings[name]
    assert found.data.pairs.origin.data_set == expected
    assert found.model == paper.model and found.loss == paper.loss
  large = settings['ntire2024.py']
  assert (large.data.cache.cache, large.data.augment.crop) == ('disk', 256)
  assert large.eval.reduce == 0.8 and paper.eval.reduce == 1
  assert config_files.load('configs/ntire2024.py:light').data.crop == 192


@pytest.mark.parametrize('preset', ['lol_v2.py:fake', 'lol_v2.py:real,fake'])
def test_unknown_sets_and_settings_are_named(preset):
  with pytest.raises(InputError, match='fake'):
    config_files.load(f'configs/{preset}')
