"""A trained model as a function from photograph to photograph.

Contract: everything comes from the checkpoint, the configuration included;
only the sampler's settings may be overridden.
"""

import dataclasses
from importlib import resources
import logging
from pathlib import Path
from typing import Any

import jax
import ml_collections
import numpy as np

from sel_jax import build
from sel_jax.checkpoints import Checkpoints
from sel_jax.checkpoints import DamagedCheckpoint
from sel_jax.errors import InputError
from sel_jax.images import codec
from sel_jax.inference.restorer import local_mesh
from sel_jax.inference.restorer import Progress
from sel_jax.inference.restorer import Restorer
from sel_jax.interop import portable
from sel_jax.models import init_params
from sel_jax.settings import EvalSpec

_log = logging.getLogger(__name__)

# The name of the model that comes with the package.
SHIPPED = 'shipped'


def _resolved(path: str | Path | None) -> Path:
  """A checkpoint's path; None and `SHIPPED` are the package's own model."""
  if path is None or str(path) == SHIPPED:
    return Path(str(resources.files('sel_jax'))) / 'weights/lol.safetensors'
  return Path(path)


def _prepared(config, overrides):
  """Method, sampler's settings and configuration with the overrides."""
  config = ml_collections.ConfigDict(config)
  for name, value in overrides.items():
    if value is not None:
      config.eval[name] = value
  build.check_config(config)
  return build.build_method(config), build.eval_spec(config), config


@dataclasses.dataclass(frozen=True)
class Enhancer:
  """A model, ready to restore.

  Attributes:
    config: the configuration it was trained with.
    step: updates it was trained for; 0 if that is not known.
    method: network and diffusion.
    spec: the sampler's settings in force.
    params: the averaged parameters.
    restore: [H, W, 3] float32 in [0, 1] -> the same, brightened.
  """

  config: ml_collections.ConfigDict
  step: int
  method: build.Method
  spec: EvalSpec
  params: Any
  restore: Any

  @classmethod
  def from_checkpoint(
    cls, path: str | Path | None = None, **overrides: Any
  ) -> 'Enhancer':
    """Loads a model.

    Args:
      path: folder of a training run, of which the best checkpoint by
        validation is taken, or else the newest sound one; or a file of
        weights, `.safetensors`, that `experiments.convert` wrote; None or
        'shipped' for the model that comes with the package.
      **overrides: fields of `EvalSpec`; None leaves the run's own.

    Raises:
      InputError: if there is no sound checkpoint, or a setting does not fit.
    """
    path = _resolved(path)
    if path.suffix == portable.ENDING:
      params, facts = portable.load(path)
      method, spec, config = _prepared(facts['config'], overrides)
      like = init_params(method.model, jax.random.key(0))
      if jax.tree.map(np.shape, params) != jax.tree.map(np.shape, like):
        raise InputError(
          f'{path}: its weights do not fit its configuration; get it anew'
        )
      return cls._create(method, spec, config, facts.get('step', 0), params)
    return cls._from_run(path, overrides)

  @classmethod
  def _from_run(cls, workdir, overrides) -> 'Enhancer':
    checkpoints = Checkpoints.open(workdir)
    order = checkpoints.steps()[::-1]
    if (best := checkpoints.best_step()) is not None:
      order = [best] + [s for s in order if s != best]
    failure = None
    try:
      for step in order:
        try:
          config = checkpoints.config(step)
          method, spec, config = _prepared(config, overrides)
          like = init_params(method.model, jax.random.key(0))
          items, _ = checkpoints.restore(step, ema=like)
          return cls._create(method, spec, config, step, items['ema'])
        except DamagedCheckpoint as error:
          failure = error
          _log.warning('%s; trying another one', error)
      raise failure
    finally:
      checkpoints.close()

  @classmethod
  def _create(cls, method, spec, config, step, params) -> 'Enhancer':
    restore = Restorer(method, spec, local_mesh()).bind(params)
    return cls(config, step, method, spec, params, restore)

  def with_settings(self, **overrides: Any) -> 'Enhancer':
    """The same model with other settings of the sampler.

    Args:
      **overrides: fields of `EvalSpec`; None leaves what is in force.

    Raises:
      InputError: if a setting does not fit.
    """
    method, spec, config = _prepared(self.config.to_dict(), overrides)
    return self._create(method, spec, config, self.step, self.params)

  def __call__(
    self,
    image: np.ndarray,
    *,
    strength: float = 1.0,
    on_progress: Progress | None = None,
  ) -> np.ndarray:
    """Restores one photograph of any size.

    Args:
      image: [H, W, 3], float in [0, 1], or uint8 or uint16 samples.
      strength: how much of the correction, from 0, the photograph itself, to
        1, the model's result.
      on_progress: called with the share of the work just done.

    Returns:
      [H, W, 3] float32 in [0, 1].

    Raises:
      InputError: for any other shape or type, or a strength out of range.
    """
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
    if not 0 <= strength <= 1:
      raise InputError(f'strength={strength}: must lie in 0 to 1')
    image = np.asarray(image, np.float32)
    restored = self.restore(image, on_progress=on_progress)
    if strength == 1:
      return restored
    return (1 - np.float32(strength)) * image + np.float32(strength) * restored
