"""Makes the pictures of the model card from photographs it has never seen.

They come with scikit-image, darkened by the physical model of
`sel_jax/data/degradations.py`: what the model is good at, and where it fails.

  python -m benchmarks.pictures --folder=docs
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import skimage.data

from sel_jax import allocator
from sel_jax import files
from sel_jax.data import degrade
from sel_jax.evaluation import metrics
from sel_jax.images import codec
from sel_jax.inference import Enhancer
from sel_jax.inference import SHIPPED

_SIZE = (450, 300)
# File -> photographs and the share of light that is left; 1 is as it is.
_PICTURES = {
  'before_after.jpg': [('chelsea', 0.05), ('coffee', 0.03)],
  'not_dark.jpg': [('rocket', 1.0), ('astronaut', 1.0)],
  'failures.jpg': [('coffee', 0.002), ('astronaut', 0.004)],
}


def _case(name: str, exposure: float) -> tuple[np.ndarray, np.ndarray]:
  """Low and true photograph, float32."""
  clean = codec.to_float(getattr(skimage.data, name)())
  if exposure == 1:
    return clean, clean
  model = degrade.LowLight(exposure=(exposure, exposure))
  low = degrade.darken(np.random.default_rng(0), clean, model)
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


def main() -> None:
  """Writes the pictures and prints what they measure."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--checkpoint', default=SHIPPED)
  parser.add_argument('--folder', default='docs')
  args = parser.parse_args()
  allocator.keep_memory()
  enhancer = Enhancer.from_checkpoint(args.checkpoint)
  folder = files.ensure_directory(Path(args.folder))
  for file, cases in _PICTURES.items():
    rows = []
    for name, exposure in cases:
      low, clean = _case(name, exposure)
      restored = enhancer(low)
      rows.append(_strip(low, restored, clean))
      figure = metrics.psnr(
        restored=codec.to_uint8(restored), clean=codec.to_uint8(clean)
      )
      print(f'{file}: {name} at {exposure}: PSNR {figure:.2f} dB')
    codec.write_image(folder / file, np.concatenate(rows))


if __name__ == '__main__':
  main()
