"""ConditionalUNet: the noise estimator of IR-SDE.

Contract: (x_t, mu, t) -> e_hat, images [B, H, W, 3] of any size, t [B] or a
scalar. Source: IR-SDE, arXiv 2301.11699; linear attention, arXiv 1812.01243.
"""

from typing import Any

from flax import linen as nn
import jax.numpy as jnp
from jaxtyping import Float

from sel_jax.arrays import AnyArray
from sel_jax.arrays import AnyTimes
from sel_jax.arrays import Array
from sel_jax.arrays import Exposures
from sel_jax.arrays import Images
from sel_jax.arrays import Mask
from sel_jax.fields import key
from sel_jax.models import layers
from sel_jax.models.exposure import with_exposure


class ResBlock(nn.Module):
  """Two convolutions, the first modulated by the time, and a shortcut."""

  features: int
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(
    self, x: Images, time: Float[AnyArray, 'B F'], *, mask: Mask | None = None
  ) -> Float[AnyArray, 'B H W features']:
    """Images [B, H, W, C] and time features [B, 4w] -> images."""

    def conv(name):
      return layers.Conv(self.features, bias=False, dtype=self.dtype, name=name)

    modulation = layers.Dense(2 * self.features, dtype=self.dtype, name='time')(
      nn.silu(time)
    )[:, None, None, :]
    scale, shift = jnp.split(modulation, 2, axis=-1)
    y = conv('conv_1')(layers.masked(x, mask))
    y = nn.silu(y * (1 + scale) + shift)
    y = nn.silu(conv('conv_2')(layers.masked(y, mask)))
    if x.shape[-1] != self.features:
      x = layers.Dense(
        self.features, bias=False, dtype=self.dtype, name='shortcut'
      )(x)
    return x + y


class LinearAttention(nn.Module):
  """Residual attention whose cost is linear in pixels.

  out = (softmax_n(k) v^T / n) softmax_d(q) / sqrt(d)
  """

  heads: int = 4
  head_size: int = 32
  dtype: layers.Dtype = jnp.float32

  @nn.compact
  def __call__(self, x: Images, *, mask: Mask | None = None) -> Images:
    """[B, H, W, C] -> the same shape."""
    batch, height, width, channels = x.shape
    hidden = self.heads * self.head_size
    y = layers.ChannelNorm(name='norm_in')(x)
    qkv = layers.Dense(3 * hidden, bias=False, dtype=self.dtype, name='qkv')(y)
    qkv = qkv.reshape(batch, height * width, 3, self.heads, self.head_size)
    q, k, v = (qkv[:, :, n].astype(jnp.float32) for n in range(3))
    q = nn.softmax(q, axis=-1) * self.head_size**-0.5
    pixels: Any = height * width
    if mask is not None:
      flat = mask.reshape(batch, height * width, 1, 1)
      k = jnp.where(flat, k, -jnp.inf)
      pixels = jnp.sum(flat, axis=1, keepdims=True)
    k = nn.softmax(k, axis=1)
    context = jnp.einsum('bnhd,bnhe->bhde', k, v / pixels)
    y = jnp.einsum('bhde,bnhd->bnhe', context, q)
    y = y.reshape(batch, height, width, hidden)
    y = layers.Dense(channels, dtype=self.dtype, name='out')(y)
    return x + layers.ChannelNorm(name='norm_out')(y)


class ConditionalUNet(nn.Module):
  """U-Net with linear attention on concat(x_t - mu, mu) and the time.

  Attributes:
    dtype: compute type; parameters and the result are float32.
  """

  width: int = key(
    'channels at the finest stage, even', default=64, ge=4, le=4_096
  )
  depth: int = key('stages', default=4, ge=1, le=12)
  remat: bool = key(
    'recompute activations in the backward pass: less memory, slower',
    default=False,
  )
  exposure: bool = key(
    'the network is told how bright the result is to be: the mean intensity of '
    'the clean photograph',
    default=False,
  )
  dtype: layers.Dtype = jnp.float32

  @property
  def multiple(self) -> int:
    """Images are padded to sides that are multiples of it."""
    return 2**self.depth

  def _conv(self, features, name, **options):
    return layers.Conv(features, dtype=self.dtype, name=name, **options)

  def _blocks(self, features, name):
    """Two residual blocks and an attention."""
    block, attention = ResBlock, LinearAttention
    if self.remat:
      block, attention = nn.remat(block), nn.remat(attention)
    return (
      block(features, self.dtype, name=f'{name}_block_1'),
      block(features, self.dtype, name=f'{name}_block_2'),
      attention(dtype=self.dtype, name=f'{name}_attention'),
    )

  def _encode(self, y, t, masks):
    skips: list[AnyArray] = []
    for stage, mask in enumerate(masks):
      features = self.width * 2**stage
      first, second, attention = self._blocks(features, f'down_{stage}')
      y = first(y, t, mask=mask)
      skips.append(y)
      y = layers.masked(attention(second(y, t, mask=mask), mask=mask), mask)
      skips.append(y)
      if stage < self.depth - 1:
        down = self._conv(
          2 * features, f'down_{stage}_conv', size=4, stride=2, padding=1
        )
      else:
        down = self._conv(2 * features, f'down_{stage}_conv', bias=False)
      y = down(y)
    return y, skips

  def _decode(self, y, t, masks, skips):
    for stage in reversed(range(self.depth)):
      mask = masks[stage]
      features = self.width * 2 ** (stage + 1)
      first, second, attention = self._blocks(features, f'up_{stage}')
      y = first(jnp.concatenate([y, skips.pop()], axis=-1), t, mask=mask)
      y = second(jnp.concatenate([y, skips.pop()], axis=-1), t, mask=mask)
      y = layers.masked(attention(y, mask=mask), mask)
      if stage:
        y = jnp.repeat(jnp.repeat(y, 2, axis=1), 2, axis=2)
      y = self._conv(features // 2, f'up_{stage}_conv', bias=bool(stage))(y)
    return y

  @nn.compact
  def __call__(
    self,
    x: Images,
    mu: Images,
    t: AnyTimes,
    *,
    mask: Mask | None = None,
    exposure: Exposures | None = None,
  ) -> Float[Array, 'B H W C']:
    """(x_t, mu, t) -> e_hat, float32 [B, H, W, C].

    Args:
      x: x_t, [B, H, W, C].
      mu: the low images, the same shape.
      t: times, [B] or one of all.
      mask: for images on a larger canvas, at its top left: their pixels, sides
        multiples of `multiple`. Their e_hat is what it would be alone.
      exposure: [B] mean intensity of the clean images, for a network whose
        `exposure` is on; NaN, or None for all, is not told.
    """
    batch, height, width, channels = x.shape
    t = layers.sinusoidal_embedding(layers.time_batch(t, batch), self.width)
    t = layers.Dense(4 * self.width, dtype=self.dtype, name='time_in')(t)
    t = nn.gelu(t, approximate=False)
    t = layers.Dense(4 * self.width, dtype=self.dtype, name='time_out')(t)

    y = jnp.concatenate([x - mu, mu], axis=-1)
    if self.exposure:
      y = with_exposure(y, exposure)
    bottom, right = -height % self.multiple, -width % self.multiple
    pads = ((0, 0), (0, bottom), (0, right), (0, 0))
    y = jnp.pad(y, pads, mode='reflect')
    masks = [layers.thinned(mask, 2**stage) for stage in range(self.depth)]
    y = layers.masked(y, mask)
    y = self._conv(self.width, 'intro', size=7, bias=False)(y)
    intro = y

    y, skips = self._encode(y, t, masks)
    features = self.width * 2**self.depth
    first, second, attention = self._blocks(features, 'middle')
    # The last stage of the encoder does not reduce.
    y = attention(first(y, t, mask=masks[-1]), mask=masks[-1])
    y = second(y, t, mask=masks[-1])
    y = self._decode(y, t, masks, skips)

    y = jnp.concatenate([y, intro], axis=-1)
    y = ResBlock(self.width, self.dtype, name='final_block')(y, t, mask=mask)
    y = self._conv(channels, 'ending')(layers.masked(y, mask))
    return y[:, :height, :width].astype(jnp.float32)
