"""What users import: light, documented, with its arguments in their order."""

import importlib
import inspect
from pathlib import Path
import pkgutil
import re
import subprocess
import sys
import typing

import jax
import numpy as np
import pytest

import sel_jax

ROOT = Path(__file__).parents[1]

PACKAGES = [
  'ablation', 'data', 'diffusion', 'entropy', 'evaluation', 'images',
  'inference', 'interop', 'losses',
  'models', 'training',
]  # fmt: skip


def _public(package):
  module = importlib.import_module(f'sel_jax.{package}')
  for name, value in vars(module).items():
    own = getattr(value, '__module__', '').startswith('sel_jax')
    if own and (inspect.isfunction(value) or inspect.isclass(value)):
      yield f'{package}.{name}', value


@pytest.mark.parametrize('package', PACKAGES)
def test_public_names_are_documented(package):
  names = list(_public(package))
  assert names
  for name, value in names:
    assert value.__doc__, name


def _functions():
  """Every public function and method of the package, by its full name."""
  for info in pkgutil.walk_packages(sel_jax.__path__, 'sel_jax.'):
    if info.name.endswith('__main__'):
      continue
    module = importlib.import_module(info.name)
    for name, value in vars(module).items():
      own = getattr(value, '__module__', None) == module.__name__
      if name.startswith('_') or not own:
        continue
      if inspect.isclass(value):
        for method, member in vars(value).items():
          member = getattr(member, '__func__', member)
          public = not method.startswith('_') or method == '__call__'
          own = getattr(member, '__module__', None) == module.__name__
          if public and own and inspect.isfunction(member):
            yield f'{info.name}.{name}.{method}', member
      elif inspect.isfunction(value):
        yield f'{info.name}.{name}', value


def _parameters(function):
  """Its parameters, without the object or class that it belongs to."""
  found = list(inspect.signature(function).parameters.values())
  return found[1:] if found and found[0].name in ('self', 'cls') else found


FUNCTIONS = dict(_functions())


def test_public_functions_are_annotated_in_full():
  assert len(FUNCTIONS) > 300
  for name, function in FUNCTIONS.items():
    signature = inspect.signature(function)
    assert signature.return_annotation is not signature.empty, name
    for parameter in _parameters(function):
      assert parameter.annotation is not parameter.empty, (name, parameter.name)


# Rooms whose public functions say the shapes of their arrays.
SHAPED = (
  'entropy', 'losses', 'diffusion', 'models', 'inference',
  'evaluation.metrics', 'evaluation.evaluator', 'evaluation.lpips',
  'evaluation.niqe', 'evaluation.fid', 'method',
)  # fmt: skip


def _leaves(annotation):
  """What an annotation is made of."""
  parts = typing.get_args(annotation)
  if isinstance(annotation, list):  # the arguments of a Callable
    parts = annotation
  return [x for part in parts for x in _leaves(part)] or [annotation]


@pytest.mark.parametrize('room', SHAPED)
def test_arrays_say_their_shape(room):
  """Checked at run time, see `helpers.checker`: a bare array says nothing."""
  shaped = 0
  for name, function in FUNCTIONS.items():
    if not name.startswith(f'sel_jax.{room}.'):
      continue
    annotations = [p.annotation for p in _parameters(function)]
    annotations.append(inspect.signature(function).return_annotation)
    for annotation in annotations:
      for part in _leaves(annotation):
        bare = part is jax.Array or part is np.ndarray
        assert not bare, f'{name}: {annotation}'
        shaped += 'jaxtyping' in str(part)
  assert shaped, f'{room}: no annotation says a shape'


TWO_IMAGES = {'low', 'clean', 'restored'}


@pytest.mark.parametrize('package', ['data', 'evaluation', 'inference'])
def test_images_come_by_keyword_wherever_two_of_them_meet(package):
  for name, function in FUNCTIONS.items():
    if not name.startswith(f'sel_jax.{package}.'):
      continue
    images = [
      p
      for p in _parameters(function)
      if p.name in TWO_IMAGES and 'ndarray' in str(p.annotation)
    ]
    by_keyword = all(p.kind is p.KEYWORD_ONLY for p in images)
    assert len(images) < 2 or by_keyword, name


def test_options_come_by_keyword():
  """All but the first argument, if it has a default."""
  for name, function in FUNCTIONS.items():
    for parameter in _parameters(function)[1:]:
      optional = parameter.default is not parameter.empty
      keyword = parameter.kind is parameter.KEYWORD_ONLY
      assert keyword or not optional, (name, parameter.name)


# A sampler is called (denoise, sde, key, mu), a step (state, batch, key).
WORK_IN_ORDER = {
  'sel_jax.diffusion.samplers.sample',
  'sel_jax.training.step.train_step',
  'sel_jax.inference.tiling.TiledSampler.__call__',
}


def test_a_key_comes_first_or_by_keyword():
  """First where a function only draws, by keyword beside other work."""
  drawing = 0
  for name, function in FUNCTIONS.items():
    for place, parameter in enumerate(_parameters(function)):
      random = 'Key' in str(parameter.annotation)
      if not random and parameter.annotation is not np.random.Generator:
        continue
      drawing += 1
      keyword = parameter.kind is parameter.KEYWORD_ONLY
      assert place == 0 or keyword or name in WORK_IN_ORDER, name
  assert drawing > 10


def test_every_module_states_its_contract():
  modules = pkgutil.walk_packages(sel_jax.__path__, 'sel_jax.')
  for info in modules:
    module = importlib.import_module(info.name)
    assert module.__doc__, info.name
    other = hasattr(module, 'main') or 'configs' in info.name  # tell of use
    if not info.ispkg and not other:
      assert 'Contract:' in module.__doc__, info.name


def test_args_say_what_a_thing_is():
  """Not whose it is: 'params: of the network' leaves the reader to guess."""
  riddles = [
    f'{path.name}:{number}: {line.strip()}'
    for top in ('sel_jax', 'benchmarks')
    for path in sorted((ROOT / top).rglob('*.py'))
    for number, line in enumerate(path.read_text().splitlines(), 1)
    if re.match(r'\s+\*{0,2}\w+: (of|as of|as in) ', line)
  ]
  assert not riddles, '\n'.join(riddles)


def test_nothing_that_is_imported_is_tensorflow():
  names = [
    info.name for info in pkgutil.walk_packages(sel_jax.__path__, 'sel_jax.')
  ]
  code = (
    f'import importlib, sys; [importlib.import_module(n) for n in {names}]; '
    'other = {"tensorflow", "gradio", "tensorflow_datasets"}; '
    'print(sorted(other & set(sys.modules)))'
  )
  done = subprocess.run(
    [sys.executable, '-c', code], capture_output=True, text=True
  )
  assert done.stdout.strip() == '[]', done.stderr


def test_importing_the_package_loads_nothing_heavy():
  code = (
    'import sys, sel_jax; '
    'heavy = {"jax", "skimage", "sklearn", "cv2", "tensorflow", "torch"}; '
    'print(sorted(heavy & set(sys.modules)))'
  )
  done = subprocess.run(
    [sys.executable, '-c', code], capture_output=True, text=True
  )
  assert done.stdout.strip() == '[]', done.stderr
