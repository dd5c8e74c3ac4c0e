"""Makes the pictures of the model card from photographs it has never seen.

They come with scikit-image, darkened by the physical model of
`sel_jax/data/degrade.py`: what the model is good at, and where it fails. Of a
model that is told how bright, also a sheet of photographs, one against the
light, at several exposures; and how validation went while it was trained.

  python -m benchmarks.pictures --folder=docs
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import skimage.data

from benchmarks.lib import curves
from benchmarks.lib import front
from benchmarks.lib import rows
import sel_jax
from sel_jax import allocator
from sel_jax import files
from sel_jax.data import degrade
from sel_jax.errors import InputError
from sel_jax.evaluation import metrics
from sel_jax.images import codec
from sel_jax.inference import Enhancer
from sel_jax.inference import SHIPPED

# Width and height of a photograph in a picture.
_SIZE = (450, 300)
# Of a picture, pixels.
_WIDEST = 1500
COLUMNS = {
  'file': 's',
  'photograph': 's',
  'exposure': 'g',
  'psnr': '.2f',
  'off by': '.3f',
  'part': 's',
  'updates': ',d',
  **dict.fromkeys(curves.FIGURES, '.3f'),
}
# File -> photographs and the share of light that is left; 1 is as it is.
_PICTURES = {
  'before_after.jpg': [('chelsea', 0.05), ('coffee', 0.03)],
  'not_dark.jpg': [('rocket', 1.0), ('astronaut', 1.0)],
  'failures.jpg': [('coffee', 0.002), ('astronaut', 0.004)],
}
# How validation went, and of which log.
_CURVE = 'curve.svg'
_LOG = Path(sel_jax.__file__).parent / 'weights' / 'lol.log.jsonl'
# The same of the sheet, and the means that are asked for.
_SHEET = 'exposures.jpg'
_PICTURES[_SHEET] = [
  ('chelsea', 0.05),
  ('coffee', 0.03),
  ('rocket', 0.1),
  ('astronaut', 0.05),
  ('camera', 0.3),
]
_REQUESTS = 0.2, 0.3, 0.4, 0.5, 0.6


def _pair(
  name: str, exposure: float, width: int
) -> tuple[np.ndarray, np.ndarray]:
  """Low and true photograph, float32; of a smaller width, if there is one."""
  clean = codec.to_float(getattr(skimage.data, name)())
  if clean.ndim == 2:  # gray
    clean = np.repeat(clean[..., None], 3, axis=-1)
  if width:
    size = (width, round(width * clean.shape[0] / clean.shape[1]))
    clean = cv2.resize(clean, size, interpolation=cv2.INTER_AREA)
  if exposure == 1:
    return clean, clean
  model = degrade.LowLight(exposure=(exposure, exposure))
  low = degrade.darken(np.random.default_rng(0), clean, model=model)
  return low, clean


def _strip(*parts: np.ndarray) -> np.ndarray:
  """Photographs side by side, cut to 3:2, uint8."""
  scaled = []
  for part in parts:
    height, width = part.shape[:2]
    rows, columns = min(height, width * 2 // 3), min(width, height * 3 // 2)
    top, left = (height - rows) // 2, (width - columns) // 2
    cut = codec.to_uint8(part[top : top + rows, left : left + columns])
    scaled.append(cv2.resize(cut, _SIZE, interpolation=cv2.INTER_AREA))
  return np.concatenate(scaled, axis=1)


def _write(
  args: argparse.Namespace, enhancer: Enhancer, file: str
) -> list[rows.Row]:
  """Writes a picture, unless a photograph failed; a row per photograph."""
  strips: list[np.ndarray] = []

  def restore(photograph: str, exposure: float) -> rows.Row:
    low, clean = _pair(photograph, exposure, args.width)
    if file == _SHEET:
      every = [enhancer(low, exposure=e) for e in _REQUESTS]
      strips.append(_strip(low, *every))
      means = np.array([codec.mean_intensity(one) for one in every])
      return {'off by': float(np.abs(means - _REQUESTS).mean())}
    restored = enhancer(low)
    strips.append(_strip(low, restored, clean))
    figure = metrics.psnr(
      restored=codec.to_uint8(restored), clean=codec.to_uint8(clean)
    )
    return {'psnr': figure}

  found = [
    rows.attempt(case, lambda case=case: restore(*list(case.values())[1:]))
    for case in _cases(file)
  ]
  if len(strips) == len(found):
    path = files.ensure_directory(Path(args.folder)) / file
    whole = np.concatenate(strips)
    share = min(_WIDEST / whole.shape[1], 1.0)
    if share < 1:
      whole = cv2.resize(
        whole, None, fx=share, fy=share, interpolation=cv2.INTER_AREA
      )
    codec.write_image(path, whole)
  return found


def _cases(file: str) -> list[rows.Row]:
  return [
    {'file': file, 'photograph': name, 'exposure': exposure}
    for name, exposure in _PICTURES[file]
  ]


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
  parser = front.parser(__spec__.name, __doc__)
  add = parser.add_argument
  add('--checkpoint', default=SHIPPED, help='run, or weights in .safetensors')
  add('--folder', default='docs', help='where the pictures go')
  add(
    '--pictures',
    type=front.names((*_PICTURES, _CURVE)),
    help='all that the model can make if left out',
  )
  add('--log', default=str(_LOG), help='log.jsonl of a run, for curve.svg')
  width = front.number(0)
  add('--width', type=width, default=0, help="pixels; 0 is a photograph's own")
  args = front.parse(parser, arguments)
  if Path(args.folder).is_file():
    raise InputError(f'--folder={args.folder}: is a file; give a folder')
  return args


def main(arguments: Sequence[str] | None = None) -> int:
  """Writes the pictures and prints what they measure."""
  args = _parse(arguments)
  allocator.keep_memory()
  enhancer = Enhancer.from_checkpoint(args.checkpoint)
  if not args.pictures:
    args.pictures = [
      name for name in _PICTURES if name != _SHEET or enhancer.takes_exposure
    ]
    args.pictures.append(_CURVE)
  photographs = [name for name in args.pictures if name != _CURVE]
  parts = curves.read(Path(args.log)) if _CURVE in args.pictures else []
  drawn = [{'file': _CURVE} | part.row() for part in parts]
  if args.dry_run:
    cases = [case for name in photographs for case in _cases(name)]
    return rows.preview([*cases, *drawn])
  found = [row for name in photographs for row in _write(args, enhancer, name)]
  if parts:
    curves.draw(parts, files.ensure_directory(Path(args.folder)) / _CURVE)
  return rows.report(args, ([*found, *drawn], COLUMNS), heading=args.checkpoint)


if __name__ == '__main__':
  front.run(main)
