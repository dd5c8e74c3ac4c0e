"""A trained model as a function from photograph to photograph.

Contract: everything comes from the checkpoint, the configuration included;
only the sampler's settings may be overridden.
"""

import dataclasses
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
from sel_jax.inference.restorer import Restorer
from sel_jax.models import init_params
from sel_jax.settings import EvalSpec

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Enhancer:
  """A model, ready to restore.

  Attributes:
    config: the configuration it was trained with.
    step: updates it was trained for.
    spec: the sampler's settings in force.
    params: the averaged parameters.
    restore: [H, W, 3] float32 in [0, 1] -> the same, brightened.
  """

  config: ml_collections.ConfigDict
  step: int
  spec: EvalSpec
  params: Any
  restore: Any

  @classmethod
  def from_checkpoint(cls, workdir: str | Path, **overrides: Any) -> 'Enhancer':
    """Loads the best checkpoint by validation, or else the newest sound one.

    Args:
      workdir: of a training run.
      **overrides: fields of `EvalSpec`; None leaves the run's own.

    Raises:
      InputError: if there is no sound checkpoint, or a setting does not fit.
    """
    checkpoints = Checkpoints.open(workdir)
    order = checkpoints.steps()[::-1]
    if (best := checkpoints.best_step()) is not None:
      order = [best] + [s for s in order if s != best]
    failure = None
    try:
      for step in order:
        try:
          return cls._load(checkpoints, step, overrides)
        except DamagedCheckpoint as error:
          failure = error
          _log.warning('%s; trying another one', error)
      raise failure
    finally:
      checkpoints.close()

  @classmethod
  def _load(cls, checkpoints, step, overrides) -> 'Enhancer':
    config = ml_collections.ConfigDict(checkpoints.config(step))
    for name, value in overrides.items():
      if value is not None:
        config.eval[name] = value
    build.check_config(config)
    method = build.build_method(config)
    like = init_params(method.model, jax.random.key(0))
    items, _ = checkpoints.restore(step, ema=like)
    spec = build.eval_spec(config)
    restore = Restorer(method, spec).bind(items['ema'])
    return cls(config, step, spec, items['ema'], restore)

  def __call__(self, image: np.ndarray) -> np.ndarray:
    """Restores one photograph.

    Args:
      image: [H, W, 3] float32 in [0, 1].

    Raises:
      InputError: for any other shape or type.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype.kind != 'f':
      raise InputError(
        'the image must be float RGB [H, W, 3] in [0, 1], not '
        f'{image.dtype} {image.shape}'
      )
    return self.restore(image.astype(np.float32))
