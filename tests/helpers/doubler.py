"""A model that stands in for one, and photographs for it."""

import numpy as np

from sel_jax.images import codec


def write(path, value=20, size=(8, 12)):
  path.parent.mkdir(parents=True, exist_ok=True)
  codec.write_image(path, np.full((*size, 3), value, np.uint8))


class Doubler:
  """Stands in for a model: twice as bright."""

  def __init__(self, at_once=1):
    self.calls, self.at_once, self.together = 0, at_once, []
    self.asked = []

  def plan(self, sizes):
    return [size[0] for size in sizes]

  def many(self, images, *, exposures, ev, strength):
    assert exposures == ['auto'] * len(images) and not ev
    self.together.append(len(images))
    return [np.clip(image * (1 + strength), 0, 1) for image in images]

  def __call__(self, image, *, exposure, ev, strength, on_progress):
    self.calls += 1
    self.asked.append((exposure, ev))
    on_progress(1.0)
    return np.clip(image * (1 + strength), 0, 1)
