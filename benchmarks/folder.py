"""A folder of photographs: how many a second, how many programs, what memory?

Each row is a process of its own: a folder of dark photographs, their sizes
drawn between two, is enhanced as the command does it. 'alone' is the network
by itself on photographs of that size, decoded, one after the other: what a
folder of one size could reach. With --loss each photograph is restored with a
program for its own shape too; 'loss' is the most that it has less of PSNR
against the bright picture it was made of, when it shares a program.

  python -m benchmarks.folder --sizes=1,100 --loss
  python -m benchmarks.folder --photographs=200 --sizes=1 --smallest=600x400 \
      --largest=600x400
  python -m benchmarks.folder --photographs=2000 --sizes=200 --largest=256x256
"""

import argparse
from collections.abc import Sequence
import dataclasses
import functools
from pathlib import Path
import tempfile
import time
from typing import Any

import cv2
import jax
import numpy as np
import skimage.data

from benchmarks.lib import front
from benchmarks.lib import measure
from benchmarks.lib import rows
from sel_jax import allocator
from sel_jax import programs
from sel_jax.errors import InputError
from sel_jax.evaluation import metrics
from sel_jax.images import codec
from sel_jax.inference import collect
from sel_jax.inference import enhance_files
from sel_jax.inference import Enhancer
from sel_jax.inference import Restorer
from sel_jax.inference import tiling

COLUMNS = {
  'photographs': 'd',
  'sizes': 'd',
  'programs': 'd',
  'seconds': '.1f',
  'compiling': '.1f',
  'a second': '.2f',
  'alone': '.2f',
  'loss': '.5f',
  'MB at 1/20': '.0f',
  'MB at 1/2': '.0f',
  'MB at the end': '.0f',
  'maps at 1/20': 'd',
  'maps at the end': 'd',
}
# Calls of the network alone.
_CALLS = 20


def pair(width: int, height: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
  """A dark photograph and the bright picture it was made of, uint8."""
  rng = np.random.default_rng(seed)
  source = skimage.data.astronaut()
  side = rng.integers(128, 513, 2)
  y, x = rng.integers(0, 513 - side)
  crop = source[y : y + side[0], x : x + side[1]]
  bright = cv2.resize(crop, (width, height), interpolation=cv2.INTER_AREA)
  dark = 0.12 * (bright / 255) ** 1.5
  dark += rng.normal(0, 0.008, dark.shape)
  return codec.to_uint8(dark), bright


def _sizes(args: argparse.Namespace, count: int) -> list[tuple[int, int]]:
  """Different (width, height) between the smallest and the largest."""
  rng = np.random.default_rng(0)
  low, high = args.smallest[0], args.largest[0]
  room = np.prod(np.subtract(high, low) + 1)
  if count > room:
    raise InputError(
      f'--sizes={count}: there are {room} between --smallest and --largest; '
      'take them further apart'
    )
  found: dict[tuple[int, int], None] = {}
  while len(found) < count:
    width, height = rng.integers(low, np.add(high, 1)).tolist()
    found[width, height] = None
  return list(found)


def _write(args: argparse.Namespace, folder: Path, count: int) -> list[Any]:
  """The folder's photographs; for each its bright picture."""
  sizes, clean = _sizes(args, count), []
  for n in range(args.photographs):
    dark, bright = pair(*sizes[n % count], seed=n)
    codec.write_image(folder / f'{n:05d}.{args.format}', dark)
    clean.append(bright)
  return clean


class _Clock:
  """Seconds of compiling, and how often."""

  def __init__(self):
    self.seconds, self.programs, self._begin = 0.0, 0, 0.0

  def __call__(self, is_on: bool) -> None:
    if is_on:
      self.programs += 1
      self._begin = time.perf_counter()
    else:
      self.seconds += time.perf_counter() - self._begin


def _alone(enhancer: Enhancer, low: np.ndarray) -> float:
  """Photographs a second of the network by itself, all its calls."""
  multiple = tiling.side_multiple(enhancer.method.model)
  pads = [(0, -side % multiple) for side in low.shape[:2]]
  mu = jax.device_put(np.pad(low, (*pads, (0, 0)), mode='symmetric')[None])
  last = np.full(1, enhancer.method.sde.steps, np.int32)
  estimate = jax.jit(enhancer.method.estimate_noise)
  run = lambda: estimate(enhancer.params, mu, mu, last).block_until_ready()
  return 1 / (measure.seconds(run, _CALLS)['median'] * enhancer.spec.steps)


def _loss(
  enhancer: Enhancer, folder: Path, out: Path, clean: list[np.ndarray]
) -> float:
  """Most PSNR that is lost where a program is shared, of 8-bit results."""
  lost, last, restore = [], None, None
  for path, bright in zip(sorted(folder.iterdir()), clean, strict=True):
    low = codec.to_float(codec.read_image(path))
    if low.shape != last or restore is None:
      last = low.shape
      restorer = Restorer(enhancer.method, enhancer.spec)
      restore = functools.partial(restorer, enhancer.params)
    alone = codec.to_uint8(restore(low))
    shared = codec.read_image(out / path.with_suffix('.png').name)
    of = [metrics.psnr(restored=x, clean=bright) for x in (alone, shared)]
    lost.append(of[0] - of[1])
  return max(lost)


def _enhance(
  enhancer: Enhancer, folder: Path, out: Path, count: int
) -> rows.Row:
  """Enhances a folder as the command does; figures of the whole of it."""
  found: rows.Row = {}
  marks = {1 + count // 20: '1/20', 1 + count // 2: '1/2', count: 'the end'}
  clock, begin, done = _Clock(), time.perf_counter(), 0
  jobs = collect([str(folder)], out)
  jobs = [
    dataclasses.replace(job, destination=job.destination.with_suffix('.png'))
    for job in jobs
  ]
  with programs.announced(clock):
    for outcome in enhance_files(enhancer, jobs):
      if outcome.state != 'written':
        raise InputError(outcome.note)
      done += 1
      if done in marks:
        found[f'MB at {marks[done]}'] = measure.resident_megabytes()
        found[f'maps at {marks[done]}'] = measure.memory_maps()
  seconds = time.perf_counter() - begin
  found |= {'programs': clock.programs, 'seconds': seconds}
  found |= {'compiling': clock.seconds}
  return found | {'a second': count / (seconds - clock.seconds)}


def _row(args: argparse.Namespace, case: rows.Row) -> rows.Row:
  """Figures of one folder, in this process."""
  allocator.keep_memory()
  enhancer = Enhancer.from_checkpoint(args.checkpoint, steps=args.steps)
  with tempfile.TemporaryDirectory() as name:
    folder, out = Path(name) / 'dark', Path(name) / 'bright'
    folder.mkdir()
    clean = _write(args, folder, case['sizes'])
    found = _enhance(enhancer, folder, out, case['photographs'])
    if case['sizes'] == 1:
      low = codec.to_float(codec.read_image(next(folder.iterdir())))
      found['alone'] = _alone(enhancer, low)
    if args.loss:
      found['loss'] = _loss(enhancer, folder, out, clean)
  return found


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
  parser = front.parser(__spec__.name, __doc__)
  add, number = parser.add_argument, front.number
  add('--checkpoint', default='shipped', help='a run, or weights, or shipped')
  add('--photographs', type=number(2), default=100, help='in each folder')
  add('--sizes', type=front.numbers(), default='1,100', help='different ones')
  size = {'type': front.sides, 'help': 'WIDTHxHEIGHT'}
  add('--smallest', default='128x128', **size)
  add('--largest', default='640x640', **size)
  add('--format', choices=('png', 'jpg'), default='png', help='of the folder')
  add('--steps', type=number(), help="default: the run's own")
  parser.switch('--loss', help='compare with a program for each shape')
  args = front.parse(parser, arguments)
  for flag in ('smallest', 'largest'):
    if len(getattr(args, flag)) != 1:
      raise InputError(f'--{flag}: give one WIDTHxHEIGHT')
  if np.any(np.greater(args.smallest[0], args.largest[0])):
    raise InputError('--smallest: exceeds --largest; give a smaller one')
  for count in args.sizes:
    _sizes(args, count)
  return args


def main(arguments: Sequence[str] | None = None) -> int:
  """Prints a table of folders."""
  args = _parse(arguments)
  if args.case:
    return rows.answer(_row(args, args.case))
  cases = [
    {'photographs': args.photographs, 'sizes': count} for count in args.sizes
  ]
  if args.dry_run:
    return rows.preview(cases)
  found = [rows.in_child(args, case) for case in cases]
  return rows.report(args, (found, COLUMNS))


if __name__ == '__main__':
  front.run(main)
