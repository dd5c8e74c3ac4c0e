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
from sel_jax.diffusion.samplers import coefficients_of
from sel_jax.diffusion.samplers import Way
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


def way_from(method: Method, spec: EvalSpec, first: int) -> Way:
  """The steps of the settings' sampler.

  Args:
    method: has the diffusion.
    spec: sampler, grid and number of steps; fewer from a time below it.
    first: where they start, at most T.
  """
  sde, grid = method.sde, GRIDS[spec.grid]
  if first == sde.steps:  # a grid need not know of other times
    times = grid(sde, spec.steps)
  else:
    times = grid(sde, min(spec.steps, first), first=first)
  return coefficients_of(sde, spec.sampler, times)


def whole_sampler(
  method: Method, spec: EvalSpec, *, trajectory: bool = False
) -> Callable[..., Any]:
  """(params, key, mu [B, H, W, 3], way=, ...) -> restored, not clamped.

  `way` is what `way_from` gives, that from T if left out; `mask` and `exposure`
  are those of `Method.estimate_noise`. With `trajectory` also the states,
  [steps + 1, B, H, W, 3].
  """
  denoise = denoiser(method, spec)

  def run(params, key, mu, *, way=None, mask=None, exposure=None):
    return sample(
      functools.partial(denoise, params, mask=mask, exposure=exposure),
      method.sde,
      key,
      mu,
      way=way or way_from(method, spec, method.sde.steps),
      clip=spec.clip,
      dynamic=spec.dynamic,
      trajectory=trajectory,
      mask=mask,
    )

  return run
