"""The built-in sample set: no download, a few photographs, many exposures.

Contract: photographs that ship inside scikit-image and scikit-learn, darkened
by `degrade.darken`; the same numbers on every machine. For a first run and
for tests: too small to learn general restoration from.
"""

from collections.abc import Callable
import functools

import numpy as np
import skimage.data

from sel_jax.data import degrade
from sel_jax.errors import InputError
from sel_jax.images import codec


def _scikit_learn(name: str) -> np.ndarray:
  # Imported here: it takes longer than everything else together.
  from sklearn.datasets import load_sample_image

  return load_sample_image(name)


PHOTOGRAPHS: dict[str, dict[str, Callable[[], np.ndarray]]] = {
  'train': {
    'astronaut': skimage.data.astronaut,
    'coffee': skimage.data.coffee,
    'motorcycle': lambda: skimage.data.stereo_motorcycle()[0],
    'rocket': skimage.data.rocket,
    'china': lambda: _scikit_learn('china.jpg'),
  },
  'val': {'flower': lambda: _scikit_learn('flower.jpg')},
  'test': {'chelsea': skimage.data.chelsea},
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
