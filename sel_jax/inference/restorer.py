"""From a photograph and parameters to the restored photograph.

Contract: the one place that runs the sampler on images: validation, evaluation
and enhancement all go through it, so they cannot disagree. Images are float32
[H, W, 3] in [0, 1] on the host, any size: small ones go to the device whole,
larger ones in tiles.
"""

from collections.abc import Callable
import dataclasses
import functools
from typing import Any

import jax
from jax.sharding import AxisType
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from jaxtyping import Float
import numpy as np

from sel_jax.arrays import Images
from sel_jax.arrays import Rgb
from sel_jax.arrays import Rgbs
from sel_jax.build import Method
from sel_jax.diffusion import GRIDS
from sel_jax.diffusion import sample
from sel_jax.diffusion.samplers import coefficients_of
from sel_jax.eval_section import EvalSpec
from sel_jax.inference import tone
from sel_jax.inference.tiling import round_up
from sel_jax.inference.tiling import side_multiple
from sel_jax.inference.tiling import TiledSampler

# Called with the share of the work just done; the shares sum to one.
Progress = Callable[[float], None]


def local_mesh() -> Mesh | None:
  """The devices of this process; none if there is but one."""
  local = jax.local_devices()
  if len(local) == 1:
    return None
  return Mesh(np.array(local), ('images',), axis_types=(AxisType.Auto,))


def denoiser(method: Method, spec: EvalSpec) -> Callable[..., Images]:
  """(params, x_t, mu, t) -> e_hat, as the sampler's settings want it."""
  if spec.pool:
    local = method.model.clone(pool=spec.pool)
    method = dataclasses.replace(method, model=local)

  def run(params, x, mu, t):
    noise = method.estimate_noise(params, x, mu, t)
    if spec.unbias:
      noise = method.sde.noise_from_euler(x, noise, mu, t)
    return noise

  return run


def whole_sampler(
  method: Method, spec: EvalSpec, *, trajectory: bool = False
) -> Callable[..., Any]:
  """(params, key, mu [B, H, W, 3]) -> restored images, not clamped.

  With `trajectory` also the states, [steps + 1, B, H, W, 3].
  """
  denoise = denoiser(method, spec)
  times = GRIDS[spec.grid](method.sde, spec.steps)

  def run(params, key, mu):
    return sample(
      functools.partial(denoise, params),
      method.sde,
      key,
      mu,
      sampler=spec.sampler,
      times=times,
      clip=spec.clip,
      dynamic=spec.dynamic,
      trajectory=trajectory,
    )

  return run


class Restorer:
  """Restores photographs with a method and its sampler's settings.

  Attributes:
    method: network and diffusion.
    at_once: photographs that it restores together at best: one per device.
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
    self.method, self._spec = method, spec
    self._multiple = side_multiple(method.model)
    self._tile = round_up(spec.tile, self._multiple)
    self.at_once = mesh.devices.size if mesh else 1
    sde, denoise = method.sde, denoiser(method, spec)
    times = GRIDS[spec.grid](sde, spec.steps)
    run = whole_sampler(method, spec)

    def estimate(params, x, mu, t):
      return sde.clean_from_noise(x, denoise(params, x, mu, t), mu, t)

    if mesh:
      axis = P(*mesh.axis_names)
      spread = functools.partial(
        jax.shard_map, mesh=mesh, out_specs=axis, check_vma=False
      )
      run = spread(run, in_specs=(P(), P(), axis))
      estimate = spread(estimate, in_specs=(P(), axis, axis, P()))
    self._run = jax.jit(run)
    self._states = jax.jit(whole_sampler(method, spec, trajectory=True))
    self._tiled = TiledSampler(
      jax.jit(estimate),
      sde,
      *coefficients_of(sde, spec.sampler, times),
      tile=self._tile,
      overlap=spec.overlap,
      at_once=self.at_once,
      clip=spec.clip,
      dynamic=spec.dynamic,
      multiple=self._multiple,
    )

  def __call__(
    self,
    params: Any,
    image: Rgb,
    *,
    seed: int = 0,
    on_progress: Progress | None = None,
  ) -> Rgb:
    """Restores one photograph.

    Args:
      params: the network's parameters.
      image: [H, W, 3] low light, float32 in [0, 1].
      seed: draws the sampler's noise; no seed compiles anything anew.
      on_progress: called with the share of the work just done.

    Returns:
      [H, W, 3] float32, clamped to [0, 1].
    """
    key = jax.random.key(seed)
    if self._is_large(image):
      return self._in_tiles(params, key, image, on_progress)
    restored = self._whole(params, key, [image])[0]
    if on_progress:
      on_progress(1.0)
    return restored

  def trajectory(
    self, params: Any, image: Rgb, *, seed: int = 0
  ) -> Float[np.ndarray, 'T h w 3']:
    """The states from x_T to x_0; of a large photograph's thumbnail.

    Args:
      params: the network's parameters.
      image: [H, W, 3] low light, float32 in [0, 1].
      seed: draws the sampler's noise.

    Returns:
      [steps + 1, h, w, 3] float32, not clamped.
    """
    if self._is_large(image):
      image = tone.thumbnail(image, self._tile)
    low = self._padded(image)[None]
    _, states = self._states(params, jax.random.key(seed), low)
    height, width = image.shape[:2]
    return np.asarray(states)[:, 0, :height, :width]

  def many(self, params: Any, images: Rgbs, *, seed: int = 0) -> Rgbs:
    """Restores photographs, as if one by one, on all devices.

    Args:
      params: the network's parameters.
      images: each [H, W, 3] low light, float32 in [0, 1]; sizes may differ.
      seed: draws the sampler's noise, the same for every photograph.

    Returns:
      Each restored, in order, float32, clamped to [0, 1].
    """
    key = jax.random.key(seed)
    results: dict[int, np.ndarray] = {}
    by_shape: dict[tuple, list[int]] = {}
    for index, image in enumerate(images):
      if self._is_large(image):
        results[index] = self._in_tiles(params, key, image, None)
      else:
        by_shape.setdefault(self._padded(image).shape, []).append(index)
    for indices in by_shape.values():
      for start in range(0, len(indices), self.at_once):
        group = indices[start : start + self.at_once]
        restored = self._whole(params, key, [images[n] for n in group])
        for index, result in zip(group, restored, strict=True):
          results[index] = result
    return [results[index] for index in range(len(images))]

  def _is_large(self, image: np.ndarray) -> bool:
    return bool(self._tile) and max(image.shape[:2]) > self._tile

  def _padded(self, image: np.ndarray) -> np.ndarray:
    """Mirrors the right and bottom border up to the next multiple."""
    height, width = image.shape[:2]
    pads = ((0, -height % self._multiple), (0, -width % self._multiple), (0, 0))
    return np.pad(image, pads, mode='symmetric')

  def _in_tiles(self, params, key, image, on_progress) -> np.ndarray:
    restored = self._tiled(params, key, image, on_tile=on_progress)
    np.clip(restored, 0, 1, out=restored)
    if self._spec.anchor:
      self._anchor(params, key, image, restored)
    return restored

  def _anchor(self, params, key, image, restored) -> None:
    """Gives tiles that do not agree the tones of the restored thumbnail."""
    tile = self._tile
    small = tone.thumbnail(image, tile)
    height, width = small.shape[:2]
    # A whole tile, so that one compilation serves every photograph.
    pads = ((0, tile - height), (0, tile - width), (0, 0))
    square = np.pad(small, pads, mode='symmetric')
    wanted = self._tiled(params, key, square)[:height, :width]
    spread = self._spec.overlap / 4 * tile / max(image.shape)
    tone.match_tone(restored, np.clip(wanted, 0, 1), max(spread, 2.0))
    np.clip(restored, 0, 1, out=restored)

  def _whole(self, params, key, images: list[np.ndarray]) -> list[np.ndarray]:
    """At most `at_once` images of one padded shape."""
    filled = images + images[-1:] * (self.at_once - len(images))
    batch = np.stack([self._padded(image) for image in filled])
    restored = np.asarray(self._run(params, key, batch))
    return [
      np.clip(row[: image.shape[0], : image.shape[1]], 0, 1)
      for row, image in zip(restored, images)
    ]

  def bind(self, params: Any) -> Callable[..., Rgb]:
    """Image -> restored image, with these parameters."""
    return functools.partial(self, jax.device_put(params))
