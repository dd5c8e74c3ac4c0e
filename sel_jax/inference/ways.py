"""The steps that a photograph is restored by.

Contract: those of the settings' sampler from T, or, of a diffusion whose
sampling starts where the photograph's noise is, from there.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sel_jax.arrays import Rgb
from sel_jax.diffusion.samplers import Coefficients
from sel_jax.diffusion.samplers import Way
from sel_jax.eval_section import EvalSpec
from sel_jax.inference import noise
from sel_jax.inference.denoising import way_from
from sel_jax.method import Method


class Ways:
  """Steps by the time where they start; made once for each."""

  def __init__(self, method: Method, spec: EvalSpec):
    """Takes the diffusion and the sampler's settings; makes none yet."""
    self._method, self._spec = method, spec
    self.starting = functools.lru_cache(128)(self._starting)

  def first(self, image: Rgb) -> int:
    """The time where sampling of a photograph starts."""
    sde = self._method.sde
    return sde.first(noise.of(image, self._spec) if sde.by_noise else 0.0)

  def arrays(self, first: int) -> tuple[Any, ...]:
    """As `starting`, as arguments of a program; none if it knows them."""
    if not self._method.sde.by_noise:
      return ()
    steps, times = self.starting(first)
    return (*jax.tree.leaves(steps), times)

  def _starting(self, first: int) -> Way:
    steps, times = way_from(self._method, self._spec, first)
    # Steps that stay where they are, so that every photograph has as many.
    missing = self._spec.steps + 1 - len(times)
    stay = Coefficients(*np.eye(5, 1, dtype=np.float32).repeat(missing, 1))
    times = np.concatenate([np.full(missing, first, np.int32), times])
    join = lambda *parts: jnp.concatenate(parts)
    return jax.tree.map(join, stay, steps), times


def joined(arrays: tuple[Any, ...]) -> tuple[Coefficients, Any] | None:
  """The steps of `Ways.arrays`, if it gave any."""
  if not arrays:
    return None
  *leaves, times = arrays
  return Coefficients(*leaves), times
