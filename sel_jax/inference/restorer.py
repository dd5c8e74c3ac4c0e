"""From a photograph and parameters to the restored photograph.

Contract: the one place that runs the sampler on images: validation, evaluation
and enhancement all go through it, so they cannot disagree. Images are float32
[H, W, 3] in [0, 1] on the host, any size.
"""

from collections.abc import Callable
import functools
from typing import Any

import jax
from jax.sharding import PartitionSpec as P
import numpy as np

from sel_jax.build import Method
from sel_jax.diffusion import sample
from sel_jax.diffusion import time_grid
from sel_jax.settings import EvalSpec

# Sizes are rounded up to this, so that nearby sizes share one compilation.
_MULTIPLE = 32


def _padded(image: np.ndarray) -> np.ndarray:
  """Mirrors the right and bottom border up to the next multiple."""
  height, width = image.shape[:2]
  pads = ((0, -height % _MULTIPLE), (0, -width % _MULTIPLE), (0, 0))
  return np.pad(image, pads, mode='symmetric')


class Restorer:
  """Restores photographs with a method and its sampler's settings.

  Attributes:
    at_once: photographs that it restores together at best: one a device.
  """

  def __init__(
    self, method: Method, spec: EvalSpec, mesh: jax.sharding.Mesh | None = None
  ):
    """Compiles nothing yet.

    Args:
      method: network and diffusion.
      spec: the sampler's settings.
      mesh: devices of this process to spread photographs over; none is one.
    """
    self._spec = spec
    self.at_once = mesh.devices.size if mesh else 1
    times = time_grid(method.sde.steps, spec.steps)

    def run(params, key, mu):
      return sample(
        functools.partial(method.estimate_noise, params),
        method.sde,
        key,
        mu,
        sampler=spec.sampler,
        times=times,
        clip=spec.clip,
      )

    if mesh:
      axis = P(*mesh.axis_names)
      run = jax.shard_map(
        run,
        mesh=mesh,
        in_specs=(P(), P(), axis),
        out_specs=axis,
        check_vma=False,
      )
    self._run = jax.jit(run)

  def __call__(self, params: Any, image: np.ndarray) -> np.ndarray:
    """Restores one photograph; the same seed for every photograph.

    Args:
      params: of the network.
      image: [H, W, 3] low light, float32 in [0, 1].

    Returns:
      [H, W, 3] float32, clamped to [0, 1].
    """
    return self.many(params, [image])[0]

  def many(self, params: Any, images: list[np.ndarray]) -> list[np.ndarray]:
    """Restores photographs, as if one by one, on all devices.

    Args:
      params: of the network.
      images: each [H, W, 3] low light, float32 in [0, 1]; sizes may differ.

    Returns:
      Each restored, in order, float32, clamped to [0, 1].
    """
    key = jax.random.key(self._spec.seed)
    padded = [_padded(image) for image in images]
    by_shape: dict[tuple, list[int]] = {}
    for index, image in enumerate(padded):
      by_shape.setdefault(image.shape, []).append(index)
    results: list[np.ndarray | None] = [None] * len(images)
    for indices in by_shape.values():
      for start in range(0, len(indices), self.at_once):
        group = indices[start : start + self.at_once]
        filled = group + group[-1:] * (self.at_once - len(group))
        batch = np.stack([padded[index] for index in filled])
        restored = np.asarray(self._run(params, key, batch))
        for row, index in enumerate(group):
          height, width = images[index].shape[:2]
          results[index] = np.clip(restored[row, :height, :width], 0, 1)
    return results

  def bind(self, params: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Image -> restored image, with these parameters."""
    return functools.partial(self, jax.device_put(params))

  def bind_many(
    self, params: Any
  ) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
    """Images -> restored images, with these parameters."""
    return functools.partial(self.many, params)
