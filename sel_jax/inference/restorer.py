"""From a photograph and parameters to the restored photograph.

Contract: the one place that runs the sampler on images: validation, evaluation
and enhancement all go through it, so they cannot disagree. Images are float32
[H, W, 3] in [0, 1] on the host, any size: small ones go to the device whole,
larger ones in tiles, and few programs serve all of them.
"""

import collections
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from jaxtyping import Bool
from jaxtyping import Float
from jaxtyping import Int
import numpy as np

from sel_jax import memory
from sel_jax.arrays import AnyArray
from sel_jax.arrays import Array
from sel_jax.arrays import Images
from sel_jax.arrays import Rgb
from sel_jax.arrays import Rgbs
from sel_jax.build import Method
from sel_jax.eval_section import EvalSpec
from sel_jax.inference import canvases
from sel_jax.inference import reducing
from sel_jax.inference import tone
from sel_jax.inference.canvases import Need
from sel_jax.inference.canvases import Programs
from sel_jax.inference.canvases import Shape
from sel_jax.inference.denoising import denoiser
from sel_jax.inference.denoising import whole_sampler
from sel_jax.inference.tiling import round_up
from sel_jax.inference.tiling import side_multiple
from sel_jax.inference.tiling import TiledSampler
from sel_jax.inference.tiling import Tiling
from sel_jax.inference.ways import joined
from sel_jax.inference.ways import Ways

# Kinds of programs: for photographs that fit into a tile, and for tiles.
_WHOLE, _TILES = 'whole', 'tiles'
# Called with the share of the work just done; the shares sum to one.
Progress = Callable[[float], None]


def local_mesh() -> Mesh | None:
  """The devices of this process; none if there is but one."""
  local = jax.local_devices()
  if len(local) == 1:
    return None
  return Mesh(np.array(local), ('images',), axis_types=(AxisType.Auto,))


def _mask(
  like: Images, extents: Int[AnyArray, 'B 2']
) -> Bool[Array, 'B H W 1']:
  """The pixels within the height and width of each image."""
  height, width = (extents[:, n, None, None, None] for n in range(2))
  rows, columns = (
    jnp.arange(like.shape[axis]).reshape(shape)
    for axis, shape in ((1, (1, -1, 1, 1)), (2, (1, 1, -1, 1)))
  )
  return (rows < height) & (columns < width)


class _Program:
  """A function of images, its third argument, compiled at its first call."""

  def __init__(self, run: Callable[..., Any], multiple: int):
    self._run, self._multiple = run, multiple
    self._compiled: Callable[..., Any] | None = None

  def __call__(self, *args: Any) -> Any:
    if self._compiled is None:
      own = functools.wraps(self._run)(lambda *args: self._run(*args))
      remedy = memory.tiles(*args[2].shape[1:3], multiple=self._multiple)
      self._compiled = memory.compile(jax.jit(own), *args, remedy=remedy)
    return self._compiled(*args)


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
    self._ways, self._multiple = Ways(method, spec), side_multiple(method.model)
    self._tile = round_up(spec.tile, self._multiple)
    self.at_once = mesh.devices.size if mesh else 1
    sde, denoise = method.sde, denoiser(method, spec)

    def mask_of(mu, extents):
      return _mask(mu, extents) if method.takes_mask else None

    def sampled(**options):
      run = whole_sampler(method, spec, **options)

      def whole(params, key, mu, extents, exposure, way):
        mask, way = mask_of(mu, extents), joined(way)
        return run(params, key, mu, way=way, mask=mask, exposure=exposure)

      return whole

    def estimate(params, x, mu, t, extents, exposure):
      mask = mask_of(mu, extents)
      noise = denoise(params, x, mu, t, mask=mask, exposure=exposure)
      return sde.clean_from_noise(x, noise, mu, t)

    whole, follow = sampled(), sampled(trajectory=True)
    if mesh:
      axis = P(*mesh.axis_names)
      spread = functools.partial(
        jax.shard_map, mesh=mesh, out_specs=axis, check_vma=False
      )
      whole = spread(whole, in_specs=(P(), P(), axis, axis, axis, P()))
      estimate = spread(estimate, in_specs=(P(), axis, axis, P(), axis, axis))
    held = functools.partial(
      Programs,
      masked=method.takes_mask,
      multiple=self._multiple,
      most=self._tile,
    )
    made = lambda run: functools.partial(_Program, run, self._multiple)
    self._wholes = held(made(whole), calls=spec.steps)
    self._follows = held(made(follow), calls=spec.steps)
    self._estimates = held(made(estimate))

  def _tiled(self, first: int) -> TiledSampler:
    """The sampler of large photographs from a time on."""
    return TiledSampler(
      self._estimate,
      self.method.sde,
      *self._ways.starting(first),
      tile=self._tile,
      overlap=self._spec.overlap,
      at_once=self.at_once,
      clip=self._spec.clip,
      dynamic=self._spec.dynamic,
      multiple=self._multiple,
    )

  def plan(self, sizes: Iterable[Shape]) -> list[Need]:
    """Chooses the canvases for photographs that are going to be restored.

    At most `canvases.LIMIT` together, whole photographs' and tiles'. Without it
    each size that comes goes where one was compiled before, or has a program of
    its own. A network that takes no mask has one for each size anyway.

    Args:
      sizes: height and width of each photograph; zeros are not known.

    Returns:
      Of each photograph, whether it is restored whole or in tiles, and on
      which canvas.
    """
    sizes = [reducing.size_at(size, self._spec.reduce) for size in sizes]
    counts = collections.Counter()
    needs = [self._need(size) for size in sizes]
    for size, (kind, shape) in zip(sizes, needs, strict=True):
      if 0 in size:
        continue
      tiles = len(self._tiling(size)) if kind == _TILES else 1
      counts[kind, shape] += tiles
      if kind == _TILES and self._spec.anchor:
        counts[kind, (self._tile, self._tile)] += 1
    if self.method.takes_mask:
      chosen = canvases.merged(counts)
    else:
      chosen = {need: need[1] for need in counts}
    for kind, kept in (
      (_WHOLE, self._wholes), (_WHOLE, self._follows), (_TILES, self._estimates)
    ):  # fmt: skip
      kept.plan({need[1]: chosen[need] for need in chosen if need[0] == kind})
    return [(kind, chosen.get((kind, shape), shape)) for kind, shape in needs]

  def compiled(self) -> dict[str, list[Shape]]:
    """The canvases of the programs that are held.

    Returns:
      Those for photographs that fit into a tile, 'whole'; for tiles, 'tiles';
      and for `trajectory`, 'states'.
    """
    return {
      _WHOLE: self._wholes.canvases,
      _TILES: self._estimates.canvases,
      'states': self._follows.canvases,
    }

  def __call__(
    self,
    params: Any,
    image: Rgb,
    *,
    seed: int = 0,
    exposure: float = math.nan,
    on_progress: Progress | None = None,
  ) -> Rgb:
    """Restores one photograph.

    Args:
      params: the network's parameters.
      image: [H, W, 3] low light, float32 in [0, 1].
      seed: draws the sampler's noise; no seed compiles anything anew.
      exposure: the mean intensity asked for, of a network that takes it, see
        `Method.takes_exposure`; NaN is not told.
      on_progress: called with the share of the work just done.

    Returns:
      [H, W, 3] float32, clamped to [0, 1].
    """
    size, key = image.shape[:2], jax.random.key(seed)
    image = reducing.reduced(image, self._spec.reduce)
    if self._is_large(image.shape):
      restored = self._in_tiles(params, key, image, exposure, on_progress)
    else:
      canvas = self._wholes.canvas(self._rounded(image.shape))
      first = self._ways.first(image)
      restored = self._whole(params, key, [image], [exposure], canvas, first)[0]
      if on_progress:
        on_progress(1.0)
    return reducing.enlarged(restored, size)

  def _finished(self, restored: np.ndarray, exposure: float) -> np.ndarray:
    asked = None if math.isnan(exposure) else exposure
    return np.asarray(tone.finished(restored, self._spec, asked))

  def trajectory(
    self,
    params: Any,
    image: Rgb,
    *,
    seed: int = 0,
    exposure: float = math.nan,
  ) -> Float[np.ndarray, 'T h w 3']:
    """The states from x_T to x_0; of a large photograph's thumbnail.

    Args:
      params: the network's parameters.
      image: [H, W, 3] low light, float32 in [0, 1].
      seed: draws the sampler's noise.
      exposure: as `__call__` takes it.

    Returns:
      [steps + 1, h, w, 3] float32, not clamped.
    """
    if self._is_large(image.shape):
      image = tone.thumbnail(image, self._tile)
    canvas = self._follows.canvas(self._rounded(image.shape))
    low, extents = self._batch([image], canvas)
    key, way = jax.random.key(seed), self._ways.arrays(self._ways.first(image))
    told = np.array([exposure], np.float32)
    _, states = self._follows(canvas, params, key, low, extents, told, way)
    height, width = image.shape[:2]
    return np.asarray(states)[:, 0, :height, :width]

  def many(
    self,
    params: Any,
    images: Rgbs,
    *,
    seed: int = 0,
    exposures: Sequence[float] | None = None,
  ) -> Rgbs:
    """Restores photographs, as if one by one, on all devices.

    Args:
      params: the network's parameters.
      images: each [H, W, 3] low light, float32 in [0, 1]; sizes may differ.
      seed: draws the sampler's noise, the same for every photograph.
      exposures: one of each photograph, as `__call__` takes it; None is not
        told.

    Returns:
      Each restored, in order, float32, clamped to [0, 1].
    """
    sizes, key = [image.shape[:2] for image in images], jax.random.key(seed)
    images = [reducing.reduced(x, self._spec.reduce) for x in images]
    told = exposures or [math.nan] * len(images)
    results: dict[int, np.ndarray] = {}
    alike = collections.defaultdict(list)
    for index, image in enumerate(images):
      if self._is_large(image.shape):
        results[index] = self._in_tiles(params, key, image, told[index], None)
      else:
        canvas = self._wholes.canvas(self._rounded(image.shape))
        alike[canvas, self._ways.first(image)].append(index)
    for run, indices in alike.items():
      for start in range(0, len(indices), self.at_once):
        group = indices[start : start + self.at_once]
        parts = [images[n] for n in group], [told[n] for n in group]
        restored = self._whole(params, key, *parts, *run)
        for index, result in zip(group, restored, strict=True):
          results[index] = result
    return [reducing.enlarged(results[n], s) for n, s in enumerate(sizes)]

  def _is_large(self, shape: tuple[int, ...]) -> bool:
    return bool(self._tile) and max(shape[:2]) > self._tile

  def _rounded(self, shape: tuple[int, ...]) -> Shape:
    """What the network is to see of a photograph."""
    height, width = (round_up(side, self._multiple) for side in shape[:2])
    return height, width

  def _need(self, size: Shape) -> Need:
    """The kind of the program for a photograph, and the shape it is for."""
    if self._is_large(size):
      return _TILES, self._tiling(size).tile
    return _WHOLE, self._rounded(size)

  def _tiling(self, shape: tuple[int, ...]) -> Tiling:
    height, width = shape[:2]
    overlap, multiple = self._spec.overlap, self._multiple
    return Tiling.create(height, width, self._tile, overlap, multiple=multiple)

  def _batch(
    self, images: list[np.ndarray], canvas: Shape
  ) -> tuple[np.ndarray, np.ndarray]:
    """Photographs on a canvas, and the height and width that count of each.

    The right and bottom border are mirrored up to the next multiple.
    """
    batch = np.zeros((len(images), *canvas, 3), np.float32)
    extents = np.array([self._rounded(image.shape) for image in images])
    for place, image, (height, width) in zip(batch, images, extents):
      rows, columns = height - image.shape[0], width - image.shape[1]
      pads = ((0, rows), (0, columns), (0, 0))
      place[:height, :width] = np.pad(image, pads, mode='symmetric')
    return batch, extents.astype(np.int32)

  def _estimate(self, told, x, mu, t):
    """x_0_hat of tiles of one shape, on a canvas; what is beside is no use.

    `told` are the parameters, and the exposure of the photograph.
    """
    params, exposure = told
    count, height, width, _ = x.shape
    canvas = self._estimates.canvas((height, width))
    beside = (0, canvas[0] - height), (0, canvas[1] - width)
    x, mu = (np.pad(part, ((0, 0), *beside, (0, 0))) for part in (x, mu))
    extents = np.full((count, 2), (height, width), np.int32)
    exposures = np.full(count, exposure, np.float32)
    return self._estimates(canvas, params, x, mu, t, extents, exposures)

  def _in_tiles(self, params, key, image, exposure, on_progress) -> np.ndarray:
    told, run = (params, exposure), self._tiled(self._ways.first(image))
    restored = run(told, key, image, on_tile=on_progress)
    np.clip(restored, 0, 1, out=restored)
    if self._spec.anchor:
      self._anchor(run, told, key, image, restored)
    return self._finished(restored, exposure)

  def _anchor(self, run, told, key, image, restored) -> None:
    """Gives tiles that do not agree the tones of the restored thumbnail."""
    tile = self._tile
    small = tone.thumbnail(image, tile)
    height, width = small.shape[:2]
    # A whole tile, so that one compilation serves every photograph.
    pads = ((0, tile - height), (0, tile - width), (0, 0))
    square = np.pad(small, pads, mode='symmetric')
    wanted = run(told, key, square)[:height, :width]
    spread = self._spec.overlap / 4 * tile / max(image.shape)
    tone.match_tone(restored, np.clip(wanted, 0, 1), max(spread, 2.0))
    np.clip(restored, 0, 1, out=restored)

  def _whole(
    self, params, key, images, exposures, canvas: Shape, first: int
  ) -> list[np.ndarray]:
    """At most `at_once` images on one canvas."""
    spare = self.at_once - len(images)
    batch, extents = self._batch(images + images[-1:] * spare, canvas)
    told = np.array([*exposures, *exposures[-1:] * spare], np.float32)
    way = self._ways.arrays(first)
    restored = self._wholes(canvas, params, key, batch, extents, told, way)
    return [
      self._finished(np.clip(row[: image.shape[0], : image.shape[1]], 0, 1), e)
      for row, image, e in zip(np.asarray(restored), images, exposures)
    ]
