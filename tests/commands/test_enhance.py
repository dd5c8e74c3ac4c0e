"""Enhancing from the command line."""

from concurrent.futures import ThreadPoolExecutor
import functools
import subprocess
import sys

import cv2
from helpers.commands import QUICK_XLA
from helpers.commands import ROOT
from helpers.commands import run_process
import numpy as np
import pytest

from sel_jax.commands import __main__
from sel_jax.commands import config_files
from sel_jax.images import codec
from sel_jax.inference import Enhancer
from sel_jax.inference import exposure


def test_enhance_keeps_names_and_sizes_and_repeats_itself(
  run, trained, tmp_path
):
  folder = tmp_path / 'photos'
  folder.mkdir()
  rng = np.random.default_rng(0)
  for name, size in (
    ('a.png', (1, 1)),
    ('b.jpg', (33, 50)),
    ('c.webp', (34, 49)),
  ):
    image = rng.integers(0, 40, (*size, 3), dtype=np.uint8)
    codec.write_image(folder / name, image)
  outputs = []
  for n in range(2):
    output = tmp_path / f'out{n}'
    done = run(
      'enhance', folder, f'--checkpoint={trained}', f'--output={output}'
    )
    assert done.returncode == 0, done.stderr
    names = sorted(p.name for p in output.iterdir())
    assert names == ['a.png', 'b.jpg', 'c.webp']
    outputs.append([codec.read_image(output / name) for name in names])
  for name, one, two in zip(names, *outputs, strict=True):
    assert one.shape == codec.read_image(folder / name).shape
    np.testing.assert_array_equal(one, two)


@pytest.mark.fence
def test_two_commands_share_a_folder(trained, tmp_path):
  folder, output = tmp_path / 'photos', tmp_path / 'out'
  folder.mkdir()
  for n in range(24):
    codec.write_image(folder / f'{n}.png', np.full((48, 64, 3), n, np.uint8))
  (folder / 'bad.png').write_text('hello')
  command = [sys.executable, '-m', 'experiments.enhance', str(folder)]
  command += [f'--checkpoint={trained}', '--steps=10', f'--output={output}']
  with ThreadPoolExecutor(2) as pool:
    options = {'cwd': ROOT, 'capture_output': True, 'text': True}
    run = functools.partial(subprocess.run, command, **options)
    done = list(pool.map(lambda _: run(), range(2)))
  assert all(one.stdout for one in done), [one.stderr for one in done]
  written = [int(one.stdout.split()[0]) for one in done]
  assert sum(written) == 24, done
  for one in done:
    assert one.returncode == 2
    assert 'bad.png' in one.stderr and 'Traceback' not in one.stderr
  names = sorted(path.name for path in output.iterdir())
  assert names == sorted(f'{n}.png' for n in range(24))


def test_enhance_needs_no_checkpoint(run, tmp_path):
  photo = tmp_path / 'photo.png'
  codec.write_image(photo, np.full((40, 50, 3), 12, np.uint8))
  done = run('enhance', photo, '--steps=1', f'--output={tmp_path / "out"}')
  assert done.returncode == 0, done.stderr
  result = codec.read_image(tmp_path / 'out' / 'photo.png')
  assert result.shape == (40, 50, 3) and result.mean() > 60


def test_enhance_goes_on_after_a_broken_photograph(run, trained, tmp_path):
  good, bad = tmp_path / 'good.png', tmp_path / 'bad.png'
  codec.write_image(good, np.full((9, 9, 3), 20, np.uint8))
  bad.write_bytes(good.read_bytes()[:50])
  output = tmp_path / 'out'
  done = run(
    'enhance', bad, good, f'--checkpoint={trained}', f'--output={output}'
  )
  assert done.returncode == 2
  assert 'error: ' in done.stderr and 'bad.png' in done.stderr
  assert [p.name for p in output.iterdir()] == ['good.png']


def test_enhance_is_told_how_bright(run, told, trained, tmp_path):
  """Stops, a bracket, and one exposure for photographs of other tones."""
  rng, folder = np.random.default_rng(0), tmp_path / 'photos'
  folder.mkdir()
  photos = [
    rng.integers(0, top, (24, 32, 3), dtype=np.uint8) for top in (9, 90)
  ]
  for n, photo in enumerate(photos):
    codec.write_image(folder / f'{n}.png', photo)
  enhancer, here = Enhancer.from_checkpoint(told), f'--checkpoint={told}'
  guess = [enhancer.plausible(codec.to_float(photo)) for photo in photos]
  middle = exposure.shared(guess).quantile(0.5)
  for flag, asked in (
    ('--ev=-1', [{'ev': -1.0}] * 2),
    ('--exposure=0.3', [{'exposure': 0.3}] * 2),
    ('--exposure=shared', [{'exposure': middle}] * 2),
  ):
    output = tmp_path / flag
    done = run('enhance', folder, here, flag, f'--output={output}')
    assert done.returncode == 0, done.stderr
    assert ('for all' in done.stdout) == (flag == '--exposure=shared')
    for n, (photo, options) in enumerate(zip(photos, asked, strict=True)):
      expected = codec.to_uint8(enhancer(photo, **options))
      found = codec.read_image(output / f'{n}.png')
      np.testing.assert_array_equal(found, expected)
  output = tmp_path / 'bracket'
  done = run('enhance', folder / '1.png', here, '--bracket=3',
             f'--output={output}')  # fmt: skip
  assert done.returncode == 0, done.stderr
  for n, e in enumerate(guess[1].spread(3), 1):
    found = codec.read_image(output / f'1-{n}.png')
    expected = codec.to_uint8(enhancer(photos[1], exposure=e))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
  ('flags', 'words'),
  [
    ('--exposure=bright', '--exposure=bright: give auto, shared, or a number'),
    ('--exposure=0.4 --bracket=3', 'leave --exposure=0.4 out'),
    ('--samples=2 --bracket=3', '--bracket and --samples: give one of both'),
    ('--ev=1', 'this model cannot be told how bright: it was trained without'),
    ('--exposure=shared', 'this model cannot be told how bright'),
    ('--bracket=3', 'this model cannot be told how bright'),
  ],
)
def test_what_cannot_be_asked_of_a_model_is_one_sentence(
  run, trained, tmp_path, flags, words
):
  photo, output = tmp_path / 'a.png', tmp_path / 'out'
  codec.write_image(photo, np.full((9, 9, 3), 20, np.uint8))
  done = run('enhance', photo, f'--checkpoint={trained}', *flags.split(),
             f'--output={output}')  # fmt: skip
  assert done.returncode == 2 and words in done.stderr, done.stderr
  assert 'Traceback' not in done.stderr and not output.exists()


@pytest.mark.fence
def test_enhance_large_deep_and_by_halves(run, trained, tmp_path):
  """Tiles, 16 bits, strength, preview; then nothing is left to do."""
  rng = np.random.default_rng(0)
  folder, output = tmp_path / 'photos', tmp_path / 'out'
  (folder / 'sub').mkdir(parents=True)
  raw = rng.integers(0, 9000, (100, 70, 3), dtype=np.uint16)
  assert cv2.imwrite(str(folder / 'sub' / 'deep.png'), raw)
  flags = (
    folder,
    f'--checkpoint={trained}',
    f'--output={output}',
    '--recursive',
    '--sampler=dpm2m',
    '--grid=log_snr',
    '--steps=3',
    '--tile=64',
    '--overlap=16',
    '--strength=0.5',
    '--preview',
  )
  done = run('enhance', *flags)
  assert done.returncode == 0, done.stderr
  assert '1 photograph(s) written' in done.stdout
  found = codec.read_image(output / 'sub' / 'deep.png')
  assert found.dtype == np.uint16 and found.shape == raw.shape
  enhancer = Enhancer.from_checkpoint(
    trained, sampler='dpm2m', grid='log_snr', steps=3, tile=64, overlap=16
  )
  low = raw[:, :, ::-1]
  expected = codec.to_uint16(enhancer(low, strength=0.5))
  np.testing.assert_array_equal(found, expected)
  half = 0.5 * (codec.to_float(low) + enhancer(low))
  np.testing.assert_allclose(codec.to_float(found), half, atol=2e-5)
  strip = codec.read_image(output / 'sub' / 'deep.preview.jpg')
  assert strip.shape == (100, 140, 3)
  done = run('enhance', *flags)
  assert done.returncode == 0
  assert '0 photograph(s) written' in done.stdout
  assert '1 there already and kept; --overwrite' in done.stdout


def test_a_single_result_can_be_named(run, trained, tmp_path):
  photo, destination = tmp_path / 'a.png', tmp_path / 'new' / 'b.jpg'
  codec.write_image(photo, np.full((9, 9, 3), 20, np.uint8))
  done = run(
    'enhance', photo, f'--checkpoint={trained}', f'--output={destination}'
  )
  assert done.returncode == 0, done.stderr
  assert codec.read_image(destination).shape == (9, 9, 3)


def test_all_commands_are_behind_one_name(monkeypatch, capsys):
  for name, text in __main__.COMMANDS.items():
    path = ROOT / 'experiments' / f'{name.replace("-", "_")}.py'
    assert path.exists() and text
  monkeypatch.setattr(sys, 'argv', ['sel-jax', 'enhance', '--help'])
  with pytest.raises(SystemExit) as info:
    __main__.main()
  assert info.value.code == 0
  assert capsys.readouterr().out.startswith('usage: sel-jax enhance')
  monkeypatch.setattr(sys, 'argv', ['sel-jax', 'brighten'])
  with pytest.raises(SystemExit) as info:
    __main__.main()
  assert info.value.code == 2
  last = capsys.readouterr().err.strip().splitlines()[-1]
  assert last.startswith("error: 'brighten' is no command")


def test_shipped_configurations_are_found_from_anywhere(monkeypatch, tmp_path):
  monkeypatch.chdir(tmp_path)
  assert config_files.load('configs/lol.py:tiny').model.width == 4


@pytest.mark.fence
def test_tiles_on_two_devices_give_the_same_picture(trained, tmp_path):
  photo, destination = tmp_path / 'a.png', tmp_path / 'b.png'
  rng = np.random.default_rng(0)
  low = rng.integers(0, 60, (70, 130, 3), dtype=np.uint8)
  codec.write_image(photo, low)
  done = run_process(
    'enhance',
    photo,
    f'--checkpoint={trained}',
    '--tile=64',
    '--overlap=16',
    f'--output={destination}',
    XLA_FLAGS=f'{QUICK_XLA} --xla_force_host_platform_device_count=2',
  )
  assert done.returncode == 0, done.stderr
  enhancer = Enhancer.from_checkpoint(trained, tile=64, overlap=16)
  expected = codec.to_uint8(enhancer(low)).astype(int)
  assert np.abs(codec.read_image(destination) - expected).max() <= 1


@pytest.mark.fence
def test_settings_of_the_estimate_are_flags(run, trained, tmp_path):
  photo = tmp_path / 'a.png'
  rng = np.random.default_rng(0)
  codec.write_image(photo, rng.integers(0, 60, (9, 9, 3), dtype=np.uint8))
  here = f'--checkpoint={trained}'
  results = []
  for name, flags in (
    ('plain', ()),
    ('dynamic', ('--dynamic=1.0',)),
    ('unbias', ('--unbias',)),
  ):
    destination = tmp_path / f'{name}.png'
    done = run('enhance', photo, here, f'--output={destination}', *flags)
    assert done.returncode == 0, done.stderr
    results.append(codec.read_image(destination))
  assert np.any(results[0] != results[1])
  assert np.any(results[0] != results[2])
  done = run('enhance', photo, here, '--dynamic=2')
  assert done.returncode == 2 and '--dynamic=2.0: must be at' in done.stderr
