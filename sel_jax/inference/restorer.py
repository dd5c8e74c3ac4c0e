"""From a photograph and parameters to the restored photograph.

Contract: the one place that runs the sampler on images: validation, evaluation
and enhancement all go through it, so they cannot disagree. Images are float32
[H, W, 3] in [0, 1] on the host, any size.
"""

from collections.abc import Callable
import functools
from typing import Any

import jax
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
  """Restores photographs with a method and its sampler's settings."""

  def __init__(self, method: Method, spec: EvalSpec):
    self._spec = spec
    times = time_grid(method.sde.steps, spec.steps)

    @jax.jit
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

    self._run = run

  def __call__(self, params: Any, image: np.ndarray) -> np.ndarray:
    """Restores one photograph; the same seed for every photograph.

    Args:
      params: of the network.
      image: [H, W, 3] low light, float32 in [0, 1].

    Returns:
      [H, W, 3] float32, clamped to [0, 1].
    """
    height, width = image.shape[:2]
    key = jax.random.key(self._spec.seed)
    result = self._run(params, key, _padded(image)[None])
    return np.clip(np.asarray(result)[0, :height, :width], 0, 1)

  def bind(self, params: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Image -> restored image, with these parameters."""
    return functools.partial(self, jax.device_put(params))
