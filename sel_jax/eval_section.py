"""Section `eval`: the sampler of whoever restores an image.

Contract: its keys are flags of four commands, which know them without loading
JAX: the names to choose from are looked up when they are asked for.
"""

from collections.abc import Collection

from sel_jax import fields
from sel_jax.fields import key

# Sides of what the device sees are multiples of it, so that photographs of
# neighbouring sizes share a program; a network may ask for more.
MULTIPLE = 32


def _samplers() -> Collection[str]:
  from sel_jax.diffusion import SAMPLERS

  return SAMPLERS


def _grids() -> Collection[str]:
  from sel_jax.diffusion import GRIDS

  return GRIDS


@fields.spec
class EvalSpec:
  """Section `eval`: the sampler, the same wherever an image is restored."""

  sampler: str = key('the sampler', default='posterior', choices=_samplers)
  steps: int = key(
    'calls of the network per image, 1 to sde.steps',
    default=100,
    ge=1,
    le=10_000,
  )
  grid: str = key(
    'times of the steps; log_snr suits samplers of second order',
    default='time',
    choices=_grids,
  )
  sigma: float = key(
    'deviation of the noise of a photograph, 8-bit units, which a denoising '
    "model starts from; 0 is each photograph's own, estimated",
    default=0.0,
    ge=0,
    le=255,
  )
  clip: bool = key('keep the clean estimate in [0, 1]', default=True)
  dynamic: float = key(
    'quantile of dynamic thresholding, such as 0.995, which scales what '
    'overshoots instead of clipping it; 0 clips',
    default=0.0,
    ge=0,
    le=1,
  )
  unbias: bool = key(
    'undo the bias of a network that was trained by the Euler mean, for '
    "loss.objective='optimum' alone",
    default=False,
  )
  seed: int = key("seed of the sampler's noise", default=0, ge=0)
  images: int = key(
    'validation images used during training; 0 is all',
    default=0,
    ge=0,
    flag=False,
  )
  tile: int = key(
    'photographs with a longer side are restored in tiles of this side, a '
    f'multiple of {MULTIPLE}; 0 is never',
    default=640,
    ge=0,
    le=16_384,
  )
  overlap: int = key(
    'least overlap of tiles, pixels, at most half a tile',
    default=128,
    ge=0,
    le=8_192,
  )
  reduce: float = key(
    'share of its size at which a photograph with a side of 4,000 pixels or '
    'more is restored, as the published test does by 0.8; 1 is whole',
    default=1.0,
    ge=0.1,
    le=1,
  )
  pool: int = key(
    'side of the window that the channel attention averages over, pixels; 0 '
    'is the whole image or tile',
    default=0,
    ge=0,
    le=16_384,
  )
  anchor: bool = key(
    'give a photograph in tiles the coarse tones of its restored thumbnail, '
    'so that tiles of different content agree',
    default=True,
  )

  meet: bool = key(
    'bring the mean of the result to the exposure that was asked for, of a '
    'network with model.exposure',
    default=True,
  )
  saturation: float = key(
    "how much of the result's colour is kept: 0 is grey, 1 the network's own, "
    'above 1 livelier',
    default=1.0,
    ge=0,
    le=4,
  )

  def __post_init__(self):
    if self.tile % MULTIPLE:
      raise fields.refuse(self, 'tile', f'give a multiple of {MULTIPLE}, or 0')
    if self.tile and self.overlap > self.tile // 2:
      raise fields.refuse(
        self, 'overlap', f'give 0 to half of tile={self.tile}'
      )
