"""A stand-in for LOL-v1."""

import numpy as np

from sel_jax.images import codec


def write(root, train=485, test=15, size=198):
  """LOL-v1's folders and counts, each pair of a scene of its own."""
  rng = np.random.default_rng(0)
  for split, count in (('our485', train), ('eval15', test)):
    for n in range(count):
      coarse = rng.integers(60, 256, (6, 6, 3), dtype=np.uint8)
      clean = coarse.repeat(size // 6, 0).repeat(size // 6, 1)
      for side, image in (('low', clean // 8), ('high', clean)):
        folder = root / split / side
        folder.mkdir(parents=True, exist_ok=True)
        codec.write_image(folder / f'{n}.png', image)
