"""The network and its sampler as functions of arrays alone.

Contract: pure; the settings of the sampler are bound, parameters are given at
each call. `restorer` compiles them, `export` writes them down.
"""

from collections.abc import Callable
import dataclasses
import functools
from typing import Any

from sel_jax.arrays import Images
from sel_jax.diffusion import GRIDS
from sel_jax.diffusion import sample
from sel_jax.eval_section import EvalSpec
from sel_jax.method import Method


def denoiser(method: Method, spec: EvalSpec) -> Callable[..., Images]:
  """(params, x_t, mu, t, mask=, exposure=) -> e_hat, by the settings."""
  if spec.pool:
    local = method.model.clone(pool=spec.pool)
    method = dataclasses.replace(method, model=local)

  def run(params, x, mu, t, *, mask=None, exposure=None):
    noise = method.estimate_noise(
      params, x, mu, t, mask=mask, exposure=exposure
    )
    if spec.unbias:
      noise = method.sde.noise_from_euler(x, noise, mu, t)
    return noise

  return run


def whole_sampler(
  method: Method, spec: EvalSpec, *, trajectory: bool = False
) -> Callable[..., Any]:
  """(params, key, mu [B, H, W, 3], mask=, exposure=) -> restored, not clamped.

  With `trajectory` also the states, [steps + 1, B, H, W, 3].
  """
  denoise = denoiser(method, spec)
  times = GRIDS[spec.grid](method.sde, spec.steps)

  def run(params, key, mu, *, mask=None, exposure=None):
    return sample(
      functools.partial(denoise, params, mask=mask, exposure=exposure),
      method.sde,
      key,
      mu,
      sampler=spec.sampler,
      times=times,
      clip=spec.clip,
      dynamic=spec.dynamic,
      trajectory=trajectory,
      mask=mask,
    )

  return run
