"""What users import: light, documented, with its arguments in their order."""

import importlib
import inspect
import pkgutil
import subprocess
import sys

import numpy as np
import pytest

import sel_jax

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


TWO_IMAGES = {'low', 'clean', 'restored'}


@pytest.mark.parametrize('package', ['data', 'evaluation', 'inference'])
def test_images_come_by_keyword_wherever_two_of_them_meet(package):
  for info in pkgutil.iter_modules(
    importlib.import_module(f'sel_jax.{package}').__path__
  ):
    module = importlib.import_module(f'sel_jax.{package}.{info.name}')
    for name, function in vars(module).items():
      public = inspect.isfunction(function) and not name.startswith('_')
      if not public or function.__module__ != module.__name__:
        continue
      parameters = inspect.signature(function).parameters
      images = [
        p
        for p in parameters.values()
        if p.name in TWO_IMAGES and p.annotation is np.ndarray
      ]
      by_keyword = all(p.kind is p.KEYWORD_ONLY for p in images)
      assert len(images) < 2 or by_keyword, f'{module.__name__}.{name}'


@pytest.mark.parametrize('package', ['diffusion', 'entropy', 'models'])
def test_options_come_by_keyword(package):
  """Arrays and objects by position, everything with a default by keyword."""
  for name, function in _public(package):
    if not inspect.isfunction(function):
      continue
    for parameter in inspect.signature(function).parameters.values():
      optional = parameter.default is not inspect.Parameter.empty
      keyword = parameter.kind is inspect.Parameter.KEYWORD_ONLY
      assert keyword or not optional, (name, parameter.name)


def test_every_module_states_its_contract():
  modules = pkgutil.walk_packages(sel_jax.__path__, 'sel_jax.')
  for info in modules:
    module = importlib.import_module(info.name)
    assert module.__doc__, info.name
    other = hasattr(module, 'main') or 'configs' in info.name  # tell of use
    if not info.ispkg and not other:
      assert 'Contract:' in module.__doc__, info.name


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
