"""Drawing of a network's first parameters.

Contract: the distributions of `model.init`. Those of this package's networks
are drawn from shapes alone: tracing instead of compiling the network saves many
seconds per start.
"""

import math
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from sel_jax.arrays import RandomKey
from sel_jax.models import layers


def _draw(path, leaf, rng) -> np.ndarray:
  names = [str(getattr(part, 'key', part)) for part in path]
  name = names[-1]
  if name == 'gain':
    return np.ones(leaf.shape, np.float32)
  if name != 'kernel':
    return np.zeros(leaf.shape, np.float32)
  # Blocks of a stage are stacked on axis 0, which is no part of the fan-in.
  shape = leaf.shape[1:] if 'blocks' in names else leaf.shape
  bound = 1 / math.sqrt(math.prod(shape[:-1]))
  return rng.uniform(-bound, bound, leaf.shape).astype(np.float32)


def _inputs(channels: int) -> tuple[jax.ShapeDtypeStruct, ...]:
  image = jax.ShapeDtypeStruct((1, 32, 32, channels), jnp.float32)
  return image, image, jax.ShapeDtypeStruct((1,), jnp.int32)


def _is_own(model: nn.Module) -> bool:
  """Whether the network is one of this package, whose layers `_draw` knows."""
  return type(model).__module__.startswith('sel_jax.models.')


def param_shapes(model: nn.Module, *, channels: int = 3) -> dict[str, Any]:
  """Shapes and types of a network's parameters; nothing is computed."""
  key = jax.random.key(0)
  with layers.shapes_only():
    return jax.eval_shape(model.init, key, *_inputs(channels))['params']


def init_params(
  key: RandomKey, model: nn.Module, *, channels: int = 3
) -> dict[str, Any]:
  """First parameters of a network (x_t, mu, t) -> e_hat.

  In the networks of this package kernels are uniform in +-1/sqrt(fan_in), norm
  gains one, biases and residual gains zero, as `model.init` draws them. For any
  other network `model.init` itself is asked.

  Args:
    key: typed PRNG key; the same key gives the same parameters everywhere.
    model: the network.
    channels: how many the images have.

  Returns:
    Float32 parameters as NumPy arrays.
  """
  if not _is_own(model):
    zeros = [np.zeros(x.shape, x.dtype) for x in _inputs(channels)]
    drawn = jax.jit(model.init)(key, *zeros)['params']
    return jax.tree.map(np.asarray, drawn)
  seed = np.asarray(jax.random.key_data(key)).ravel()
  rng = np.random.default_rng(seed)
  return jax.tree_util.tree_map_with_path(
    lambda path, leaf: _draw(path, leaf, rng),
    param_shapes(model, channels=channels),
  )


def count_params(params: Any) -> int:
  """Number of parameters in a pytree."""
  return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
