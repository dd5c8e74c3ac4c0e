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
from sel_jax.leases import Lease
from sel_jax.settings import Settings
from sel_jax.training import changes
from sel_jax.training.state import TrainState

_log = logging.getLogger(__name__)


def train_item(state: TrainState) -> dict[str, Any]:
  """The part of a state that the item 'train' of a checkpoint holds."""
  item = {
    'step': state.step,
    'params': state.params,
    'opt_state': state.opt_state,
  }
  if state.log_bandwidth is not None:
    item['log_bandwidth'] = state.log_bandwidth
  return item


class Store:
  """The checkpoints of a run, during a `with` block."""

  def __init__(
    self,
    settings: Settings,
    workdir: Path,
    *,
    lease: Lease | None = None,
    read_only: bool = False,
  ):
    """Opens, or makes, their folder.

    Args:
      settings: the run's settings.
      workdir: its folder.
      lease: the folder's, if there is one; nothing is saved once it is lost.
      read_only: make and remove nothing.

    Raises:
      InputError: if the folder cannot be made.
    """
    self._settings, self._lease = settings, lease
    self._checkpoints = Checkpoints(
      workdir, keep=settings.train.keep, read_only=read_only
    )

  def is_empty(self) -> bool:
    """Whether there is no checkpoint."""
    return not self._checkpoints.steps()

  def restore(
    self, state: TrainState, *, allow_change: bool = False
  ) -> TrainState:
    """The state of the newest sound checkpoint; without any, the given one.

    Args:
      state: a whole state of the run's shapes, on the host.
      allow_change: go on even if something else is to be learned.

    Raises:
      InputError: if no checkpoint is sound, they are of another model, or
        their configuration differs in what is learned.
    """
    if self.is_empty():
      return state
    self._compare(allow_change)
    _, items, _ = self._checkpoints.restore_latest(
      train=train_item(state), ema=state.ema
    )
    return TrainState(ema=items['ema'], **items['train'])

  def _compare(self, allow_change: bool) -> None:
    """Says what differs from the stored configuration, or stops."""
    step, stored = self._checkpoints.newest_config()
    self._checkpoints.require_training(step)
    found = changes.find(Settings.parse_stored(stored), self._settings)
    if not allow_change:
      changes.refuse(found, self._checkpoints.directory.parent, step)
    if differing := {**found.learned, **found.wishes}:
      _log.warning(
        'goes on after update %d with %s; moments, average and the count of '
        'updates stay',
        step,
        changes.told(differing),
      )

  def exposure(self) -> Mapping[str, Any] | None:
    """The predictor's numbers in the newest checkpoint, if it has any."""
    return None if self.is_empty() else self._checkpoints.newest_exposure()

  def save(
    self,
    state: TrainState,
    *,
    metrics: Mapping[str, float] | None = None,
    exposure: Mapping[str, Any] | None = None,
  ) -> None:
    """Starts to save a state; the next one, or the block's end, waits for it.

    Args:
      state: whole, on the host, the same in every process.
      metrics: what a validation measured, if there was one.
      exposure: the predictor's numbers, if there is one.

    Raises:
      InputError: if it cannot be written, or another process has taken over.
    """
    if self._lease:
      self._lease.require()
    self._checkpoints.save(
      int(state.step),
      train_item(state),
      state.ema,
      self._settings.to_dict(),
      metrics=metrics,
      exposure=exposure,
    )

  def __enter__(self) -> 'Store':
    return self

  def __exit__(self, kind: type[BaseException] | None, *_) -> None:
    # What failed is told; what was saved before it is finished all the same.
    quietly = contextlib.suppress(InputError) if kind else None
    with quietly or contextlib.nullcontext():
      self._checkpoints.close()
