"""What an ablation asks for: a base, what is changed in it, and seeds.

Contract: the only reader of an ablation's configuration; every variant is
checked before the first one trains.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any

import ml_collections

from sel_jax import fields
from sel_jax import settings
from sel_jax.ablation.trials import every_trial
from sel_jax.ablation.trials import Trial
from sel_jax.data.folders import SPLITS
from sel_jax.errors import InputError
from sel_jax.errors import SettingError
from sel_jax.evaluation import METRICS
from sel_jax.fields import key


@fields.spec
class PlanSpec:
  """Keys of an ablation beside its base and its variants."""

  seeds: tuple[int, ...] = key('of the runs', default=(0, 1, 2), ge=0)
  split: str = key('what is measured on', default='test', choices=SPLITS)
  metrics: tuple[str, ...] = key('what is measured', default=('psnr', 'ssim'))
  only: tuple[str, ...] = key(
    'names of the variants that are run; all if empty', default=()
  )

  calls: tuple[int, ...] = key(
    'numbers of calls of the network that each run is measured at, such as '
    '(1, 4, 10); that of base.eval.steps if empty',
    default=(),
    ge=1,
    le=10_000,
  )

  def __post_init__(self):
    for name in self.metrics:
      if name not in METRICS:
        raise fields.refuse(
          self, 'metrics', f'{name!r} is none of {list(METRICS)}'
        )
    if not self.metrics or not self.seeds:
      empty = 'seeds' if self.metrics else 'metrics'
      raise fields.refuse(self, empty, 'give at least one')


@dataclasses.dataclass(frozen=True)
class Plan:
  """An ablation, checked.

  Attributes:
    spec: seeds, split and metrics.
    trials: every variant with every seed.
  """

  spec: PlanSpec
  trials: list[Trial]

  @classmethod
  def parse(cls, config: ml_collections.ConfigDict) -> 'Plan':
    """Reads a configuration such as `configs/ablations.py`.

    Raises:
      InputError: for a key or value that does not fit, or no ablation at all.
    """
    values: dict[str, Any] = dict(config.to_dict())
    if not {'base', 'variants'} <= values.keys():
      raise InputError('--config: no ablation; see configs/ablations.py')
    base = values.pop('base')
    variants = _variants(values.pop('variants'))
    try:
      spec = fields.build(PlanSpec, values)
    except SettingError as error:
      raise error.of('config') from None
    for name in spec.only:
      if name not in variants:
        raise InputError(
          f'config.only: no variant {name!r}; {fields.close(name, variants)}'
        )
    variants = {
      name: changes
      for name, changes in variants.items()
      if not spec.only or name in spec.only
    }
    trials = every_trial(base, variants, spec.seeds, calls=spec.calls)
    return cls(spec, trials)


def every_key() -> dict[str, fields.Described]:
  """Every key by its whole name: 'seeds', 'base.optim.lr'."""
  base = {f'base.{name}': one for name, one in settings.every_key().items()}
  return fields.described(PlanSpec) | base


def _variants(given: Any) -> dict[str, Mapping[str, Any]]:
  """Name -> changes; as a mapping, or as pairs, whose names may hold dots."""
  if isinstance(given, Mapping):
    return dict(given)
  return {name: dict(changes) for name, changes in given}
