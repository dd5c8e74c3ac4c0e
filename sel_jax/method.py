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
import jax
import jax.numpy as jnp
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
from sel_jax.diffusion import objective_pair
from sel_jax.diffusion import PREDICTIONS
from sel_jax.entropy import EntropySpec
from sel_jax.entropy.sampling import draw_part
from sel_jax.losses import detail_l1
from sel_jax.losses import Loss
from sel_jax.losses import LOSSES
from sel_jax.losses import lpips
from sel_jax.losses.perceptual import LEAST_SIDE
from sel_jax.models.exposure import takes_exposure

# Name of the spatial entropy among the weights and in the logs.
ENTROPY = 'entropy'
# The draw of what LPIPS looks at, apart from those of the spatial entropy.
_LPIPS = 2


@dataclasses.dataclass(frozen=True)
class State:
  """What the network saw of a batch, and what it made of it.

  Attributes:
    x: [B, H, W, C] states x_t.
    t: [B] their times.
    noise: the noise in them, relative to the clean images.
    noise_hat: the network's estimate of it.
    clean: x_0.
    low: mu.
  """

  x: Images
  t: Times
  noise: Images
  noise_hat: Images
  clean: Images
  low: Images

  def pair(self, objective: str, sde: IRSDE) -> tuple[Images, Images]:
    """(pred, target) of a row of `OBJECTIVES`."""
    return objective_pair(
      objective,
      sde,
      self.noise_hat,
      self.x,
      self.clean,
      self.low,
      self.t,
      self.noise,
    )


@dataclasses.dataclass(frozen=True)
class Density:
  """Where and when the spatial entropy counts.

  Attributes:
    objective: the pair that it compares, a row of `OBJECTIVES`; empty is that
      of the other losses.
    times: greatest t at which it counts; 0 is all.
    bands: sigmas of further detail layers, averaged with the spec's.
    updates: first update that it counts in, and the first after those.
  """

  objective: str = ''
  times: int = 0
  bands: tuple[float, ...] = ()
  updates: tuple[int, int] | None = None

  def specs(self, spec: EntropySpec) -> list[EntropySpec]:
    """The spec, and those of further bands."""
    more = [dataclasses.replace(spec, detail=sigma) for sigma in self.bands]
    return [spec, *more]


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
    perturb: deviation of the noise that x_t has besides e.
    unroll: further calls for each example, on states made of the network's own
      estimates.
    density: where and when the spatial entropy counts.
    lpips_sample: part of the pixels that 'lpips' looks at.
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
  perturb: float = 0.0
  unroll: int = 0
  density: Density = dataclasses.field(default_factory=Density)
  lpips_sample: float = 1.0

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
    mu = self.sde.condition(x_t, mu)
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
    state: State | None = None,
    step: Int[AnyArray, ''] | None = None,
  ) -> dict[str, tuple[float, Loss]]:
    """Name -> (weight, loss) of those that are on.

    Args:
      key: draws the neighbour weights of the spatial entropy, and the part of
        each image that it looks at.
      index: global number of each example, see `spatial_entropy_loss`.
      bandwidth: the spatial entropy's for each example, instead of its spec's.
      state: what `density` needs where the spatial entropy has a pair or times
        of its own.
      step: number of the update; none counts every loss.
    """
    spatial = functools.partial(
      self._entropy,
      key=key,
      index=index,
      bandwidth=bandwidth,
      state=state,
      step=step,
    )
    detail = functools.partial(detail_l1, sigma=self.detail_sigma)
    part = functools.partial(self._lpips, key=key, index=index)
    table = {**LOSSES, ENTROPY: spatial, 'detail_l1': detail, 'lpips': part}
    return {name: (w, table[name]) for name, w in self.weights.items()}

  def _entropy(self, pred, target, *, state, step, **draws):
    """The spatial entropy, where and when it counts."""
    own = self.density
    if own.objective and state is not None:
      pred, target = state.pair(own.objective, self.sde)

    def distance(pred, target):
      found = [
        entropy.spatial_entropy_loss(pred, target, spec=spec, **draws)
        for spec in own.specs(self.entropy)
      ]
      mean = sum(found[1:], found[0]) / len(found)
      if not own.times or state is None:
        return mean
      return jnp.where(state.t <= own.times, mean, 0.0)

    if own.updates is None or step is None:
      return distance(pred, target)
    first, last = own.updates
    nothing = lambda pred, target: jnp.zeros(pred.shape[0])
    counts = (step >= first) & (step < last)
    return jax.lax.cond(counts, distance, nothing, pred, target)

  def _lpips(self, pred, target, *, key, index):
    """LPIPS of a rectangle of each image, or of the whole."""
    if self.lpips_sample == 1:
      return lpips(pred, target)
    batch, *sides, _ = pred.shape
    least = min(1.0, LEAST_SIDE / min(sides)) ** 2
    part = draw_part(
      jax.random.fold_in(key, _LPIPS),
      jnp.arange(batch) if index is None else index,
      shape=tuple(sides),
      share=max(self.lpips_sample, least),
    )
    pred, target = (
      jnp.moveaxis(part.cut(jnp.moveaxis(x, 3, 1)), 1, 3)
      for x in (pred, target)
    )
    return lpips(pred, target)
