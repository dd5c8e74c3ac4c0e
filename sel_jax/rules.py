"""What keys of different sections ask of one another.

Contract: a rule takes the specs of its sections and raises InputError, naming a
key and the remedy; `Settings` calls those whose sections could be read.
"""

from collections.abc import Callable
import typing
from typing import Any

from sel_jax import fields
from sel_jax.diffusion import SDES
from sel_jax.entropy import EntropySpec
from sel_jax.errors import InputError
from sel_jax.eval_section import EvalSpec
from sel_jax.losses.perceptual import LEAST_SIDE
from sel_jax.models.exposure import takes_exposure
from sel_jax.sections import DataSpec
from sel_jax.sections import DiffusionSpec
from sel_jax.sections import LossSpec
from sel_jax.sections import ModelSpec


def _refuse(section: str, spec: Any, name: str, remedy: str) -> typing.NoReturn:
  raise fields.refuse(spec, name, remedy).of(f'config.{section}')


def _check_steps(spec: EvalSpec, diffusion: DiffusionSpec) -> None:
  total = diffusion.spec.steps
  if spec.steps > total:
    _refuse(
      'eval',
      spec,
      'steps',
      f'the diffusion has {total} times (config.sde.steps); give 1 to {total}',
    )


def _check_unroll(loss: LossSpec, diffusion: DiffusionSpec) -> None:
  total = diffusion.spec.steps
  if loss.unroll >= total:
    _refuse(
      'loss',
      loss,
      'unroll',
      f'the diffusion has {total} times (config.sde.steps); give 0 to '
      f'{total - 1}',
    )


def _check_pool(spec: EvalSpec, model: ModelSpec) -> None:
  if spec.pool and not hasattr(model.network, 'pool'):
    _refuse(
      'eval', spec, 'pool', f'{model.name} has no channel attention; give 0'
    )


def _check_sigma(spec: EvalSpec, diffusion: DiffusionSpec) -> None:
  if spec.sigma and not SDES[diffusion.name].by_noise:
    _refuse(
      'eval',
      spec,
      'sigma',
      'only a model of config.sde.name=denoising starts from the noise of a '
      'photograph; give 0',
    )


def _check_exposure(data: DataSpec, model: ModelSpec) -> None:
  if data.augment.reexpose and not takes_exposure(model.network):
    _refuse(
      'data',
      data.augment,
      'reexpose',
      'config.model.exposure is off, so the network would not know; give 0',
    )


def _check_bias(spec: EvalSpec, loss: LossSpec) -> None:
  if spec.unbias and loss.objective != 'optimum':
    _refuse(
      'eval',
      spec,
      'unbias',
      "only config.loss.objective='optimum' has this bias",
    )


def _check_weights(loss: LossSpec) -> None:
  if not loss.entropy and not loss.weights:
    raise InputError(
      'config.loss: every weight is 0; set config.loss.entropy or '
      'config.loss.l1 above 0'
    )


def _check_span(loss: LossSpec) -> None:
  if loss.entropy_until <= loss.entropy_from:
    _refuse(
      'loss',
      loss,
      'entropy_until',
      f'must be above config.loss.entropy_from={loss.entropy_from}',
    )


def _check_crop(data: DataSpec, loss: LossSpec) -> None:
  crop = data.augment.crop
  if 'lpips' in dict(loss.weights) and crop < LEAST_SIDE:
    _refuse(
      'data',
      data.augment,
      'crop',
      f'config.loss.lpips needs at least {LEAST_SIDE} pixels a side',
    )


def _check_bandwidth(loss: LossSpec, density: EntropySpec) -> None:
  last = density.bandwidth
  moved = {
    'bandwidth_from': loss.bandwidth_from,
    'bandwidth_rate': loss.bandwidth_rate,
  }
  for name, value in moved.items():
    if value and isinstance(last, str):
      raise InputError(
        f'config.loss.{name}={value}: moves config.entropy.bandwidth={last!r}, '
        'which is a rule; give a number there, or 0 here'
      )
  if all(moved.values()):
    raise InputError(
      f'config.loss.bandwidth_rate={loss.bandwidth_rate}: learns what '
      f'config.loss.bandwidth_from={loss.bandwidth_from} anneals; give 0 to one'
    )


# Sections that have to be there, and what they ask of one another.
RULES: tuple[tuple[tuple[str, ...], Callable[..., None]], ...] = (
  (('eval', 'sde'), _check_steps),
  (('loss', 'sde'), _check_unroll),
  (('eval', 'model'), _check_pool),
  (('eval', 'sde'), _check_sigma),
  (('data', 'model'), _check_exposure),
  (('eval', 'loss'), _check_bias),
  (('data', 'loss'), _check_crop),
  (('loss', 'entropy'), _check_bandwidth),
  (('loss',), _check_weights),
  (('loss',), _check_span),
)
