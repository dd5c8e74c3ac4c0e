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
import dataclasses
import json
from pathlib import Path
import time

import cv2
import numpy as np
import skimage.data

from benchmarks.lib import measure
from sel_jax import allocator
from sel_jax import files
from sel_jax.images import codec
from sel_jax.inference import Enhancer
from sel_jax.inference import Restorer
from sel_jax.inference import tiling

SEAMS = {
  'tiles': 's',
  'tile': 'd',
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


def jumps(difference: np.ndarray, rows: set[int], columns: set[int]):
  """Mean change across lines where tiles begin or end, and elsewhere."""
  at_tiles, others = [], []
  for axis, lines in ((0, rows), (1, columns)):
    steps = np.abs(np.diff(difference, axis=axis)).mean(axis=(1 - axis, 2))
    marked = np.zeros(len(steps), bool)
    marked[[n - 1 for n in lines if 0 < n <= len(steps)]] = True
    at_tiles.append(steps[marked])
    others.append(steps[~marked])
  return tuple(float(np.concatenate(x).mean()) for x in (at_tiles, others))


def apart(restore, image, tile: int, overlap: int):
  """Tiles restored each by itself, then blended; no overlap is a paste."""
  height, width, _ = image.shape
  plan = tiling.Tiling.create(height, width, tile, overlap)
  total = np.zeros((*plan.size, 3), np.float32)
  padded = np.pad(
    image,
    ((0, plan.size[0] - height), (0, plan.size[1] - width), (0, 0)),
    mode='symmetric',
  )
  for group in plan.groups(1):
    window = plan.window(*group[0])
    if overlap:
      total[window] += plan.weight(*group[0]) * restore(padded[window])
    else:
      total[window] = restore(padded[window])
  return total[:height, :width], plan


def seams(enhancer: Enhancer, image, tile: int, folder: Path | None):
  """Rows of the first table."""

  def restore(**settings):
    spec = dataclasses.replace(enhancer.spec, **settings)
    return Restorer(enhancer.method, spec).bind(enhancer.params)

  height, width, _ = image.shape
  rows, pictures = [], {'low': image}

  def add(name, found, whole, plan, overlap, pool=0):
    lines = [
      {int(n) for s in starts for n in (s, s + side)}
      for starts, side in zip((plan.rows, plan.columns), plan.tile)
    ]
    difference = 255 * (found - whole)
    jump, elsewhere = jumps(difference, *lines)
    rows.append(
      {
        'tiles': name,
        'tile': tile,
        'overlap': overlap,
        'pool': pool,
        'difference': float(np.abs(difference).mean()),
        'largest': float(np.abs(difference).max()),
        'jump': jump,
        'elsewhere': elsewhere,
      }
    )
    pictures[f'{name} {overlap} {pool}'] = found

  whole = pictures['whole'] = restore(tile=0)(image)
  single = restore(tile=0)
  for overlap in (tile // 8, tile // 4):
    plan = tiling.Tiling.create(height, width, tile, overlap)
    found = restore(tile=tile, overlap=overlap)(image)
    add('blended at every step', found, whole, plan, overlap)
  found, plan = apart(single, image, tile, tile // 4)
  add('blended at the end', found, whole, plan, tile // 4)
  found, plan = apart(single, image, tile, 0)
  add('pasted', found, whole, plan, 0)
  for pool in (tile // 4, tile // 2):
    overlap = tile // 4
    plan = tiling.Tiling.create(height, width, tile, overlap)
    local = restore(tile=0, pool=pool)(image)
    found = restore(tile=tile, overlap=overlap, pool=pool)(image)
    add('blended at every step', found, local, plan, overlap, pool)
  if folder:
    files.ensure_directory(folder)
    for name, picture in pictures.items():
      codec.write_image(folder / f'{name}.png', picture)
  return rows


def one_size(args) -> measure.Row:
  """A row of the second table, in this process."""
  width, height = map(int, args.child.split('x'))
  image = photograph(width, height)
  enhancer = Enhancer.from_checkpoint(
    args.checkpoint, steps=args.steps, tile=args.tile, overlap=args.overlap
  )
  enhancer(image[:64, :64])  # starts the devices
  result = {}

  def run():
    start = time.perf_counter()
    result['image'] = enhancer(image)
    result['seconds'] = time.perf_counter() - start

  run()
  if args.folder:
    files.ensure_directory(args.folder)
    path = Path(args.folder) / f'{args.child}.jpg'
    codec.write_image(path, result['image'])
  spec = enhancer.spec
  large = bool(spec.tile) and max(width, height) > spec.tile
  plan = tiling.Tiling.create(height, width, spec.tile or 32, spec.overlap)
  return {
    'size': args.child,
    'megapixels': width * height / 1e6,
    'tiles': len(plan) if large else 1,
    'seconds': result['seconds'],
    'per megapixel': result['seconds'] / (width * height / 1e6),
    'peak MB': measure.peak_megabytes(),
  }


def main() -> None:
  """Prints both tables."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--checkpoint', default='runs/sample')
  parser.add_argument('--sizes', default='1000x750,2000x1500')
  parser.add_argument('--seam_size', default='512x640', help='empty is none')
  parser.add_argument('--seam_tile', type=int, default=256)
  parser.add_argument('--steps', type=int, help="default: the run's own")
  parser.add_argument('--tile', type=int)
  parser.add_argument('--overlap', type=int)
  parser.add_argument('--folder', help='also write the pictures there')
  parser.add_argument('--json', help='also write the figures to this file')
  parser.add_argument('--child', help=argparse.SUPPRESS)
  args = parser.parse_args()
  allocator.keep_memory()
  if args.child:
    print(json.dumps(one_size(args)))
    return
  rows = []
  print(f'{measure.machine()}\n')
  if args.seam_size:
    width, height = map(int, args.seam_size.split('x'))
    enhancer = Enhancer.from_checkpoint(args.checkpoint, steps=args.steps)
    folder = Path(args.folder) if args.folder else None
    image = photograph(width, height)
    found = seams(enhancer, image, args.seam_tile, folder)
    measure.show(found, SEAMS)
    print()
    rows += found
  given = ('checkpoint', 'steps', 'tile', 'overlap', 'folder')
  flags = [
    f'--{name}={getattr(args, name)}'
    for name in given
    if getattr(args, name) is not None
  ]
  sizes = [
    measure.in_child('benchmarks.tiling', [f'--child={size}', *flags])
    for size in filter(None, args.sizes.split(','))
  ]
  measure.show(sizes, SIZES)
  measure.save(args.json, vars(args), rows + sizes)


if __name__ == '__main__':
  main()
