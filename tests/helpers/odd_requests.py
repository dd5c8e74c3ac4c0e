"""What a stranger may ask the page for, a seeded stream of it.

Contract: the same seed and number give the same.
"""

from collections.abc import Iterator
import dataclasses
from typing import Any

import numpy as np

from helpers import odd_images
from helpers.odd_weights import VALUES

_SOUND = {
  'ev': (0.0, -2, 2, 0.7),
  'sampler': ('posterior',),
  'steps': (1, 2),
  'strength': (1, 0, 0.35),
  'seed': (0, 7, 2**31 - 1),
}


@dataclasses.dataclass(frozen=True)
class Odd:
  """A request.

  Attributes:
    photo: the file that was uploaded.
    settings: name -> value of the other controls.
  """

  photo: odd_images.Odd
  settings: dict[str, Any]


def odd_requests(count: int, *, seed: int = 0) -> Iterator[Odd]:
  """So many requests; in half of them a setting is not of the page's.

  Args:
    count: how many.
    seed: of the stream; one is the same however many are asked for.
  """
  photos = odd_images.odd_images(count, seed=seed + 1_000_000)
  for n, photo in enumerate(photos):
    rng = np.random.default_rng((seed, n))
    settings: dict[str, Any] = {
      name: values[rng.integers(len(values))] for name, values in _SOUND.items()
    }
    if n % 2:
      name = list(settings)[rng.integers(len(settings))]
      settings[name] = VALUES[rng.integers(len(VALUES))]
    yield Odd(photo, settings)
