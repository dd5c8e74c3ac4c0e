"""Were the ground truths of two splits made alike?

Each clean photograph of a split beside the train split's photograph of the same
scene whose mean is nearest, aligned. 'grey' is the PSNR of their intensities
at one mean: where it is high they are one photograph. 'saturation' is what the
colours of the train split's must be multiplied by, least squares, and 'alike'
how well the two then correlate. 'PSNR' is what the train split's ground truth
itself would be given at the right mean, and 'saturated' with its colours so
multiplied: no network that has learned the train split alone can be expected
to do better than the former.

  python -m benchmarks.saturation --data=/data/LOL
"""

import argparse
from collections.abc import Sequence
import functools

import cv2
import numpy as np

from benchmarks.lib import front
from benchmarks.lib import pairs
from benchmarks.lib import rows
from sel_jax import allocator
from sel_jax.data import splits
from sel_jax.data.pairs import open_pairs
from sel_jax.errors import InputError
from sel_jax.images import codec
from sel_jax.inference import tone

COLUMNS = {
  'photograph': 's',
  'beside': 's',
  'grey': '.2f',
  'saturation': '.2f',
  'alike': '.3f',
  'PSNR': '.2f',
  'saturated': '.2f',
}
# Pixels that the alignment may leave without a value.
_BORDER = 20


def _psnr(x: np.ndarray, y: np.ndarray) -> float:
  """Of images in [0, 1], in dB, at most 100."""
  return float(-10 * np.log10(max(np.square(x - y).mean(), 1e-10)))


def _aligned(image: np.ndarray, like: np.ndarray) -> np.ndarray:
  """The image moved to where the other shows the same."""
  warp = np.eye(2, 3, dtype=np.float32)
  stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 100, 1e-5)
  try:
    grey = like.mean(-1), image.mean(-1)
    _, warp = cv2.findTransformECC(*grey, warp, cv2.MOTION_AFFINE, stop)
  except cv2.error:  # nothing to hold on to: as it is
    return image
  height, width = like.shape[:2]
  flags = cv2.INTER_LINEAR + cv2.WARP_INVERSE_MAP
  return cv2.warpAffine(image, warp, (width, height), flags=flags)


def _compared(clean: np.ndarray, other: np.ndarray) -> rows.Row:
  """One photograph, and the train split's of its scene."""
  y = codec.to_float(clean)
  x = _aligned(codec.to_float(other), y)
  x, y = (image[_BORDER:-_BORDER, _BORDER:-_BORDER] for image in (x, y))
  x = np.clip(x * (y.mean() / x.mean()), 0, 1)
  a, b = (image - image.mean(-1, keepdims=True) for image in (x, y))
  slope = float((a * b).sum() / np.square(a).sum())
  alike = (a * b).sum() / np.sqrt(np.square(a).sum() * np.square(b).sum())
  return {
    'grey': _psnr(x.mean(-1), y.mean(-1)),
    'saturation': slope,
    'alike': float(alike),
    'PSNR': _psnr(x, y),
    'saturated': _psnr(np.asarray(tone.saturated(x, slope)), y),
  }


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
  parser = front.parser(__spec__.name, __doc__)
  pairs.add(parser, split='test')
  return front.parse(parser, arguments)


def main(arguments: Sequence[str] | None = None) -> int:
  """Prints a row of each photograph whose scene the train split has."""
  args = _parse(arguments)
  allocator.keep_memory()
  measured = pairs.measured(args)
  if args.dry_run:
    return rows.preview([{'photograph': pair.name} for pair in measured])
  known = list(open_pairs(pairs.spec(args), 'train'))
  described = splits.describe(pair.clean for pair in known)
  means = np.array([codec.mean_intensity(pair.clean) for pair in known])
  found = []
  for pair in measured:
    same = described @ splits.descriptor(pair.clean) >= splits.SAME
    if not same.any():
      continue
    off = np.abs(means - codec.mean_intensity(pair.clean))
    other = known[np.where(same, off, np.inf).argmin()]
    case = {'photograph': pair.name, 'beside': other.name}
    compare = functools.partial(_compared, pair.clean, other.clean)
    found.append(rows.attempt(case, compare))
  if not found:
    raise InputError(f'no scene of {args.split} is in train')
  return rows.report(args, (found, COLUMNS), heading=f'{len(found)} scenes')


if __name__ == '__main__':
  front.run(main)
