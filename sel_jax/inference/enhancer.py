"""A trained model as a function from photograph to photograph.

Contract: everything comes from the checkpoint, the settings included; only the
sampler's may be overridden.
"""

from collections.abc import Hashable
from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
import functools
import math
from pathlib import Path
from typing import Any

import jax
from jaxtyping import Float
from jaxtyping import Shaped
import numpy as np

from sel_jax import build
from sel_jax import programs
from sel_jax.arrays import Rgb
from sel_jax.arrays import Rgbs
from sel_jax.errors import InputError
from sel_jax.eval_section import EvalSpec
from sel_jax.images import codec
from sel_jax.inference import stored
from sel_jax.inference.exposure import AUTO
from sel_jax.inference.exposure import brighter
from sel_jax.inference.exposure import check
from sel_jax.inference.exposure import Plausible
from sel_jax.inference.exposure import Predictor
from sel_jax.inference.restorer import local_mesh
from sel_jax.inference.restorer import Progress
from sel_jax.inference.restorer import Restorer
from sel_jax.method import Method
from sel_jax.sections import DiffusionSpec
from sel_jax.sections import ModelSpec
from sel_jax.settings import Settings


def _overridden(settings: Settings, overrides: dict[str, Any]) -> Settings:
  """The settings with keys of section `eval` changed; None changes nothing."""
  return settings.changed(
    {f'eval.{n}': value for n, value in overrides.items() if value is not None}
  )


@functools.lru_cache(2)  # runs of an ablation share its programs
def _restorer(
  model: ModelSpec, diffusion: DiffusionSpec, spec: EvalSpec
) -> Restorer:
  method = build.build_method(Settings(model=model, sde=diffusion))
  return Restorer(method, spec, local_mesh())


def _as_float(image: np.ndarray) -> Rgb:
  """Any photograph as float32 in [0, 1]."""
  if image.ndim != 3 or image.shape[2] != 3 or not image.size:
    raise InputError(
      f'the image must be RGB of shape [H, W, 3], not {image.shape}'
    )
  if image.dtype in (np.uint8, np.uint16):
    image = codec.to_float(image)
  if image.dtype.kind != 'f':
    raise InputError(
      f'the image must be float in [0, 1], uint8 or uint16, not {image.dtype}'
    )
  return np.asarray(image, np.float32)


def _check_strength(strength: float) -> None:
  if not 0 <= strength <= 1:
    raise InputError(f'strength={strength}: must lie in 0 to 1')


def _mixed(low: np.ndarray, restored: np.ndarray, strength: float) -> Rgb:
  """So much of the correction."""
  if strength == 1:
    return restored
  return (1 - np.float32(strength)) * low + np.float32(strength) * restored


@dataclasses.dataclass(frozen=True, eq=False)
class Enhancer:
  """A model, ready to restore.

  Attributes:
    settings: those it was trained with, and the sampler's in force.
    step: updates it was trained for; 0 if that is not known.
    method: network and diffusion.
    params: the averaged parameters.
    restorer: runs the sampler on photographs.
    predictor: says which exposures are plausible; None if the network takes
      none, or nothing is known of them.
  """

  settings: Settings
  step: int
  method: Method
  params: Any
  restorer: Restorer
  predictor: Predictor | None = None

  @classmethod
  def create(
    cls,
    settings: Settings,
    *,
    params: Any = None,
    step: int = 0,
    predictor: Predictor | None = None,
  ) -> 'Enhancer':
    """A model from its settings and parameters; compiles nothing yet.

    Args:
      settings: those of the run that trained it.
      params: the averaged parameters; None if `with_params` brings them.
      step: updates it was trained for; 0 if that is not known.
      predictor: says which exposures are plausible.
    """
    # A seed is no part of the programs.
    spec = dataclasses.replace(settings.eval, seed=0)
    restorer = _restorer(settings.model, settings.sde, spec)
    params = jax.device_put(params)
    return cls(settings, step, restorer.method, params, restorer, predictor)

  @classmethod
  def from_checkpoint(
    cls, path: str | Path | None = None, **overrides: Any
  ) -> 'Enhancer':
    """Loads a model; what it compiles is kept on disk, see `programs.keep`.

    Args:
      path: folder of a training run, of which the best checkpoint by
        validation is taken, or else the newest sound one; a file of weights,
        `.safetensors` of `experiments.convert` or `.pth` of the release; None
        or 'shipped' for the model that comes with the package.
      **overrides: keys of section `eval`; None leaves the run's own.

    Raises:
      InputError: if there is no sound checkpoint, or a setting does not fit.
    """
    programs.keep()
    found = stored.load(path)
    own = _overridden(found.settings, overrides)
    return cls.create(
      own, params=found.params, step=found.step, predictor=found.exposure
    )

  def with_settings(self, **overrides: Any) -> 'Enhancer':
    """The same model with other settings of the sampler.

    Args:
      **overrides: keys of section `eval`; None leaves what is in force.

    Raises:
      InputError: if a setting does not fit.
    """
    settings = _overridden(self.settings, overrides)
    return self.create(
      settings, params=self.params, step=self.step, predictor=self.predictor
    )

  def with_params(self, params: Any) -> 'Enhancer':
    """The same model with other parameters and the same compiled programs."""
    return dataclasses.replace(self, params=jax.device_put(params))

  @property
  def spec(self) -> EvalSpec:
    """The sampler's settings in force."""
    return self.settings.eval

  @property
  def at_once(self) -> int:
    """Photographs that `many` restores together at best: one per device."""
    return self.restorer.at_once

  @property
  def takes_exposure(self) -> bool:
    """Whether it can be told how bright the result is to be."""
    return self.method.takes_exposure

  def plausible(self, image: Shaped[np.ndarray, '...']) -> Plausible:
    """Which exposures are plausible of a photograph.

    Args:
      image: as `__call__` takes it.

    Raises:
      InputError: if the model has no predictor of them.
    """
    self.require_exposure()
    if self.predictor is None:
      raise InputError(
        'the model does not know which exposures are plausible; give a number'
      )
    return self.predictor(_as_float(image))

  def exposure(
    self,
    image: Shaped[np.ndarray, '...'],
    *,
    exposure: float | str = AUTO,
    ev: float = 0.0,
  ) -> float:
    """The mean intensity that `__call__` would ask for.

    Args:
      image: as `__call__` takes it.
      exposure: as `__call__` takes it.
      ev: as `__call__` takes it.

    Returns:
      In [0, 1]; NaN if the network is not told any.

    Raises:
      InputError: as `__call__`.
    """
    check(exposure, ev)
    if exposure == AUTO:
      if not ev and not self.predictor:
        return math.nan
      exposure = self.plausible(image).quantile(0.5)
    asked = float(exposure)
    if not math.isnan(asked):
      self.require_exposure()
    return brighter(asked, ev) if ev else asked

  def require_exposure(self) -> None:
    """Raises InputError for a model that cannot be told how bright."""
    if not self.takes_exposure:
      raise InputError(
        'this model cannot be told how bright: it was trained without '
        'config.model.exposure; ask for none, or choose another model'
      )

  def __call__(
    self,
    image: Shaped[np.ndarray, '...'],
    *,
    exposure: float | str = AUTO,
    ev: float = 0.0,
    strength: float = 1.0,
    seed: int | None = None,
    on_progress: Progress | None = None,
  ) -> Rgb:
    """Restores one photograph of any size.

    Args:
      image: [H, W, 3], float in [0, 1], or uint8 or uint16 samples.
      exposure: mean intensity of the result, of a model that `takes_exposure`;
        'auto' is the most plausible one, never darker than the photograph. NaN
        leaves it to the network.
      ev: stops of light brighter than that, or darker below 0.
      strength: how much of the correction, from 0, the photograph itself, to
        1, the model's result.
      seed: draws the sampler's noise; that of the settings if left out.
      on_progress: called with the share of the work just done.

    Returns:
      [H, W, 3] float32 in [0, 1].

    Raises:
      InputError: for any other shape or type, a strength, exposure or ev out of
        range, or an exposure for a model that cannot be told.
    """
    _check_strength(strength)
    image = _as_float(image)
    restored = self.restorer(
      self.params,
      image,
      seed=self._seed(seed),
      exposure=self.exposure(image, exposure=exposure, ev=ev),
      on_progress=on_progress,
    )
    return _mixed(image, restored, strength)

  def plan(self, sizes: Iterable[tuple[int, int]]) -> list[Hashable]:
    """Chooses few programs for photographs that are going to be restored.

    Without it each size has what was compiled before, or a program of its own,
    until there are three.

    Args:
      sizes: height and width of each photograph.

    Returns:
      Of each, what photographs that are restored together have in common.
    """
    return list(self.restorer.plan(sizes))

  def many(
    self,
    images: list[Shaped[np.ndarray, '...']],
    *,
    exposures: Sequence[float | str] | None = None,
    ev: float = 0.0,
    strength: float = 1.0,
  ) -> Rgbs:
    """Restores photographs as if one by one, together on all devices.

    Args:
      images: as `__call__` takes them; sizes may differ.
      exposures: one of each photograph, as `__call__` takes it; 'auto' if left
        out.
      ev: as `__call__` takes it.
      strength: how much of the correction, as `__call__` takes it.

    Returns:
      Each restored, in order, [H, W, 3] float32 in [0, 1].

    Raises:
      InputError: as `__call__`.
    """
    _check_strength(strength)
    floats = [_as_float(image) for image in images]
    wanted = [AUTO] * len(floats) if exposures is None else exposures
    told = [
      self.exposure(image, exposure=one, ev=ev)
      for image, one in zip(floats, wanted, strict=True)
    ]
    results = self.restorer.many(
      self.params, floats, seed=self._seed(None), exposures=told
    )
    pairs = zip(floats, results, strict=True)
    return [_mixed(low, restored, strength) for low, restored in pairs]

  def _seed(self, given: int | None) -> int:
    return self.spec.seed if given is None else given

  def samples(
    self,
    image: Shaped[np.ndarray, '...'],
    count: int,
    *,
    exposure: float | str = AUTO,
    ev: float = 0.0,
    strength: float = 1.0,
    seed: int | None = None,
    on_progress: Progress | None = None,
  ) -> Float[np.ndarray, 'N H W 3']:
    """Restores one photograph several times, each with a seed of its own.

    Args:
      image: as `__call__` takes it.
      count: N, how many.
      exposure: as `__call__` takes it.
      ev: as `__call__` takes it.
      strength: how much of the change is kept, as `__call__` takes it.
      seed: that of the first; the others have the next ones. The seed of the
        settings if left out.
      on_progress: called with the share of the work just done.

    Returns:
      [N, H, W, 3] float32 in [0, 1]. Their `spread` says where the model is
      not sure.

    Raises:
      InputError: for another image, or a count below 1.
    """
    if count < 1:
      raise InputError(f'samples={count}: give 1 or more')
    share = (lambda part: on_progress(part / count)) if on_progress else None
    told = self.exposure(image, exposure=exposure, ev=ev)
    run = functools.partial(self, image, exposure=told, strength=strength)
    seeds = range(self._seed(seed), self._seed(seed) + count)
    return np.stack([run(seed=one, on_progress=share) for one in seeds])

  def trajectory(
    self,
    image: Shaped[np.ndarray, '...'],
    *,
    exposure: float | str = AUTO,
    ev: float = 0.0,
    seed: int | None = None,
  ) -> Float[np.ndarray, 'T h w 3']:
    """The states of the sampler, from x_T to x_0.

    Args:
      image: as `__call__` takes it; larger than a tile it is reduced to one.
      exposure: as `__call__` takes it.
      ev: as `__call__` takes it.
      seed: draws the sampler's noise; that of the settings if left out.

    Returns:
      [steps + 1, h, w, 3] float32; states are noisy, and not clamped.

    Raises:
      InputError: for another image.
    """
    image = _as_float(image)
    told = self.exposure(image, exposure=exposure, ev=ev)
    return self.restorer.trajectory(
      self.params, image, seed=self._seed(seed), exposure=told
    )
