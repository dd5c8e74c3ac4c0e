"""Losses that compare two images pixel by pixel.

Contract: (pred, target) [B, H, W, C] -> [B], finite with a finite gradient.
"""

import jax.numpy as jnp
from jaxtyping import Float

from sel_jax.arrays import Array
from sel_jax.arrays import Images


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
