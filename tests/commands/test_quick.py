"""Help and refusals that no library is loaded for."""

import importlib
import subprocess
import sys
import time

from helpers.commands import ENVIRONMENT
from helpers.commands import ROOT
import pytest

from sel_jax.commands import stored_help

# What takes most of a second to load, or more.
HEAVY = {'jax', 'flax', 'optax', 'orbax', 'tensorflow_datasets', 'gradio'}

# Command -> lines of it that are refused, with a word of the refusal.
REFUSED = {
  'ablate': [
    ('', 'give --config='),
    ('--config=nowhere.py', 'nowhere.py: no such configuration'),
    ('--config=configs/ablations.py:bandwdth', "did you mean 'bandwidth'"),
    ('--config=configs/ablations.py:loss,smal', "did you mean 'small'"),
    ('--config=configs/ablations.py', 'lol_v1: $SEL_JAX_DATA is not set'),
    ('--config=configs/ablations.py --config.seds=1', "did you mean 'seeds'"),
    ('--config=configs/ablations.py --config.seeds=a', "seeds=('a',): give"),
    (
      '--config=configs/ablations.py --config.base.optim.lrr=1',
      "config.base.optim.lrr: unknown key; did you mean 'lr'",
    ),
  ],
  'compare': [
    ('--data=nowhere', 'NAME=FOLDER'),
    ('a=nowhere --data=sample', 'nowhere: no such folder'),
    ('a={here} --data=nowhere', 'nowhere: no such folder'),
  ],
  'convert': [
    (
      'shipped b --set sde.stpes=4',
      'config.sde.stpes: unknown key; did you mean',
    ),
    ('nowhere.pth there', 'nowhere.pth: no such file'),
    ('nowhere there', 'nowhere: no checkpoint in it'),
  ],
  'demo': [('--prot=1', "did you mean '--port'")],
  'enhance': [
    ('nowhere.jpg', 'nowhere.jpg: no such file'),
    ('*.jpg --stpes=4', "did you mean '--steps'"),
    ('*.jpg --checkpoint=nowhere', 'nowhere: no checkpoint in it'),
    ('*.jpg --strength=2', 'give 0 to 1'),
    ('*.jpg --spread', 'give --samples=2 or more'),
    ('*.jpg --samples=0', '--samples=0: give 1 or more'),
  ],
  'evaluate': [
    ('--checkpoint=nowhere', 'nowhere: no checkpoint in it'),
    ('--data=nowhere', 'nowhere: no such folder'),
    ('--metric=psnr', "did you mean '--metrics'"),
  ],
  'export': [
    ('a.onnx --checkpoint=nowhere', 'nowhere: no checkpoint in it'),
    ('a.onnx --size=4', 'give HEIGHTxWIDTH'),
  ],
  'prepare_data': [('', 'give --manual-dir')],
  'train': [
    ('', 'give --config='),
    ('--config=nowhere.py', 'nowhere.py: no such configuration'),
    ('--config=nowhere', 'give FILE.py'),
    ('--config=configs/lol.py:smal', "did you mean 'small'"),
    ('--workdir=nowhere', 'nowhere: no checkpoint in it'),
    ('--config=configs/lol.py --config.optim.lrr=1', "did you mean 'lr'"),
    ('--config=configs/lol.py:small --config.optim.lr=-1', 'must be above 0'),
    ('--config={here}/mine.py --config.optim.lrr=1', "did you mean 'lr'"),
    ('--config=configs/lol.py', 'lol_v1: $SEL_JAX_DATA is not set, no folder'),
    ('--config={here}/mine.py --config.data.root={here}/no', 'no such folder'),
    ('--config=configs/lol.py --profile=4', 'give FIRST:LAST'),
    ('--config=configs/lol.py --wrokdir=x', "did you mean '--workdir'"),
  ],
}


def _start(command, words, folder):
  """The command in a process of its own, and the heavy modules it loaded."""
  code = (
    'import atexit, sys\n'
    f'atexit.register(lambda: print("loaded", *{HEAVY!r} & {{*sys.modules}}))\n'
    f'sys.argv = ["{command}.py", *{words!r}]\n'
    f'from sel_jax.commands import command_line, {command}\n'
    f'command_line.run({command}.main)\n'
  )
  # No data set is anywhere, or a command that ought to be refused would begin.
  environment = ENVIRONMENT | {'PYTHONPATH': str(ROOT)}
  environment.pop('SEL_JAX_DATA', None)
  begin = time.monotonic()
  done = subprocess.run(
    [sys.executable, '-c', code],
    capture_output=True,
    text=True,
    cwd=folder,
    env=environment,
  )
  *printed, loaded = done.stdout.splitlines()
  print(f'{time.monotonic() - begin:.2f} s: {command} {" ".join(words)}')
  return done, printed, loaded.split()[1:]


@pytest.mark.parametrize('command', stored_help.COMMANDS)
def test_help_loads_nothing_and_is_what_the_flags_make(command, tmp_path):
  done, printed, loaded = _start(command, ['--help'], tmp_path)
  assert done.returncode == 0, done.stderr
  assert not loaded
  made = importlib.import_module(f'sel_jax.commands.{command}').parser()
  assert stored_help.read(command) == made.new_help(), 'run `make settings`'
  assert printed[0].startswith(f'usage: experiments.{command} [FLAGS]')
  assert printed[1:] == made.new_help().splitlines()[1:]


@pytest.mark.parametrize(
  ('command', 'words', 'refusal'),
  [(name, *case) for name, cases in REFUSED.items() for case in cases],
)
def test_what_is_wrong_at_first_sight_is_told_at_once(
  command, words, refusal, tmp_path
):
  (tmp_path / 'mine.py').write_text(
    'from sel_jax.configs import lol\n'
    'def get_config():\n'
    "  return lol.get_config('small')\n"
  )
  words = words.format(here=tmp_path).split()
  done, printed, loaded = _start(command, words, tmp_path)
  assert done.returncode == 2 and not printed
  (line,) = done.stderr.splitlines()
  assert line.startswith('error: ') and refusal in line
  assert not loaded


def test_every_command_is_here():
  assert set(REFUSED) == set(stored_help.COMMANDS)
  modules = {path.stem for path in (ROOT / 'experiments').glob('[a-z]*.py')}
  assert modules == set(stored_help.COMMANDS)


def test_help_with_parts_of_ones_own_has_their_keys(tmp_path):
  (tmp_path / 'mine.py').write_text(
    'from sel_jax.losses import LOSSES\n'
    'def odd(pred, target):\n'
    '  """Odd one of mine."""\n'
    '  return (pred - target).mean((1, 2, 3))\n'
    "LOSSES['odd'] = odd\n"
  )
  _, printed, _ = _start('train', ['--imports=mine.py', '--help'], tmp_path)
  assert '  --config.loss.odd=0.0' in printed
