"""Layers shared by the networks.

Contract: activations are [B, H, W, C]; parameters are float32 whatever the
compute type; names and shapes are what `interop.torch_weights` maps.
"""

from collections.abc import Callable
from collections.abc import Generator
import contextlib
import contextvars
import math
from typing import Any

from flax import errors
from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Bool
from jaxtyping import Float
from jaxtyping import Num
import numpy as np

from sel_jax.arrays import AnyArray
from sel_jax.arrays import AnyTimes
from sel_jax.arrays import Array
from sel_jax.arrays import Floats
from sel_jax.arrays import Images
from sel_jax.arrays import Length
from sel_jax.arrays import Mask
from sel_jax.arrays import RandomKey
from sel_jax.models import gradients

Dtype = Any

# PyTorch's default for linear and convolution weights: uniform +-1/sqrt(fan_in)
kernel_init = nn.initializers.variance_scaling(1 / 3, 'fan_in', 'uniform')


_shapes_only = contextvars.ContextVar('shapes_only', default=False)


@contextlib.contextmanager
def shapes_only() -> Generator[None, None, None]:
  """Within it `model.init` has parameters of zeros: quickly traced."""
  token = _shapes_only.set(True)
  try:
    yield
  finally:
    _shapes_only.reset(token)


def _zeros(key: RandomKey, shape: tuple[int, ...]) -> Floats:
  del key
  return jnp.zeros(shape)


def param(
  module: nn.Module,
  name: str,
  init: Callable[..., Floats],
  shape: tuple[int, ...],
) -> Floats:
  """A parameter of a module, as `module.param` gives it.

  That traces the initialiser to learn its shape whenever the module is
  applied: a third of the time that a network takes to be traced.

  Args:
    module: whose parameter it is.
    name: its name.
    init: (key, shape) -> first values.
    shape: its shape.

  Raises:
    ScopeParamShapeError: if the parameters have another shape.
  """
  if not module.has_variable('params', name):
    return module.param(name, _zeros if _shapes_only.get() else init, shape)
  value = module.get_variable('params', name)
  if value.shape != shape:
    path = '/'.join(module.path)
    raise errors.ScopeParamShapeError(name, path, value.shape, shape)
  return value


def sinusoidal_embedding(
  t: Num[AnyArray, ' B'], size: int
) -> Float[Array, 'B size']:
  """Sine then cosine features of the time.

    [sin(t w_k), cos(t w_k)],     w_k = 10000^(-k / (size/2 - 1))

  Args:
    t: [B] times.
    size: even number of features, at least 4.

  Returns:
    [B, size].
  """
  half = size // 2
  decay = math.log(10000) / (half - 1)
  frequencies = jnp.exp(-decay * jnp.arange(half, dtype=jnp.float32))
  angles = t.astype(jnp.float32)[:, None] * frequencies[None, :]
  return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)


def simple_gate(
  x: Float[AnyArray, '*B C'],
) -> Float[AnyArray, '*B half']:
  """Product of the two halves of the channels (arXiv 2204.04676)."""
  half = x.shape[-1] // 2
  # Slices, for the gradient of a split is a concatenation, which is slow.
  return x[..., :half] * x[..., half:]


def pixel_shuffle(x: Images, *, size: int = 2) -> Float[AnyArray, 'B nH nW c']:
  """[B, H, W, n n C] -> [B, n H, n W, C], channels in PyTorch's order."""
  b, h, w, c = x.shape
  c //= size * size
  x = x.reshape(b, h, w, c, size, size)
  return x.transpose(0, 1, 4, 2, 5, 3).reshape(b, size * h, size * w, c)


def pixel_unshuffle(
  x: Float[AnyArray, 'B nH nW C'], *, size: int = 2
) -> Float[AnyArray, 'B H W nnC']:
  """[B, n H, n W, C] -> [B, H, W, n n C], the inverse of `pixel_shuffle`."""
  b, h, w, c = x.shape
  x = x.reshape(b, h // size, size, w // size, size, c)
  x = x.transpose(0, 1, 3, 5, 2, 4)
  return x.reshape(b, h // size, w // size, c * size * size)


class ChannelNorm(nn.Module):
  """Layer norm over the channels with a gain, eps 1e-5, and a modulation.

  y = gain (1 + scale) (x - mean) / sqrt(variance + eps) + shift
  """

  @nn.compact
  def __call__(
    self,
    x: Images,
    *,
    scale: gradients.Modulation | None = None,
    shift: gradients.Modulation | None = None,
  ) -> Images:
    """[B, H, W, C] -> the same shape; no scale and no shift are zeros."""
    gain = param(self, 'gain', nn.initializers.ones, (x.shape[-1],))
    gain = gain.reshape(1, 1, 1, -1)
    bias = jnp.zeros_like(gain) if shift is None else shift.astype(gain.dtype)
    if scale is not None:
      gain = gain * (1 + scale.astype(gain.dtype))
    return gradients.channel_norm(x, gain, bias)


def _averaging(length: int, window: int) -> np.ndarray:
  """[length, length]: means over windows, of the samples that exist."""
  index = np.arange(length)
  near = np.abs(index[:, None] - index[None, :]) <= window // 2
  return (near / near.sum(axis=1, keepdims=True)).astype(np.float32)


def masked(x: Images, mask: Mask | None) -> Images:
  """[B, H, W, C] with zeros where the mask is false; no mask changes nothing.

  A convolution pads with zeros: behind it an image on a larger canvas is what
  it would be alone.
  """
  return x if mask is None else jnp.where(mask, x, jnp.zeros((), x.dtype))


def thinned(mask: Mask | None, size: int) -> Bool[AnyArray, 'B h w 1'] | None:
  """Every `size`-th row and column: the mask of squares of that side."""
  return None if mask is None else mask[:, ::size, ::size]


def global_mean(x: Images, mask: Mask | None) -> Float[Array, 'B 1 1 C']:
  """Mean over the pixels, float32, of those that the mask has.

  Args:
    x: [B, H, W, C].
    mask: the pixels that count; None is all.
  """
  if mask is None:
    return jnp.mean(x, axis=(1, 2), keepdims=True, dtype=jnp.float32)
  wide = masked(x, mask).astype(jnp.float32)
  count = jnp.sum(mask, axis=(1, 2), keepdims=True)
  return jnp.sum(wide, axis=(1, 2), keepdims=True) / count


def local_mean(
  x: Images, window: int, *, mask: Mask | None = None
) -> Float[Array, 'B H W C']:
  """Mean over a square around every pixel, of the pixels that exist.

  Source: test-time local converter, arXiv 2112.04491: what was learned on
  crops sees areas of their size in larger photographs too. As two matrix
  products: exact, and fast on every device.

  Args:
    x: [B, H, W, C].
    window: side; an even one counts as the next odd one.
    mask: the pixels that exist; None is all.

  Returns:
    Float32, shape of `x`; zero in windows without a pixel that exists.
  """
  rows = _averaging(x.shape[1], window)
  columns = _averaging(x.shape[2], window)

  def mean(x):
    x = jnp.einsum('hk,bkwc->bhwc', rows, x.astype(jnp.float32))
    return jnp.einsum('wk,bhkc->bhwc', columns, x)

  if mask is None:
    return mean(x)
  share = mean(mask)
  return mean(masked(x, mask)) / jnp.where(share > 0, share, 1.0)


def _grouped(x: Array, kernel: Array) -> Array:
  """The same by a grouped convolution."""
  return jax.lax.conv_general_dilated(
    x,
    kernel[:, :, None],
    (1, 1),
    'SAME',
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    feature_group_count=x.shape[-1],
  )


# Forms of the depthwise correlation of [B, H, W, C] with [3, 3, C].
DEPTHWISE: dict[str, Callable[[Any, Any], Array]] = {
  'shift': gradients.shifted_depthwise,
  'conv': _grouped,
}
AUTO = 'auto'


def depthwise_names() -> tuple[str, ...]:
  """The forms there are, and `AUTO`."""
  return (AUTO, *DEPTHWISE)


class DepthwiseConv(nn.Module):
  """3x3 depthwise convolution with zero padding.

  Attributes:
    form: 'shift' sums nine shifted products, 'conv' is a grouped convolution,
      'auto' takes the first on a CPU, where the second is tens of times slower.
  """

  form: str = AUTO

  @nn.compact
  def __call__(self, x: Images) -> Images:
    """[B, H, W, C] -> the same shape."""
    channels = x.shape[-1]
    kernel = param(self, 'kernel', kernel_init, (3, 3, 1, channels))
    bias = param(self, 'bias', nn.initializers.zeros, (channels,))
    kernel = kernel.astype(x.dtype)
    form = self.form
    if form == AUTO:
      form = 'shift' if jax.default_backend() == 'cpu' else 'conv'
    y = DEPTHWISE[form](x, kernel[:, :, 0])
    return y + bias.astype(x.dtype).reshape(1, 1, 1, -1)


def patch_convolution(
  x: Float[AnyArray, 'B nH nW C'], kernel: Float[AnyArray, 'n n C K']
) -> Float[Array, 'B H W K']:
  """Convolution whose stride is the kernel's side, as a matrix product.

  Args:
    x: [B, n H, n W, C].
    kernel: [n, n, C, K].

  Returns:
    [B, H, W, K].
  """
  weights = kernel.transpose(2, 0, 1, 3).reshape(-1, kernel.shape[-1])
  return gradients.product(pixel_unshuffle(x, size=kernel.shape[0]), weights)


class Conv(nn.Module):
  """Square convolution, zero padding of half the kernel, PyTorch's layout.

  Attributes:
    features: output channels.
    size: side of the kernel.
    stride: in both directions.
    bias: whether there is one.
    padding: zeros on each side; half the kernel if left out.
    dtype: compute type.
  """

  features: int
  size: int = 3
  stride: int = 1
  bias: bool = True
  padding: int | None = None
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: Images) -> Float[Array, 'B h w features']:
    """[B, H, W, C] -> [B, H', W', features]."""
    pad = self.size // 2 if self.padding is None else self.padding
    patches = pad == 0 and self.size == self.stride
    product = lambda x, kernel, *_, **__: patch_convolution(x, kernel)
    return nn.Conv(
      self.features,
      (self.size, self.size),
      strides=self.stride,
      padding=[(pad, pad)] * 2,
      use_bias=self.bias,
      kernel_init=kernel_init,
      dtype=self.dtype,
      conv_general_dilated=product if patches else None,
      name='conv',
    )(x)


class Dense(nn.Module):
  """Linear map of the channels: PyTorch's Linear, or a 1x1 convolution."""

  features: int
  bias: bool = True
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: Float[AnyArray, '*B C']) -> Float[Array, '*B features']:
    """[..., C] -> [..., features]."""
    kernel = param(self, 'kernel', kernel_init, (x.shape[-1], self.features))
    y = gradients.product(x.astype(self.dtype), kernel.astype(self.dtype))
    if not self.bias:
      return y
    bias = param(self, 'bias', nn.initializers.zeros, (self.features,))
    return y + bias.astype(self.dtype).reshape((1,) * (y.ndim - 1) + (-1,))


def time_batch(t: AnyTimes, batch: Length) -> Num[Array, ' batch']:
  """Times as [B], from a scalar or [B]."""
  t = jnp.asarray(t)
  return jnp.broadcast_to(t.reshape(-1), (batch,))
