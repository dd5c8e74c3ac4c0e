"""The preset with the network of IR-SDE, through every command."""

from helpers.commands import refused

from sel_jax.configs import lol
from sel_jax.images import codec
from sel_jax.models import ConditionalUNet
from sel_jax.settings import Settings


def test_the_preset_is_the_papers_setting_with_another_network():
  paper, found = (Settings.parse(lol.get_config(n)) for n in ('', 'unet'))
  assert found.model.network == ConditionalUNet(64, 4)
  assert found.loss == paper.loss and found.optim == paper.optim
  assert found.data == paper.data and found.sde == paper.sde


def test_it_trains_restores_and_is_exported(run, pairs, tmp_path):
  small = {
    'data.root': pairs, 'data.crop': 16, 'data.batch_size': 2,
    'model.width': 4, 'model.depth': 1, 'model.remat': True,
    'sde.steps': 10, 'entropy.levels': 4, 'train.steps': 2,
    'train.eval_every': 2, 'eval.steps': 2, 'eval.images': 1,
  }  # fmt: skip
  workdir = tmp_path / 'run'
  done = run(
    'train', '--config=configs/lol.py:unet', f'--workdir={workdir}',
    *(f'--config.{key}={value}' for key, value in small.items()),
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  photo = next((pairs / 'test' / 'low').iterdir())
  done = run(
    'enhance', photo, f'--checkpoint={workdir}', f'--output={tmp_path / "out"}'
  )
  assert done.returncode == 0, done.stderr
  restored = codec.read_image(tmp_path / 'out' / photo.name)
  assert restored.shape == codec.read_image(photo).shape
  target = tmp_path / 'unet.stablehlo'
  done = run('export', f'--checkpoint={workdir}', target, '--size=32x32')
  assert done.returncode == 0 and target.is_file(), done.stderr
  target = target.with_suffix('.onnx')
  done = run('export', f'--checkpoint={workdir}', target, '--size=32x32')
  refused(done, 'only nafnet', '.stablehlo')
