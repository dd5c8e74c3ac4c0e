"""ConditionalNAFNet: the noise estimator of Refusion.

Contract: (x_t, mu, t) -> e_hat, images [B, H, W, 3] of any size, t [B] or a
scalar. Source: NAFNet, arXiv 2204.04676; Refusion, arXiv 2304.08291.
"""

from collections.abc import Mapping
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Float

from sel_jax.arrays import AnyArray
from sel_jax.arrays import AnyTimes
from sel_jax.arrays import Exposures
from sel_jax.arrays import Images
from sel_jax.arrays import Mask
from sel_jax.fields import key
from sel_jax.models import layers
from sel_jax.models.exposure import with_exposure

# Below half a level of 8 bits a tone curve would spread nothing but noise.
_DARKEST = 0.5 / 255


class NAFBlock(nn.Module):
  """Gated convolution with channel attention, then a gated feed-forward.

  Attributes:
    depthwise: form of the depthwise convolution, see `layers.DepthwiseConv`.
    dtype: compute type.
    pool: side of the window that the attention averages; 0 is everything.
  """

  depthwise: str = 'auto'
  dtype: layers.Dtype = jnp.float32
  pool: int = 0

  def _dense(self, features, name):
    return layers.Dense(features, dtype=self.dtype, name=name)

  @nn.compact
  def __call__(
    self, x: Images, time: Float[AnyArray, 'B F'], *, mask: Mask | None = None
  ) -> Images:
    """Images [B, H, W, C] and time features [B, 4w] -> images."""
    channels = x.shape[-1]
    modulation = self._dense(4 * channels, 'time')(layers.simple_gate(time))
    modulation = modulation[:, None, None, :]
    shift_a, scale_a, shift_f, scale_f = jnp.split(modulation, 4, axis=-1)

    norm = layers.ChannelNorm(name='norm_attention')
    y = norm(x, scale=scale_a, shift=shift_a)
    y = self._dense(2 * channels, 'expand')(y)
    y = layers.masked(y, mask)
    y = layers.DepthwiseConv(self.depthwise, name='depthwise')(y)
    y = layers.simple_gate(y)
    if self.pool:
      pooled = layers.local_mean(y, self.pool, mask=mask)
    else:
      pooled = layers.global_mean(y, mask)
    y = y * self._dense(channels, 'attention')(pooled.astype(y.dtype))
    y = self._dense(channels, 'project')(y)
    x = x + y * self._gain('beta', channels).astype(y.dtype)

    norm = layers.ChannelNorm(name='norm_ffn')
    y = norm(x, scale=scale_f, shift=shift_f)
    y = layers.simple_gate(self._dense(2 * channels, 'ffn_expand')(y))
    y = self._dense(channels, 'ffn_project')(y)
    return x + y * self._gain('gamma', channels).astype(y.dtype)

  def _gain(self, name, channels):
    gain = layers.param(self, name, nn.initializers.zeros, (channels,))
    return gain.reshape(1, 1, 1, -1)


class Stage(nn.Module):
  """`blocks` equal NAF blocks as one scan: parameters stacked on axis 0.

  Attributes:
    blocks: how many; none is the identity.
    depthwise: see `layers.DepthwiseConv`.
    remat: recompute activations in the backward pass.
    dtype: compute type.
    pool: see `NAFBlock`.
    scan: False for blocks one by one, see `unrolled_params`.
  """

  blocks: int
  depthwise: str = 'auto'
  remat: bool = False
  dtype: layers.Dtype = jnp.float32
  pool: int = 0
  scan: bool = True

  @nn.compact
  def __call__(
    self, x: Images, time: Float[AnyArray, 'B F'], *, mask: Mask | None = None
  ) -> Images:
    """Images [B, H, W, C] and time features [B, 4w] -> images."""
    if not self.blocks:
      return x
    if not self.scan:
      for n in range(self.blocks):
        block = NAFBlock(
          self.depthwise, self.dtype, self.pool, name=f'block_{n}'
        )
        x = block(x, time, mask=mask)
      return x
    block = nn.remat(NAFBlock, prevent_cse=False) if self.remat else NAFBlock
    body = block(self.depthwise, self.dtype, self.pool, name='blocks')
    scan = nn.scan(
      lambda module, carry, _: (module(carry, time, mask=mask), None),
      variable_axes={'params': 0},
      split_rngs={'params': True},
      length=self.blocks,
      check_constancy_invariants=False,  # there are none; it traces twice
    )
    return scan(body, x, None)[0]


def unrolled_params(params: Mapping[str, Any]) -> dict[str, Any]:
  """Parameters for `scan=False`: each stage's stack as `block_0`, `block_1`...

  Args:
    params: parameters of `ConditionalNAFNet`.

  Returns:
    The same numbers in the other tree.
  """
  unrolled = {}
  for name, part in params.items():
    if 'blocks' in part:
      count = jax.tree.leaves(part)[0].shape[0]
      part = {
        f'block_{n}': jax.tree.map(lambda leaf, n=n: leaf[n], part['blocks'])
        for n in range(count)
      }
    unrolled[name] = part
  return unrolled


class ConditionalNAFNet(nn.Module):
  """U-shaped NAFNet on concat(x_t - mu, mu) and the time.

  Fields that are keys of a configuration say so themselves.

  Attributes:
    dtype: compute type; parameters and the result are float32.
    pool: side of the window, in pixels of the photograph, that the channel
      attention averages over; 0 is the whole image, as in training.
    scan: False writes equal blocks out one by one, for converters that do not
      know loops; parameters are then those of `unrolled_params`.
  """

  width: int = key(
    'channels at the finest stage, even', default=64, ge=4, le=4_096
  )
  enc: tuple[int, ...] = key(
    'blocks of each encoder stage, the finest first',
    default=(1, 1, 1, 1, 28),
    ge=0,
    le=256,
  )
  middle: int = key('blocks at the bottom', default=1, ge=0, le=256)
  dec: tuple[int, ...] = key(
    'blocks of each decoder stage, as many as of enc',
    default=(1, 1, 1, 1, 1),
    ge=0,
    le=256,
  )
  depthwise: str = key(
    'form of the depthwise convolution',
    default='auto',
    choices=layers.depthwise_names,
  )
  remat: bool = key(
    'recompute activations in the backward pass: less memory, slower',
    default=False,
  )
  patch: int = key(
    'side of the squares of pixels that the finest stage sees as one, by pixel '
    'unshuffling (arXiv 1609.05158); 1 is the reference, 2 sees four times the '
    'area at half the time and twice the width',
    default=1,
    ge=1,
    le=64,
  )
  gamma: float = key(
    'the network sees mu^gamma; 1 is the reference, below it dark tones are '
    "spread out as by a camera's tone curve",
    default=1.0,
    gt=0,
    le=1,
  )
  exposure: bool = key(
    'the network is told how bright the result is to be: the mean intensity of '
    'the clean photograph',
    default=False,
  )
  dtype: layers.Dtype = jnp.float32
  pool: int = 0
  scan: bool = True

  def __post_init__(self):
    super().__post_init__()
    if len(self.enc) != len(self.dec):
      raise ValueError(
        f'enc {self.enc} and dec {self.dec} must have as many stages'
      )
    if self.width < 4 or self.width % 2:
      raise ValueError(f'width={self.width}: must be even and at least 4')
    if self.patch < 1:
      raise ValueError(f'patch={self.patch}: must be at least 1')
    if not 0 < self.gamma <= 1:
      raise ValueError(f'gamma={self.gamma}: must lie in 0 to 1')

  @property
  def multiple(self) -> int:
    """Images are padded to sides that are multiples of it."""
    return self.patch * 2 ** len(self.enc)

  def _stage(self, blocks, name, stage):
    pool = -(-self.pool // (self.patch * 2**stage))
    return Stage(
      blocks,
      self.depthwise,
      self.remat,
      self.dtype,
      pool,
      self.scan,
      name=name,
    )

  def _seen(self, x, mu, exposure):
    """What the first convolution sees: padded, squares of pixels as one."""
    seen = mu if self.gamma == 1 else jnp.maximum(mu, _DARKEST) ** self.gamma
    y = jnp.concatenate([x - mu, seen], axis=-1)
    if self.exposure:
      y = with_exposure(y, exposure)
    bottom, right = (-side % self.multiple for side in x.shape[1:3])
    y = jnp.pad(y, ((0, 0), (0, bottom), (0, right), (0, 0)))
    return layers.pixel_unshuffle(y, size=self.patch)

  @nn.compact
  def __call__(
    self,
    x: Images,
    mu: Images,
    t: AnyTimes,
    *,
    mask: Mask | None = None,
    exposure: Exposures | None = None,
  ) -> Float[AnyArray, 'B H W C']:
    """(x_t, mu, t) -> e_hat, float32 [B, H, W, C].

    Args:
      x: x_t, [B, H, W, C].
      mu: the low images, the same shape.
      t: times, [B] or one of all.
      mask: for images on a larger canvas, at its top left: their pixels, sides
        multiples of `multiple`. Their e_hat is what it would be alone.
      exposure: [B] mean intensity of the clean images, where `exposure` is on;
        NaN, or None for all, is not told.
    """
    batch, height, width, channels = x.shape
    t = layers.sinusoidal_embedding(layers.time_batch(t, batch), self.width)
    t = layers.Dense(8 * self.width, dtype=self.dtype, name='time_in')(t)
    t = layers.simple_gate(t)
    t = layers.Dense(4 * self.width, dtype=self.dtype, name='time_out')(t)

    y = self._seen(x, mu, exposure)
    masks = [
      layers.thinned(mask, self.patch * 2**stage)
      for stage in range(len(self.enc) + 1)
    ]
    y = layers.masked(y, masks[0])
    y = layers.Conv(self.width, dtype=self.dtype, name='intro')(y)
    skips = []
    for stage, blocks in enumerate(self.enc):
      y = self._stage(blocks, f'encoder_{stage}', stage)(
        y, t, mask=masks[stage]
      )
      skips.append(y)
      y = layers.Conv(
        2 * y.shape[-1],
        size=2,
        stride=2,
        padding=0,
        dtype=self.dtype,
        name=f'down_{stage}',
      )(y)
    y = self._stage(self.middle, 'middle', len(self.enc))(y, t, mask=masks[-1])
    for stage, blocks in enumerate(self.dec):
      up = layers.Dense(
        2 * y.shape[-1], bias=False, dtype=self.dtype, name=f'up_{stage}'
      )
      y = layers.pixel_shuffle(up(y)) + skips.pop()
      deep = len(self.dec) - 1 - stage
      y = self._stage(blocks, f'decoder_{stage}', deep)(y, t, mask=masks[deep])
    y = layers.masked(y, masks[0])
    last = channels * self.patch**2
    y = layers.Conv(last, dtype=self.dtype, name='ending')(y)
    y = layers.pixel_shuffle(y, size=self.patch)
    return y[:, :height, :width].astype(jnp.float32)
