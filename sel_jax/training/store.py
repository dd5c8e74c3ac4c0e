"""A run's states on disk.

Contract: a state comes back as it was saved, bit by bit, and with it the
configuration that it was trained with.
"""

from collections.abc import Mapping
import contextlib
import logging
from pathlib import Path
from typing import Any

from sel_jax.checkpoints import Checkpoints
from sel_jax.errors import InputError
from sel_jax.settings import Settings
from sel_jax.training.state import TrainState

_log = logging.getLogger(__name__)


def _train_item(state: TrainState) -> dict[str, Any]:
  """The part of a state that the item 'train' of a checkpoint holds."""
  item = {
    'step': state.step,
    'params': state.params,
    'opt_state': state.opt_state,
  }
  if state.log_bandwidth is not None:
    item['log_bandwidth'] = state.log_bandwidth
  return item


def _numbers(config: Mapping[str, Any]) -> dict[str, Any]:
  """The settings without the section that changes no numbers."""
  return {name: part for name, part in config.items() if name != 'parallel'}


class Store:
  """The checkpoints of a run, during a `with` block."""

  def __init__(
    self, settings: Settings, workdir: Path, *, read_only: bool = False
  ):
    """Opens, or makes, their folder.

    Args:
      settings: the run's settings.
      workdir: its folder.
      read_only: make and remove nothing.

    Raises:
      InputError: if the folder cannot be made.
    """
    self._config = settings.to_dict()
    self._checkpoints = Checkpoints(
      workdir, keep=settings.train.keep, read_only=read_only
    )

  def restore(self, state: TrainState) -> TrainState:
    """The state of the newest sound checkpoint; without any, the given one.

    Args:
      state: a whole state of the run's shapes, on the host.

    Raises:
      InputError: if no checkpoint is sound, or they are of another model.
    """
    if not self._checkpoints.steps():
      return state
    step, items, meta = self._checkpoints.restore_latest(
      train=_train_item(state), ema=state.ema
    )
    if not self._same(meta['config']):
      _log.warning('the configuration differs from the one at step %d', step)
    return TrainState(ema=items['ema'], **items['train'])

  def _same(self, stored: Mapping[str, Any]) -> bool:
    """Whether a stored configuration gives the numbers of this one."""
    try:
      found = Settings.parse(stored).to_dict()
    except InputError:  # a key that there is no more
      return False
    return _numbers(found) == _numbers(self._config)

  def save(
    self, state: TrainState, *, metrics: Mapping[str, float] | None = None
  ) -> None:
    """Starts to save a state; the next one, or the block's end, waits for it.

    Args:
      state: whole, on the host, the same in every process.
      metrics: what a validation measured, if there was one.

    Raises:
      InputError: if it cannot be written.
    """
    self._checkpoints.save(
      int(state.step),
      _train_item(state),
      state.ema,
      self._config,
      metrics=metrics,
    )

  def __enter__(self) -> 'Store':
    return self

  def __exit__(self, kind: type[BaseException] | None, *_) -> None:
    # What failed is told; what was saved before it is finished all the same.
    quietly = contextlib.suppress(InputError) if kind else None
    with quietly or contextlib.nullcontext():
      self._checkpoints.close()
