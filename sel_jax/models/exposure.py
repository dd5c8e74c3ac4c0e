"""The exposure as an input of a network: how bright the result is to be.

Contract: e, the mean intensity of the clean photograph, becomes constant
channels beside mu; not told and told are told apart.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Float
import numpy as np

from sel_jax.arrays import AnyArray
from sel_jax.arrays import Exposures
from sel_jax.arrays import Images

# The part of a network that sees its input first.
_FIRST = 'intro'
# Channels of RGB images that it sees without the exposure, and with it, or the
# same multiple of both where it sees squares of pixels.
_WITHOUT, _WITH = 6, 8


def takes_exposure(model: Any) -> bool:
  """Whether a network, or its settings, can be told how bright."""
  return bool(getattr(model, 'exposure', False))


def with_exposure(
  seen: Images, exposure: Exposures | None
) -> Float[AnyArray, 'B H W D']:
  """Images with two more channels: 4 e - 2, and 1 where e is known.

  Args:
    seen: [B, H, W, C].
    exposure: e of each image, in [0, 1]; NaN where it is not told, and None
      where none is. Both channels are 0 there.

  Returns:
    [B, H, W, C + 2].
  """
  batch, height, width, _ = seen.shape
  if exposure is None:
    exposure = jnp.full(batch, jnp.nan, seen.dtype)
  known = jnp.isfinite(exposure)
  value = jnp.where(known, 4 * exposure - 2, 0)
  both = [channel.astype(seen.dtype) for channel in (value, known)]
  told = jnp.stack(both, axis=-1)
  told = jnp.broadcast_to(told[:, None, None, :], (batch, height, width, 2))
  return jnp.concatenate([seen, told], axis=-1)


def adapted(params: Mapping[str, Any], like: Mapping[str, Any]) -> dict:
  """Parameters of a network with this input for one without, or the reverse.

  Args:
    params: those of the one network.
    like: those of the other, or their shapes.

  Returns:
    The same network. With the input: what its first convolution gives to the
    new channels is zero. Without it: one that is not told. Parameters that fit
    already, or in another way do not, unchanged.
  """
  if _FIRST not in params or _FIRST not in like:
    return dict(params)
  kernel = np.asarray(params[_FIRST]['conv']['kernel'])
  *around, inputs, outputs = np.shape(like[_FIRST]['conv']['kernel'])
  fewer, more = sorted((kernel.shape[2], inputs))
  alike = (*around, outputs) == kernel.shape[:2] + kernel.shape[3:]
  if fewer * _WITH != more * _WITHOUT or not alike:
    return dict(params)
  pads = ((0, 0), (0, 0), (0, max(inputs - fewer, 0)), (0, 0))
  fitting = np.pad(kernel, pads)[:, :, :inputs]
  conv = {**params[_FIRST]['conv'], 'kernel': fitting}
  return {**params, _FIRST: {**params[_FIRST], 'conv': conv}}
