"""The built-in sample set: no download, a few photographs, many exposures.

Contract: photographs that ship inside scikit-image and scikit-learn, darkened
by `degrade.darken`; the same numbers on every machine. For a first run and
for tests: too small to learn general restoration from.
"""

from collections.abc import Callable
import functools

import numpy as np

from sel_jax.data import degrade
from sel_jax.errors import InputError
from sel_jax.images import codec


# Both are imported when a photograph is asked for: they take long.
def _scikit_image(name: str) -> np.ndarray:
  import skimage.data

  found = getattr(skimage.data, name)()
  return found[0] if isinstance(found, tuple) else found  # a stereo pair


def _scikit_learn(name: str) -> np.ndarray:
  from sklearn.datasets import load_sample_image

  return load_sample_image(name)


PHOTOGRAPHS: dict[str, dict[str, Callable[[], np.ndarray]]] = {
  'train': {
    'astronaut': lambda: _scikit_image('astronaut'),
    'coffee': lambda: _scikit_image('coffee'),
    'motorcycle': lambda: _scikit_image('stereo_motorcycle'),
    'rocket': lambda: _scikit_image('rocket'),
    'china': lambda: _scikit_learn('china.jpg'),
  },
  'val': {'flower': lambda: _scikit_learn('flower.jpg')},
  'test': {'chelsea': lambda: _scikit_image('chelsea')},
}

# Exposures of each photograph.
EXPOSURES = {'train': 6, 'val': 2, 'test': 2}


@functools.cache
def sample_pairs(
  split: str,
) -> tuple[tuple[str, np.ndarray, np.ndarray], ...]:
  """(name, low, clean) of a split, images [H, W, 3] uint8.

  Raises:
    InputError: for an unknown split.
  """
  if split not in PHOTOGRAPHS:
    raise InputError(f'split {split!r}: choose one of {list(PHOTOGRAPHS)}')
  pairs = []
  for number, (name, load) in enumerate(sorted(PHOTOGRAPHS[split].items())):
    clean = np.ascontiguousarray(load())
    for exposure in range(EXPOSURES[split]):
      seed = (list(PHOTOGRAPHS).index(split), number, exposure)
      rng = np.random.default_rng(seed)
      low = degrade.darken(rng, codec.to_float(clean))
      pairs.append((f'{name}_{exposure}', codec.to_uint8(low), clean))
  return tuple(pairs)
