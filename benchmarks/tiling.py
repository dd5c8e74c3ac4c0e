"""What do tiles cost, and do they show?

Two tables. Seams: one photograph restored whole and in tiles, blended at every
step, only at the end, or not at all. 'difference' is the mean distance from the
whole result in 8-bit levels; 'seam' compares how much that difference jumps
where tiles begin and end with how much it jumps elsewhere: 1 is no seam. Size:
seconds and memory of larger photographs, each in a process of its own.

  make train
  python -m benchmarks.tiling --sizes=1000x750,6000x4000
"""

import argparse
from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
import functools
from pathlib import Path
import time
from typing import Any

import cv2
import numpy as np
import skimage.data

from benchmarks.lib import front
from benchmarks.lib import measure
from benchmarks.lib import rows
from sel_jax import allocator
from sel_jax import files
from sel_jax.errors import InputError
from sel_jax.images import codec
from sel_jax.inference import Enhancer
from sel_jax.inference import Restorer
from sel_jax.inference import tiling

# How tiles become a photograph.
_EVERY_STEP, _AT_END = 'blended at every step', 'blended at the end'
_PASTED = 'pasted'
SEAMS = {
  'tiles': 's',
  'overlap': 'd',
  'pool': 'd',
  'difference': '.2f',
  'largest': '.1f',
  'jump': '.3f',
  'elsewhere': '.3f',
}
SIZES = {
  'size': 's',
  'megapixels': '.1f',
  'tiles': 'd',
  'seconds': '.1f',
  'per megapixel': '.1f',
  'peak MB': '.0f',
}


def photograph(width: int, height: int) -> np.ndarray:
  """A dark photograph of any size, float32: a sharp one, enlarged."""
  bright = skimage.data.astronaut()
  large = cv2.resize(bright, (width, height), interpolation=cv2.INTER_CUBIC)
  dark = large.astype(np.float32) / 255
  np.power(dark, 1.5, out=dark)
  dark *= 0.12
  noise = np.random.default_rng(0).normal(0, 0.008, (256, 256, 3))
  for y in range(0, height, 256):
    for x in range(0, width, 256):
      part = dark[y : y + 256, x : x + 256]
      part += noise[: part.shape[0], : part.shape[1]].astype(np.float32)
  return np.clip(dark, 0, 1, out=dark)


def jumps(
  difference: np.ndarray, across: set[int], along: set[int]
) -> tuple[float, float]:
  """Mean change across lines where tiles begin or end, and elsewhere."""
  at_tiles, others = [], []
  for axis, lines in ((0, across), (1, along)):
    steps = np.abs(np.diff(difference, axis=axis)).mean(axis=(1 - axis, 2))
    marked = np.zeros(len(steps), bool)
    marked[[n - 1 for n in lines if 0 < n <= len(steps)]] = True
    at_tiles.append(steps[marked])
    others.append(steps[~marked])
  marks, rest = np.concatenate(at_tiles), np.concatenate(others)
  return float(marks.mean()), float(rest.mean())


def apart(
  restore: Callable[[np.ndarray], np.ndarray],
  image: np.ndarray,
  plan: tiling.Tiling,
  *,
  blend: bool,
) -> np.ndarray:
  """Tiles restored each by itself, then blended, or pasted."""
  height, width, _ = image.shape
  total = np.zeros((*plan.size, 3), np.float32)
  padded = np.pad(
    image,
    ((0, plan.size[0] - height), (0, plan.size[1] - width), (0, 0)),
    mode='symmetric',
  )
  for group in plan.groups(1):
    window = plan.window(*group[0])
    if blend:
      total[window] += plan.weight(*group[0]) * restore(padded[window])
    else:
      total[window] = restore(padded[window])
  return total[:height, :width]


class Seams:
  """One photograph, whole and in tiles.

  Attributes:
    pictures: name -> every result so far.
  """

  def __init__(self, enhancer: Enhancer, image: np.ndarray, tile: int):
    """Restores nothing yet.

    Args:
      enhancer: the model.
      image: [H, W, 3] float32 in [0, 1].
      tile: side of a tile, a multiple of what the network asks for.
    """
    self._enhancer, self._image, self._tile = enhancer, image, tile
    self._multiple = tiling.side_multiple(enhancer.method.model)
    self.pictures = {'low': image}

  def _restore(self, **settings: Any) -> Callable[[np.ndarray], np.ndarray]:
    spec = dataclasses.replace(self._enhancer.spec, **settings)
    restorer = Restorer(self._enhancer.method, spec)
    return functools.partial(restorer, self._enhancer.params)

  @functools.cached_property
  def _single(self) -> Callable[[np.ndarray], np.ndarray]:
    """Restores what it is given whole."""
    return self._restore(tile=0)

  def _whole(self, pool: int) -> np.ndarray:
    """The photograph restored whole, once for each window of attention."""
    name = f'whole {pool}'
    if name not in self.pictures:
      restore = self._restore(tile=0, pool=pool) if pool else self._single
      self.pictures[name] = restore(self._image)
    return self.pictures[name]

  def row(self, tiles: str, overlap: int, pool: int) -> rows.Row:
    """How the photograph in tiles differs from the whole one."""
    height, width, _ = self._image.shape
    plan = tiling.Tiling.create(
      height, width, self._tile, overlap, multiple=self._multiple
    )
    if tiles == _EVERY_STEP:
      sides = {'tile': self._tile, 'overlap': overlap}
      found = self._restore(**sides, pool=pool)(self._image)
    else:
      found = apart(self._single, self._image, plan, blend=tiles != _PASTED)
    self.pictures[f'{tiles} {overlap} {pool}'] = found
    difference = 255 * (found - self._whole(pool))
    lines = [
      {int(n) for s in starts for n in (s, s + side)}
      for starts, side in zip((plan.rows, plan.columns), plan.tile, strict=True)
    ]
    jump, elsewhere = jumps(difference, *lines)
    return {
      'difference': float(np.abs(difference).mean()),
      'largest': float(np.abs(difference).max()),
      'jump': jump,
      'elsewhere': elsewhere,
    }

  def write(self, folder: str | Path) -> None:
    """Writes every result as a picture."""
    folder = files.ensure_directory(folder)
    for name, picture in self.pictures.items():
      codec.write_image(folder / f'{name}.png', picture)


def one_size(args: argparse.Namespace, size: str) -> rows.Row:
  """A row of the second table, in this process."""
  allocator.keep_memory()
  width, height = front.sides(size)[0]
  image = photograph(width, height)
  enhancer = _enhancer(args)
  enhancer(image[:64, :64])  # starts the devices
  begin = time.perf_counter()
  restored = enhancer(image)
  seconds = time.perf_counter() - begin
  if args.folder:
    path = files.ensure_directory(args.folder) / f'{size}.jpg'
    codec.write_image(path, restored)
  return {
    'megapixels': width * height / 1e6,
    'tiles': _tiles(enhancer, height, width),
    'seconds': seconds,
    'per megapixel': seconds / (width * height / 1e6),
    'peak MB': measure.peak_megabytes(),
  }


def _enhancer(args: argparse.Namespace) -> Enhancer:
  names = ('steps', 'tile', 'overlap', 'anchor')
  given = {name: getattr(args, name) for name in names}
  return Enhancer.from_checkpoint(args.checkpoint, **given)


def _tiles(enhancer: Enhancer, height: int, width: int) -> int:
  """How many tiles a photograph is restored in."""
  spec = enhancer.spec
  multiple = tiling.side_multiple(enhancer.method.model)
  tile = tiling.round_up(spec.tile, multiple)
  if not tile or max(height, width) <= tile:
    return 1
  return len(
    tiling.Tiling.create(height, width, tile, spec.overlap, multiple=multiple)
  )


def _seam_cases(args: argparse.Namespace) -> list[rows.Row]:
  """Cases of the first table."""
  last = args.seam_overlaps[-1]
  kinds = [(_EVERY_STEP, overlap, 0) for overlap in args.seam_overlaps]
  kinds += [(_AT_END, last, 0), (_PASTED, 0, 0)]
  kinds += [(_EVERY_STEP, last, pool) for pool in args.seam_pools]
  return [
    dict(zip(('tiles', 'overlap', 'pool'), kind, strict=True)) for kind in kinds
  ]


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
  parser = front.parser(__spec__.name, __doc__)
  add, numbers = parser.add_argument, front.numbers()
  add('--checkpoint', default='runs/sample', help='or weights, or shipped')
  add('--sizes', type=front.sides, default='1000x750,2000x1500', help='or none')
  seam = {'type': front.sides, 'default': '512x640'}
  add('--seam-size', **seam, help='of the first table; empty is none')
  add('--seam-tile', type=front.number(), default=256, help='side, pixels')
  add('--seam-overlaps', type=numbers, default='32,64', help='pixels')
  pools = 'windows of the attention, pixels; empty is none'
  add('--seam-pools', type=numbers, default='64,128', help=pools)
  add('--steps', type=front.number(), help="default: the run's own")
  add('--tile', type=front.number(0), help="default: the run's own")
  add('--overlap', type=front.number(0), help="default: the run's own")
  anchor = "give tiles the tones of the thumbnail; default: the run's own"
  parser.switch('--anchor', default=None, help=anchor)
  add('--folder', help='also write the pictures there')
  return front.parse(parser, arguments)


def _check(args: argparse.Namespace, enhancer: Enhancer) -> None:
  """What the first table asks of flags and model."""
  multiple = tiling.side_multiple(enhancer.method.model)
  if args.seam_tile % multiple:
    raise InputError(
      f'--seam-tile={args.seam_tile}: give a multiple of {multiple}'
    )
  if not args.seam_overlaps or max(args.seam_overlaps) > args.seam_tile // 2:
    raise InputError(
      f'--seam-overlaps: give pixels, up to half of --seam-tile='
      f'{args.seam_tile}'
    )
  if len(args.seam_size) > 1 or max(args.seam_size[0]) <= args.seam_tile:
    raise InputError('--seam-size: give one, with a side above --seam-tile')
  for pool in args.seam_pools:
    enhancer.settings.changed({'eval.pool': pool})


def _first_table(
  args: argparse.Namespace, enhancer: Enhancer
) -> list[rows.Row]:
  seams = Seams(enhancer, photograph(*args.seam_size[0]), args.seam_tile)
  found = [
    rows.attempt(case, lambda case=case: seams.row(**case))
    for case in _seam_cases(args)
  ]
  if args.folder:
    seams.write(args.folder)
  return found


def main(arguments: Sequence[str] | None = None) -> int:
  """Prints both tables."""
  args = _parse(arguments)
  if args.case:
    return rows.answer(one_size(args, **args.case))
  enhancer = _enhancer(args)
  if args.seam_size:
    _check(args, enhancer)
  sizes = [{'size': f'{width}x{height}'} for width, height in args.sizes]
  if args.dry_run:
    seams = _seam_cases(args) if args.seam_size else []
    return rows.preview([*seams, *sizes])
  allocator.keep_memory()
  tables = []
  if args.seam_size:
    tables.append((_first_table(args, enhancer), SEAMS))
  if sizes:
    tables.append(([rows.in_child(args, case) for case in sizes], SIZES))
  heading = f'{args.checkpoint}, {enhancer.spec.steps} steps'
  if args.seam_size:
    heading += f'; first table: tiles of {args.seam_tile} pixels'
  return rows.report(args, *tables, heading=heading)


if __name__ == '__main__':
  front.run(main)
