"""What a run starts from: parameters that are drawn, or those of another run.

Contract: every part of the network is taken over, or named by a pattern and
drawn; stages grow where that is asked for; what does not fit is an error that
names it.
"""

from collections.abc import Collection
from collections.abc import Mapping
from collections.abc import Sequence
import fnmatch
import logging
from pathlib import Path
from typing import Any

from flax import linen as nn
from flax import traverse_util
import jax
import numpy as np
import optax

from sel_jax import build
from sel_jax import models
from sel_jax.arrays import RandomKey
from sel_jax.checkpoints import Checkpoints
from sel_jax.errors import InputError
from sel_jax.inference import stored
from sel_jax.models.exposure import adapted
from sel_jax.settings import Settings
from sel_jax.training.state import TrainState
from sel_jax.training.store import train_item

_log = logging.getLogger(__name__)

# In the names of leaves that are stacks of a stage's blocks.
_STACK = '/blocks/'
# Parts that are named before '... and N more'.
_SHOWN = 3


def init_params(key: RandomKey, model: nn.Module, settings: Settings) -> Any:
  """The parameters that a run starts from.

  Args:
    key: draws those that are not taken over.
    model: the network.
    settings: the run's settings, of which `init` says where from.

  Raises:
    InputError: if there are no such weights, or they do not fit the network.
  """
  drawn = models.init_params(key, model)
  if not settings.init:
    return drawn
  into = _flat(drawn)
  taken, step = _taken(settings, into)
  new = into.keys() - taken.keys()
  grown = {n for n in taken if np.shape(taken[n]) != np.shape(into[n])}
  _log.info(
    'starts from %s%s%s%s',
    settings.init,
    f' after {step:,} updates' if step else '',
    f'; drawn anew: {", ".join(_parts(new))}' if new else '',
    f'; with more blocks: {", ".join(_parts(grown))}' if grown else '',
  )
  for name in grown:
    added = into[name][len(taken[name]) :]
    taken[name] = np.concatenate([taken[name], added])
  return traverse_util.unflatten_dict({**into, **taken}, sep='/')


def _taken(
  settings: Settings, into: Mapping[str, Any]
) -> tuple[dict[str, Any], int]:
  """The leaves that are taken over, and the updates that they had.

  Where a stage grows, its leaves are of the blocks that there are.
  """
  found = stored.load(settings.init)
  like = traverse_util.unflatten_dict(dict(into), sep='/')
  theirs = _flat(adapted(found.params, like))
  skipped = _matching(settings.init_skip, into.keys() | theirs.keys())
  _compare(settings, into, theirs, skipped)
  names = (into.keys() & theirs.keys()) - skipped
  return {n: theirs[n] for n in into if n in names}, found.step


def check(settings: Settings, shapes: TrainState) -> None:
  """Reads what a run starts from, and takes nothing over.

  Args:
    settings: the run's settings.
    shapes: its state's shapes.

  Raises:
    InputError: as `init_params` and `init_opt_state`.
  """
  if settings.init:
    _taken(settings, _flat(shapes.params))
  if settings.init_optimizer:
    init_opt_state(settings, shapes.opt_state)


def _flat(params: Any) -> dict[str, Any]:
  """'part/of/it' -> leaf."""
  return traverse_util.flatten_dict(params, sep='/')


def _parts(names: Collection[str]) -> list[str]:
  """Parts of the network that leaves belong to."""
  return sorted({name.partition('/')[0] for name in names})


def _matching(patterns: Sequence[str], names: set[str]) -> set[str]:
  """Names that a pattern matches, whole or as their beginning."""
  found: set[str] = set()
  for pattern in patterns:
    mine = {
      name
      for name in names
      if fnmatch.fnmatchcase(name, pattern)
      or fnmatch.fnmatchcase(name, f'{pattern}/*')
    }
    if not mine:
      raise InputError(
        f'config.init_skip: {pattern!r} matches no part; there are '
        f'{", ".join(_parts(names))}'
      )
    found |= mine
  return found


def _compare(
  settings: Settings,
  into: Mapping[str, Any],
  taken: Mapping[str, Any],
  skipped: set[str],
) -> None:
  """Raises InputError unless both have the same parts but for those skipped.

  Stages may have more blocks in `into` where the settings say so.
  """

  def shape(tree, name):
    return np.shape(tree[name]) if name in tree else 'missing'

  def fits(name):
    here, there = shape(into, name), shape(taken, name)
    if not (settings.init_grow and _STACK in name and name in into):
      return here == there
    return name not in taken or (there[1:] == here[1:] and there[0] <= here[0])

  wrong = [
    f'{name} is {shape(taken, name)} there and {shape(into, name)} here'
    for name in sorted((into.keys() | taken.keys()) - skipped)
    if not fits(name)
  ]
  if wrong:
    more = f' and {len(wrong) - _SHOWN} more' if len(wrong) > _SHOWN else ''
    part = wrong[0].partition(' ')[0].partition('/')[0]
    raise InputError(
      f'config.init={settings.init}: does not fit the network of config.model: '
      f'{"; ".join(wrong[:_SHOWN])}{more}; set config.model as it was trained, '
      f"draw parts anew by config.init_skip, such as '{part}', or add blocks "
      'by config.init_grow=True'
    )


def init_opt_state(settings: Settings, like: Any) -> Any:
  """The optimizer's state of the run that `init` names, its schedule anew.

  Args:
    settings: the run's settings.
    like: a state of the optimizer's shapes.

  Raises:
    InputError: if that is no run, or it had another optimizer or network.
  """
  workdir = Path(settings.init)
  if not workdir.is_dir():
    raise InputError(
      f'config.init_optimizer=True: config.init={settings.init} is not the '
      'folder of a run, so it holds no optimizer; set it to False'
    )
  found = _stored_opt_state(workdir)
  if _shapes(found) != _shapes(like):
    raise InputError(
      f'config.init_optimizer=True: config.init={settings.init} had another '
      'optimizer or network; set it to False, or config.optim and config.model '
      'as there'
    )
  return jax.tree.map(_restarted, found, is_leaf=_is_schedule)


def _stored_opt_state(workdir: Path) -> Any:
  """The optimizer's state of a run's newest sound checkpoint."""
  checkpoints = Checkpoints.open(workdir)
  try:
    config = Settings.parse_stored(checkpoints.newest_config()[1])
    like = TrainState.shapes(
      config.model.network,
      build.build_optimizer(config),
      bandwidth=build.learned_bandwidth(config),
    )
    _, items, _ = checkpoints.restore_latest(train=train_item(like))
    return items['train']['opt_state']
  finally:
    checkpoints.close()


def _shapes(tree: Any) -> Any:
  return jax.tree.structure(tree), [np.shape(x) for x in jax.tree.leaves(tree)]


def _is_schedule(node: Any) -> bool:
  return isinstance(node, optax.ScaleByScheduleState)


def _restarted(node: Any) -> Any:
  """The count of a schedule at zero; anything else as it is."""
  if not _is_schedule(node):
    return node
  return node._replace(count=np.zeros_like(node.count))
