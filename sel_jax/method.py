"""What is learned: network, diffusion, objective and weighted losses.

Contract: imports no configuration, no data, and does no I/O; `build` makes one
from settings, a notebook may make one by hand.
"""

from collections.abc import Mapping
import dataclasses
import functools
import inspect
from typing import Any

from flax import linen as nn
from jaxtyping import Float
from jaxtyping import Int

from sel_jax import entropy
from sel_jax.arrays import AnyArray
from sel_jax.arrays import Exposures
from sel_jax.arrays import Images
from sel_jax.arrays import Mask
from sel_jax.arrays import RandomKey
from sel_jax.arrays import Times
from sel_jax.diffusion import IRSDE
from sel_jax.diffusion import PREDICTIONS
from sel_jax.entropy import EntropySpec
from sel_jax.losses import detail_l1
from sel_jax.losses import Loss
from sel_jax.losses import LOSSES
from sel_jax.models.exposure import takes_exposure

# Name of the spatial entropy among the weights and in the logs.
ENTROPY = 'entropy'


@dataclasses.dataclass(frozen=True)
class Method:
  """Everything that defines what is learned.

  Attributes:
    model: the network.
    sde: the diffusion.
    predicts: what the network's output stands for, a row of `PREDICTIONS`.
    objective: a row of `OBJECTIVES`.
    weights: name of a loss -> its weight, above 0: rows of `LOSSES`, and
      `ENTROPY`.
    entropy: the spatial entropy's spec.
    detail_sigma: what 'detail_l1' blurs with, in pixels.
    at_prior: probability that an example is drawn at t = T.
  """

  model: nn.Module
  sde: IRSDE
  predicts: str = 'noise'
  objective: str = 'optimum'
  weights: Mapping[str, float] = dataclasses.field(
    default_factory=lambda: {ENTROPY: 1.0}
  )
  entropy: EntropySpec = dataclasses.field(default_factory=EntropySpec)
  detail_sigma: float = 3.0
  at_prior: float = 0.0

  @property
  def takes_mask(self) -> bool:
    """Whether the network restores images on a canvas as it would alone."""
    return 'mask' in inspect.signature(type(self.model).__call__).parameters

  @property
  def takes_exposure(self) -> bool:
    """Whether the network can be told how bright the result is to be."""
    return takes_exposure(self.model)

  def estimate_noise(
    self,
    params: Any,
    x_t: Images,
    mu: Images,
    t: Times,
    *,
    mask: Mask | None = None,
    exposure: Exposures | None = None,
  ) -> Images:
    """e_hat from the network; t is [B] or a scalar.

    Args:
      params: the network's parameters.
      x_t: states, [B, H, W, C].
      mu: low images, the same shape.
      t: their times.
      mask: pixels of images on a larger canvas, for a network that takes it:
        see `takes_mask`.
      exposure: [B] mean intensity of the clean images, for a network that
        takes it, see `takes_exposure`; NaN is not told.
    """
    given: Any = {} if mask is None else {'mask': mask}
    if exposure is not None and self.takes_exposure:
      given['exposure'] = exposure
    output: Any = self.model.apply({'params': params}, x_t, mu, t, **given)
    return PREDICTIONS[self.predicts](self.sde, output, x_t, mu, t)

  def losses(
    self,
    key: RandomKey,
    *,
    index: Int[AnyArray, ' B'] | None = None,
    bandwidth: Float[AnyArray, ' B'] | None = None,
  ) -> dict[str, tuple[float, Loss]]:
    """Name -> (weight, loss) of those that are on.

    Args:
      key: draws the neighbour weights of the spatial entropy, and the part of
        each image that it looks at.
      index: global number of each example, see `spatial_entropy_loss`.
      bandwidth: the spatial entropy's for each example, instead of its spec's.
    """
    spatial = functools.partial(
      entropy.spatial_entropy_loss,
      spec=self.entropy,
      key=key,
      index=index,
      bandwidth=bandwidth,
    )
    detail = functools.partial(detail_l1, sigma=self.detail_sigma)
    table = {ENTROPY: spatial, **LOSSES, 'detail_l1': detail}
    return {name: (w, table[name]) for name, w in self.weights.items()}
