"""Losses that compare two images pixel by pixel.

Contract: (pred, target) [B, H, W, C] -> [B], finite with a finite gradient.
"""

import jax.numpy as jnp
from jaxtyping import Float

from sel_jax.arrays import Array
from sel_jax.arrays import Images
from sel_jax.detail import detail_layer

# Least mean that a gain is computed from, so that none is above 50.
_DARKEST = 0.02


def l1(pred: Images, target: Images) -> Float[Array, ' B']:
  """Mean absolute error of each image."""
  return jnp.mean(jnp.abs(pred - target), axis=(1, 2, 3))


def l2(pred: Images, target: Images) -> Float[Array, ' B']:
  """Mean squared error of each image."""
  return jnp.mean(jnp.square(pred - target), axis=(1, 2, 3))


def charbonnier(
  pred: Images, target: Images, *, eps: float = 1e-3
) -> Float[Array, ' B']:
  """Mean of sqrt(d^2 + eps^2), a smooth L1 (Lai et al., arXiv 1710.01992)."""
  squares = jnp.square(pred - target) + eps**2
  return jnp.mean(jnp.sqrt(squares), axis=(1, 2, 3))


def gt_mean(pred: Images, target: Images) -> Float[Array, ' B']:
  """Mean absolute error once the target's mean is given to the prediction.

  The second term of the GT-mean loss (Liao et al., arXiv 2507.20148): one gain
  of a whole image is not seen, only what is left beside it.

  Args:
    pred: prediction.
    target: shape of `pred`.
  """
  means = [jnp.mean(x, axis=(1, 2, 3), keepdims=True) for x in (target, pred)]
  gain = means[0] / jnp.maximum(means[1], _DARKEST)
  return l1(gain * pred, target)


def detail_l1(
  pred: Images, target: Images, *, sigma: float = 3.0
) -> Float[Array, ' B']:
  """Mean absolute error of the detail layers, see `detail_layer`.

  Args:
    pred: prediction.
    target: shape of `pred`.
    sigma: standard deviation of the blur that is taken off, in pixels.
  """
  return jnp.mean(
    jnp.abs(detail_layer(pred - target, sigma=sigma)), axis=(1, 2, 3)
  )
