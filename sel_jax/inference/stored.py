"""Trained weights, wherever they are stored.

Contract: reads, and writes nothing; parameters come back as NumPy arrays or JAX
arrays of the shapes that their own settings ask for.
"""

from collections.abc import Mapping
import dataclasses
import logging
from pathlib import Path
from typing import Any

import numpy as np

from sel_jax import fields
from sel_jax import imports
from sel_jax import interop
from sel_jax import places
from sel_jax import trees
from sel_jax.errors import DamagedCheckpointError
from sel_jax.errors import InputError
from sel_jax.inference.exposure import Predictor
from sel_jax.interop import portable
from sel_jax.models import param_shapes
from sel_jax.settings import Settings

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Stored:
  """A trained network.

  Attributes:
    settings: those it was trained with.
    step: updates it was trained for; 0 if that is not known.
    params: the averaged parameters.
    exposure: says which exposures are plausible, if the network is told one.
  """

  settings: Settings
  step: int
  params: Any
  exposure: Predictor | None = None


def load(
  path: str | Path | None, *, changes: Mapping[str, Any] | None = None
) -> Stored:
  """Reads weights of any kind.

  Args:
    path: folder of a training run, of which the best checkpoint by validation
      is taken, or else the newest sound one; a file of weights, '.safetensors'
      of `experiments.convert` or '.pth' of the release; None or 'shipped' for
      the model that comes with the package.
    changes: 'section.key' -> value of what a '.pth' file does not tell.

  Raises:
    InputError: if there is no sound checkpoint, or it cannot be read.
  """
  imports.load_allowed()
  path = places.find(path)
  if path.suffix in places.TORCH:
    return _from_torch(path, changes or {})
  return _from_file(path) if path.suffix == places.PORTABLE else _from_run(path)


def _from_torch(path: Path, changes: Mapping[str, Any]) -> Stored:
  """Weights of PyTorch; the network is inferred from its tensors."""
  state = interop.read_state(path)
  inferred = interop.infer_model(state)
  found = {f'model.{name}': value for name, value in inferred.items()}
  settings = Settings().changed({**found, **changes})
  like = param_shapes(settings.model.network)
  try:
    params = interop.to_params(settings.model.name, state, like)
  except InputError as error:
    raise InputError(f'{path}: {error}') from error
  _check_finite(path, params)
  return Stored(settings, 0, params)


def _from_file(path: Path) -> Stored:
  """A file of weights."""
  facts, shapes = portable.header(path)
  try:
    settings = Settings.parse_stored(facts['config'])
    for section in (settings.model, settings.sde, settings.eval):
      fields.require_read(section)
    exposure = _predictor(facts)
    ours = path == places.find(places.SHIPPED)
    # Half a second; a test looks at those that come with the package.
    like = None if ours else param_shapes(settings.model.network)
  except InputError as error:
    raise InputError(f'{path}: {error}') from error
  except Exception as error:  # whatever a stranger's header leads to
    raise InputError(
      f'{path}: its header makes no network ({error}); get it anew'
    ) from error
  if like is not None:
    _check_fits(path, shapes, like)
  params, _ = portable.load(path)
  if not ours:
    _check_finite(path, params)
  return Stored(settings, facts['step'], params, exposure)


def _check_fits(path: Path, shapes: portable.Shapes, like: Any) -> None:
  """Raises InputError unless a file has the weights that a network has."""
  wanted = trees.shapes(like)
  if (name := trees.misfit(shapes, wanted)) is not None:
    raise InputError(
      f'{path}: its weights do not fit its configuration: {name[:80]} is '
      f'{shapes.get(name)} there, and {wanted.get(name)} by its header; get it '
      'anew'
    )


def _check_finite(where: Path, params: Any) -> None:
  """Raises InputError where a weight is NaN or infinite, by its name."""
  for name, leaf in trees.named(params).items():
    if not np.isfinite(leaf).all():
      raise DamagedCheckpointError(
        f'{where}: weights of {name} are not finite; take an earlier '
        'checkpoint, or get it anew'
      )


def _predictor(stored: Mapping[str, Any]) -> Predictor | None:
  """From what is noted beside the weights, if that has one."""
  found = stored.get('exposure')
  return Predictor.from_json(found) if found else None


def _from_run(workdir: Path) -> Stored:
  """A run's best sound checkpoint."""
  from sel_jax.checkpoints import Checkpoints  # Orbax takes a fifth of a second

  checkpoints = Checkpoints.open(workdir)
  order = checkpoints.steps()[::-1]
  if (best := checkpoints.best_step()) is not None:
    order = [best] + [s for s in order if s != best]
  failures = []
  try:
    for step in order:
      try:
        settings = Settings.parse_stored(checkpoints.config(step))
        like = param_shapes(settings.model.network)
        items, meta = checkpoints.restore(step, ema=like)
        _check_finite(checkpoints.directory / str(step), items['ema'])
        return Stored(settings, step, items['ema'], _predictor(meta))
      except InputError as error:
        failures.append(error)
        _log.warning('%s; trying another one', error)
    raise failures[-1]
  finally:
    checkpoints.close()
