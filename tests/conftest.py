"""Shared by all tests: golden numbers, strict promotion, float64 on request."""

import os
from pathlib import Path

import jax
import numpy as np
import pytest

GOLDEN = Path(os.environ.get('SEL_GOLDEN') or Path(__file__).parent / 'golden')

# For processes whose programs are compiled once and hardly run.
QUICK_XLA = '--xla_backend_optimization_level=0'

jax.config.update('jax_numpy_rank_promotion', 'raise')


@pytest.fixture(scope='session')
def golden():
  """name -> {key: array} of the reference's numbers; SEL_GOLDEN moves them."""

  def load(name):
    with np.load(GOLDEN / f'{name}.npz', allow_pickle=False) as file:
      return {key: file[key] for key in file.files}

  return load


@pytest.fixture
def x64():
  """Double precision for one test."""
  with jax.enable_x64(True):
    yield


@pytest.fixture(scope='session')
def lol():
  """The real pairs, where they are."""
  root = Path(__file__).parents[1] / '..' / 'shared' / 'data' / 'lol_v1'
  root = Path(os.environ.get('SEL_LOL') or root)
  if not root.is_dir():
    pytest.skip('no LOL-v1 pairs here: set SEL_LOL to their folder')
  return root.resolve()


def nhwc(array):
  """[..., C, H, W] of the reference to [..., H, W, C]."""
  return np.moveaxis(np.asarray(array), -3, -1)
