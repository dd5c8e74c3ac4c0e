"""Every command line of the docs starts, by --dry-run; the others are listed.

A line that is neither run nor listed fails, as does a row that no page needs.
"""

import importlib.util
import os
from pathlib import Path
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
import warnings

from helpers import lol_like
from helpers.command_lines import Block
from helpers.command_lines import Command
from helpers.command_lines import commands_in
from helpers.command_lines import commands_of
from helpers.commands import ROOT
import numpy as np
import pytest

from sel_jax import interop
from sel_jax import places
from sel_jax.commands import __main__
from sel_jax.data import tfds
from sel_jax.images import codec
from sel_jax.inference import Enhancer

# Command lines that are not run here, and why.
OTHERS = {
  'source .venv/bin/activate': 'the environment that make made',
  'pip install jax jaxtyping': 'tests/test_loss_alone.py does',
  'pip install --no-deps .': 'tests/test_loss_alone.py does',
  'tensorboard --logdir=runs/lol/tensorboard': 'another program',
  'cd sel_jax': 'the clone on a worker of a pod',
}
# What starts our commands elsewhere; the inner command is run.
WRAPPERS = {
  'gcloud': 'on every worker of a pod',
  'srun': 'on every node of Slurm',
  'exec': 'as the process of a container',
}
# Names that pages give to what a command reads -> what stands for them.
NAMES = {
  '/data/LOL': 'data/LOL',
  '/data/LOL/eval15/low': 'data/LOL/eval15/low',
  '/mnt/data/LOL': 'data/LOL',
  '/data/tfds': 'data/tfds',
  '/data/mine': 'data/mine',
  '/data/unseen': 'data/LOL',
  '/data/LOL-v2/Real_captured': 'data/LOL',
  '/data/clean': 'data/LOL/our485/high',
  '/data/NTIRE': 'data/NTIRE',
  '/data/NTIRE/Test/Input': 'data/LOL/eval15/low',
  'runs/lol': 'trained/lol',
  'runs/lol-tune': 'trained/lol',
  'runs/sample': 'trained/sample',
  'runs/denoise': 'trained/denoise',
  'runs/told': 'trained/told',
  'runs/light': 'trained/light.safetensors',
  'runs/dense': 'trained/light.safetensors',
  'runs/perceptual': 'trained/light.safetensors',
  'runs/finish': 'trained/light.safetensors',
  'runs/ntire2024': 'trained/lol',
  'outputs/retinexformer': 'outputs/retinexformer',
  'photo.jpg': 'photo.jpg',
  'folder/': 'folder',
  'timelapse/': 'folder',
  'latest_EMA.pth': 'latest_EMA.pth',
}
VARIABLES = {'$JOB_COMPLETION_INDEX': '1'}
# Flags whose values a command writes to, or makes.
WRITTEN = ['workdir', 'output', 'html', 'json', 'csv', 'data-dir', 'folder',
           'darken', 'submission', 'picture']  # fmt: skip
# Command -> which of its words without a flag is written to.
DESTINATIONS = {'experiments.convert': 1, 'experiments.export': 0}
# Module that may be missing -> lines that need it, and what they say then.
EXTRAS = {
  'gradio': (r'experiments\.demo', 'needs Gradio'),
  'torch': (r'experiments\.convert .*\.pth|=torch|=pth', 'PyTorch'),
  'jax2onnx': (r'experiments\.export .*\.onnx', 'ONNX needs'),
}

PAGES = [
  ROOT / 'README.md',
  ROOT / 'CONTRIBUTING.md',
  *sorted(
    path
    for path in ROOT.glob('docs/**/*.md')
    if not {'_build', 'parts'} & {*path.relative_to(ROOT).parts}  # test_parts
  ),
  *sorted(ROOT.glob('configs/*.py')),
  *sorted(ROOT.glob('sel_jax/commands/*.py')),
  *sorted(ROOT.glob('benchmarks/*.py')),
]


def _short(command):
  """The command, its page relative to the repository."""
  return str(command).replace(f'{ROOT}/', '')


SHOWN = [command for page in PAGES for command in commands_in(page)]
RUN = {}  # words -> the lines that have them
for _command in SHOWN:
  if _command.program:
    key = (_command.program, *_command.arguments)
    RUN.setdefault(key, []).append(_command)


def _text(command):
  return ' '.join(command.words)


def _is_ruled(command):
  """Whether a rule below holds the line, instead of a row."""
  return command.words[0] == 'make' or _extra(command) is not None


def _extra(command):
  """x of `pip install -e '.[x]'`; None of another line."""
  found = re.fullmatch(r'pip install -e \.\[(\w+)\]', ' '.join(command.words))
  return found[1] if found else None


def test_lines_that_are_not_run_are_listed_and_the_list_is_needed():
  others = [c for c in SHOWN if not c.program and not _is_ruled(c)]
  unlisted = [_short(c) for c in others if _text(c) not in OTHERS]
  assert not unlisted, 'neither run nor a row of OTHERS'
  assert not OTHERS.keys() - {_text(c) for c in others}, 'no page has it'
  within = {wrapper: c for c in SHOWN for wrapper in c.within}
  unlisted = [_short(c) for w, c in within.items() if w not in WRAPPERS]
  assert not unlisted, 'started by what is no row of WRAPPERS'
  assert not WRAPPERS.keys() - within, 'no page has it'


def test_targets_and_extras_are_there():
  makefile = (ROOT / 'Makefile').read_text()
  targets = set(re.findall(r'^([\w.-]+):', makefile, re.M))
  project = tomllib.loads((ROOT / 'pyproject.toml').read_text())
  extras = project['tool']['setuptools']['dynamic']['optional-dependencies']
  for extra in extras.values():
    assert all((ROOT / name).is_file() for name in extra['file'])
  lost = [
    _short(c)
    for c in SHOWN
    if (c.words[0] == 'make' and not targets >= set(c.words[1:]))
    or (_extra(c) and _extra(c) not in extras)
  ]
  assert not lost, 'no such target of the Makefile, or no such extra'


def test_modules_that_are_named_anywhere_are_there():
  lost = [
    f'{page.relative_to(ROOT)}: {name}'
    for page in PAGES
    for name in re.findall(
      r'python -m ((?:experiments|benchmarks|sel_jax)[a-z_.]*[a-z])',
      page.read_text(),
    )
    if importlib.util.find_spec(name) is None
  ]
  assert not lost
  shown = {command.program.partition('.')[2] for command in SHOWN}
  assert shown >= {name.replace('-', '_') for name in __main__.COMMANDS}


def _goes_on(command):
  """Whether it names the folder of a run alone, which has to be there."""
  flags = {word.partition('=')[0] for word in command.arguments}
  return command.program == 'experiments.train' and '--config' not in flags


def _place(program, name, value, position, written=WRITTEN):
  """What stands for a value of a command; None for one that is no name."""
  if name in written or (not name and position == DESTINATIONS.get(program)):
    return Path('written', value.lstrip('/'))
  if value in NAMES:
    return Path(NAMES[value])
  if '*' in value:
    return None  # a pattern of names below a folder
  looks = '/' in value or re.search(r'\.[a-z]\w+$', value) or not name
  if looks and not re.match(r'configs/\w+\.py', value) and ':' not in value:
    raise KeyError(value)
  return None


def _words(command):
  """The command's words with what stands for names; paths are relative.

  Raises:
    LookupError: for a name that the table does not know, with the line.
  """
  try:
    return _replaced(command)
  except KeyError as error:
    raise LookupError(
      f'{_short(command)}: {error} is no row of NAMES or VARIABLES'
    ) from None


def _replaced(command):
  words, position = [], 0
  written = set(WRITTEN) - ({'workdir'} if _goes_on(command) else set())
  for word in command.arguments:
    for variable, value in VARIABLES.items():
      word = word.replace(variable, value)
    if '$' in word:
      raise KeyError(word)
    flag, equals, value = word.partition('=')
    if not flag.startswith('-'):
      found = _place(command.program, '', value or word, position)
      words.append(f'{flag}{equals}{found}' if equals else str(found))
      position += 1
      continue
    if not equals and value == '':
      words.append(word)
      continue
    found = _place(command.program, flag.lstrip('-'), value, None, written)
    words.append(word if found is None else f'{flag}={found}')
  return words


def test_names_are_known_and_every_row_is_needed():
  unknown, used = [], set()
  for command in (command for same in RUN.values() for command in same):
    try:
      _words(command)
    except LookupError as error:
      unknown.append(str(error))
    used |= {word.rpartition('=')[2] for word in command.arguments}
    used |= set(re.findall(r'\$\w+', ' '.join(command.words)))
  assert not unknown
  assert not (NAMES.keys() | VARIABLES.keys()) - used, 'no page has it'


def test_a_line_is_what_a_shell_makes_of_it():
  text = """
    # a comment
    make train   # two minutes
    srun -n 2 python -m experiments.train --config=a.py \\
        --workdir='b c'   # and more
    pip install x && .venv/bin/python -m benchmarks.step > log
    ssh host --command="
      cd sel_jax && python -m experiments.ablate"
  """
  block = Block(Path('page'), 1, 'bash', text)
  found = [(c.number, c.words, c.within) for c in commands_of(block)]
  train = ('python', '-m', 'experiments.train', '--config=a.py')
  assert found == [
    (3, ('make', 'train'), ()),
    (4, (*train, '--workdir=b c'), ('srun',)),
    (6, ('pip', 'install', 'x'), ()),
    (6, ('.venv/bin/python', '-m', 'benchmarks.step'), ()),
    (8, ('cd', 'sel_jax'), ('ssh',)),
    (8, ('python', '-m', 'experiments.ablate'), ('ssh',)),
  ]


def test_blocks_are_fenced_or_indented_and_prose_is_left_alone(tmp_path):
  page = tmp_path / 'page.md'
  page.write_text("""Text, then `make nothing`
    no block, since it goes on

    make train

````{tab-set}
```{code-block} bash
sel-jax enhance photo.jpg
```
```python
make = 1
```
````

```yaml
args:
- exec python -m experiments.train
  --workdir=w
```

```text
x = y
```
""")
  module = tmp_path / 'module.py'
  module.write_text('r"""One.\n\nRun:   make train\n       python -m a \\\n'
                    '         --b=c\n\nmakes sense\n"""\n')  # fmt: skip
  found = [[_text(c) for c in commands_in(path)] for path in (page, module)]
  assert found == [
    [
      'make train',
      'sel-jax enhance photo.jpg',
      'python -m experiments.train --workdir=w',
    ],
    ['make train', 'python -m a --b=c'],
  ]
  assert [c.number for c in commands_in(page)][:2] == [4, 8]
  assert [c.number for c in commands_in(module)] == [3, 4]
  sel_jax = Command(page, 1, ('sel-jax', 'prepare-data', '--list'))
  assert sel_jax.program == 'experiments.prepare_data'
  assert sel_jax.arguments == ('--list',)


def _write_torch(path, checkpoint):
  """The weights of a run as PyTorch's, where there is PyTorch."""
  if importlib.util.find_spec('torch') is None:
    path.write_bytes(b'')
    return
  enhancer = Enhancer.from_checkpoint(checkpoint)
  name = enhancer.settings.model.name
  interop.write_state(path, interop.to_state(name, enhancer.params))


@pytest.fixture(scope='module')
def layout(trained, told, denoising, tmp_path_factory):
  """A folder where every name of `NAMES` is there."""
  root = tmp_path_factory.mktemp('layout')
  lol_like.write(root / 'data' / 'LOL')
  lol_like.write(root / 'data' / 'NTIRE', train=17, test=1, size=264)
  tfds.prepare(root / 'data' / 'tfds', root / 'data' / 'LOL', 'lol_v1')
  outputs = root / 'outputs' / 'retinexformer'
  shutil.copytree(root / 'data' / 'LOL' / 'eval15' / 'high', outputs)
  runs = {'lol': trained, 'sample': trained, 'told': told}
  for name, run in {**runs, 'denoise': denoising}.items():
    shutil.copytree(run, root / 'trained' / name)
  light = root / 'trained' / 'light.safetensors'
  light.symlink_to(places.find(None))  # a run of its size takes too long
  (root / 'data' / 'lol_v1').symlink_to('LOL')
  (root / 'runs').mkdir()  # where benchmarks.tiling looks by itself
  (root / 'runs' / 'sample').symlink_to('../trained/sample')
  for side, name, end in (('low', 'input', 'in'), ('high', 'gt', 'gt')):
    folder = root / 'data' / 'mine' / name
    folder.mkdir(parents=True)
    for path in (root / 'data' / 'LOL' / 'our485' / side).iterdir():
      (folder / f'{path.stem}_{end}.png').symlink_to(path)
  photo = np.full((40, 60, 3), 12, np.uint8)
  (root / 'folder').mkdir()
  for name in ('photo.jpg', 'folder/a.png'):
    codec.write_image(root / name, photo)
  _write_torch(root / 'latest_EMA.pth', trained)
  for name in NAMES.values():
    assert (root / name).exists(), name
  return root


@pytest.fixture
def start(layout, monkeypatch, capsys):
  """A command through its real entry point, where the names are."""
  before = dict(os.environ)

  def call(program, words):
    monkeypatch.chdir(layout)
    monkeypatch.setattr(sys, 'argv', [program, *words])
    capsys.readouterr()
    with warnings.catch_warnings(), pytest.raises(SystemExit) as info:
      # The module may have been imported by a test before.
      warnings.filterwarnings('ignore', category=RuntimeWarning, module='runpy')
      runpy.run_module(program, run_name='__main__', alter_sys=True)
    printed = capsys.readouterr()
    return subprocess.CompletedProcess(words, info.value.code or 0, *printed)

  yield call
  os.environ.clear()
  os.environ.update(before)


def _tree(folder):
  return {p: p.stat().st_mtime_ns for p in (folder, *folder.rglob('*'))}


def _missing(program, words):
  """What a line says where a module that it needs is not installed."""
  text = ' '.join([program, *words])
  return [
    sentence
    for module, (pattern, sentence) in EXTRAS.items()
    if re.search(pattern, text) and importlib.util.find_spec(module) is None
  ]


@pytest.mark.fence
@pytest.mark.parametrize('line', RUN, ids=' '.join)
def test_every_line_starts(line, layout, start):
  where = '; '.join(_short(command) for command in RUN[line])
  program, words = line[0], _words(RUN[line][0])
  before = _tree(layout)
  done = start(program, [*words, '--dry-run'])
  assert _tree(layout) == before, f'{where}: writes in a dry run'
  if missing := _missing(program, words):
    assert done.returncode == 2 and missing[0] in done.stderr, where
    return
  told = done.stderr.strip().splitlines()[-1:] if done.returncode else ''
  assert done.returncode == 0, (
    f'{where}: does not start: {told}; mend the line or the command'
  )
