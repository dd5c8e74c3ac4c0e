"""The only file that knows Orbax: save, keep, find and restore.

Contract: a checkpoint holds three items: 'train' (what a run needs to go on),
'ema' (what is evaluated) and 'meta' (resolved configuration, code version and a
checksum of each item). It is complete or absent; a damaged one is passed over,
with a word, for the newest sound one.
"""

from collections.abc import Generator
from collections.abc import Mapping
import contextlib
import logging
from pathlib import Path
from typing import Any
import zlib

from etils import epath
import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import (
  preservation_policy as keep_policy,
)

import sel_jax
from sel_jax import files
from sel_jax import places
from sel_jax import scores
from sel_jax import trees
from sel_jax.errors import DamagedCheckpointError
from sel_jax.errors import InputError

_log = logging.getLogger(__name__)


def _checksum(tree: Any) -> int:
  """CRC-32 over names, shapes and bytes of every leaf."""
  total = 0
  for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
    leaf = np.ascontiguousarray(leaf)
    header = f'{jax.tree_util.keystr(path)}{leaf.shape}{leaf.dtype}'
    total = zlib.crc32(header.encode(), total)
    total = zlib.crc32(leaf.view(np.uint8).reshape(-1).data, total)
  return total


def wait_for_all(name: str, seconds: int) -> None:
  """Waits until every process came to the barrier `name`, a new one each time.

  Raises:
    Exception: the coordination service's, naming who is missing.
  """
  if jax.process_count() > 1:
    ocp.multihost.get_barrier_sync_fn()(key=name, timeout_ms=1000 * seconds)


@contextlib.contextmanager
def _without_remarks() -> Generator[None, None, None]:
  """Orbax says of every folder that is only read that it is only read."""
  logger = logging.getLogger('absl')
  level = logger.level
  logger.setLevel(logging.ERROR)
  try:
    yield
  finally:
    logger.setLevel(level)


class Checkpoints:
  """Checkpoints of one run, in WORKDIR/checkpoints.

  Keeps the last `keep` and the best by the score of its validation.
  """

  def __init__(
    self, workdir: str | Path, *, keep: int = 2, read_only: bool = False
  ):
    """Opens, or makes, the folder.

    Args:
      workdir: the run's folder.
      keep: newest checkpoints to keep.
      read_only: touch nothing; otherwise what a killed writer left is removed.

    Raises:
      InputError: if the folder cannot be made.
    """
    self._read_only = read_only
    self.directory = Path(workdir).absolute() / places.CHECKPOINTS
    policy = keep_policy.AnyPreservationPolicy(
      [
        keep_policy.LatestN(keep),
        keep_policy.BestN(
          get_metric_fn=scores.score_of,
          n=1,
          keep_checkpoints_without_metrics=False,
        ),
      ]
    )
    # Without best_fn Orbax writes no metrics; with it, it reads all there are.
    if not read_only:
      for path in self.directory.glob('*'):
        if path.name.isdigit():
          self._scored(int(path.name), set_aside=True)
      wait_for_all('scores', 300)
    options = ocp.CheckpointManagerOptions(
      best_fn=None if read_only else scores.score_of,
      best_mode='max',
      preservation_policy=None if read_only else policy,
      read_only=read_only,
      lightweight_initialize=read_only,
      create=not read_only,
      save_interval_steps=0 if read_only else 1,
      cleanup_tmp_directories=not read_only,
    )
    quiet = _without_remarks() if read_only else contextlib.nullcontext()
    try:
      with quiet:
        self._manager = ocp.CheckpointManager(
          self.directory,
          options=options,
          item_handlers={
            'train': ocp.StandardCheckpointHandler(),
            'ema': ocp.StandardCheckpointHandler(),
            'meta': ocp.JsonCheckpointHandler(),
          },
        )
    except OSError as error:
      raise InputError(
        f'{self.directory}: cannot write there ({error.strerror}); choose '
        'another --workdir'
      ) from error

  @classmethod
  def open(cls, workdir: str | Path) -> 'Checkpoints':
    """Opens an existing run's checkpoints to read from them.

    Raises:
      InputError: if there is none in `workdir`.
    """
    places.ensure_run(workdir)
    return cls(workdir, read_only=True)

  def steps(self) -> list[int]:
    """Complete checkpoints, oldest first."""
    return sorted(self._manager.all_steps())

  def best_step(self) -> int | None:
    """Step of the best validation, if there was any."""
    every = {step: self._scored(step) for step in self.steps()}
    scored = {step: score for step, score in every.items() if score is not None}
    return max(scored, key=scored.__getitem__, default=None)

  def _scored(self, step: int, *, set_aside: bool = False) -> float | None:
    """The score of a checkpoint; None if it has none, or a damaged one."""
    folder = self.directory / str(step)
    try:
      return scores.read(folder)
    except scores.DamagedScoreError as error:
      _log.warning('%s; passed over', error)
      if set_aside:
        self._move(folder / scores.METRICS, f'{step}-{scores.METRICS}')
      return None

  def save(
    self,
    step: int,
    train: Any,
    ema: Any,
    config: Mapping[str, Any],
    *,
    metrics: Mapping[str, float] | None = None,
    exposure: Mapping[str, Any] | None = None,
  ) -> None:
    """Starts writing a checkpoint; `close` or the next save waits for it.

    Args:
      step: updates done.
      train: parameters, optimizer state, step: any pytree of host arrays,
        the same in every process; None for weights alone.
      ema: the averaged parameters, likewise.
      config: the resolved configuration, JSON-like.
      metrics: validation results with 'score', higher is better, if there are
        any.
      exposure: the numbers of the predictor of exposures, JSON-like, if the
        model has one.

    Raises:
      InputError: if this or the previous checkpoint cannot be written.
    """
    items = {'ema': ema} if train is None else {'train': train, 'ema': ema}
    checksums = {name: _checksum(tree) for name, tree in items.items()}
    metrics = dict(metrics) if metrics else None
    if metrics:
      checksums[scores.METRICS] = scores.checksum(metrics)
    meta = {
      'config': config,
      'version': sel_jax.__version__,
      'checksums': checksums,
      'exposure': exposure,
    }
    saves = {n: ocp.args.StandardSave(tree) for n, tree in items.items()}
    with self._writing():
      self._manager.save(
        step,
        args=ocp.args.Composite(**saves, meta=ocp.args.JsonSave(meta)),
        metrics=metrics,
        force=True,
      )

  def _meta(self, step: int) -> dict[str, Any]:
    args = ocp.args.Composite(meta=ocp.args.JsonRestore())
    return self._manager.restore(step, args=args)['meta']

  def require_training(self, step: int) -> None:
    """Checks that a checkpoint holds more than weights.

    Raises:
      InputError: if it does not, or is damaged.
    """
    _, meta = self.restore(step)
    if 'train' not in meta['checksums']:
      workdir = self.directory.parent
      raise InputError(
        f'{workdir}: holds weights alone, no training to go on with; start '
        f'from them by --init={workdir} and another --workdir'
      )

  def _set_aside(self, step: int) -> None:
    """Moves a damaged checkpoint out of the way of the one to come."""
    if self._read_only:
      return
    self._move(self.directory / str(step), str(step))
    wait_for_all(f'{step} set aside', 300)
    self._manager.reload()

  def _move(self, path: Path, name: str) -> None:
    if jax.process_index() == 0:
      place = files.set_aside(path, self.directory.parent / 'damaged', name)
      _log.warning('%s: moved to %s', path, place)

  def _damaged(self, step: int, error: Exception) -> DamagedCheckpointError:
    reason = (str(error) or repr(error)).splitlines()[0][:200]
    return DamagedCheckpointError(
      f'{self.directory / str(step)}: damaged ({reason}); delete it'
    )

  def _check_shapes(self, step: int, name: str, like: Any) -> None:
    """Raises InputError if the item was written by another model."""
    if name == 'train':
      self.require_training(step)
    # The manager would read the figures of a validation too.
    item = epath.Path(self.directory / str(step) / name)
    tree = ocp.StandardCheckpointHandler().metadata(item).tree
    if tree is None:
      raise ValueError(f"item '{name}' does not say what it holds")
    found, wanted = trees.shapes(tree), trees.shapes(like)
    if (leaf := trees.misfit(found, wanted)) is not None:
      raise InputError(
        f'{self.directory}: the checkpoint is of another model: {leaf} is '
        f'{found.get(leaf)} there and {wanted.get(leaf)} here; use another '
        '--workdir, or the configuration that it was trained with'
      )

  def _item(self, step: int, name: str, like: Any, checksums) -> Any:
    abstract = jax.tree.map(
      lambda x: ocp.utils.to_shape_dtype_struct(np.empty(x.shape, x.dtype)),
      like,
    )
    args = ocp.args.Composite(**{name: ocp.args.StandardRestore(abstract)})
    tree = self._manager.restore(step, args=args)[name]
    tree = jax.tree.map(np.asarray, tree)
    if _checksum(tree) != checksums[name]:
      raise ValueError(f"checksum of item '{name}' does not match")
    return tree

  def restore(self, step: int, **like: Any) -> tuple[dict, dict[str, Any]]:
    """Restores items of one checkpoint and verifies their checksums.

    Args:
      step: one of `steps()`.
      **like: item name -> pytree of the same structure and shapes.

    Returns:
      Items by name, as NumPy; and the 'meta' item.

    Raises:
      InputError: if it is damaged, or of another model.
    """
    try:
      meta = self._meta(step)
      for name, tree in like.items():
        self._check_shapes(step, name, tree)
      items = {
        name: self._item(step, name, tree, meta['checksums'])
        for name, tree in like.items()
      }
    except InputError:
      raise
    except Exception as error:  # whatever Orbax or TensorStore met in the files
      raise self._damaged(step, error) from error
    return items, meta

  def restore_latest(self, **like: Any) -> tuple[int, dict, dict[str, Any]]:
    """The newest sound checkpoint; see `restore`.

    What is newer and damaged is moved to WORKDIR/damaged, unless this only
    reads: the run comes by its update again.

    Returns:
      Its step, items and meta.

    Raises:
      InputError: if no checkpoint is sound.
    """
    failed: dict[int, InputError] = {}
    for step in reversed(self.steps()):
      try:
        found = self.restore(step, **like)
      except InputError as error:
        failed[step] = error
        continue
      for other, error in failed.items():
        _log.warning('%s; the one of update %d is taken', error, step)
        self._set_aside(other)
      return step, *found
    for error in failed.values():
      if not isinstance(error, DamagedCheckpointError):
        raise error  # of another model
    raise self._none_sound()

  def _none_sound(self) -> InputError:
    return InputError(
      f'{self.directory}: no sound checkpoint among {self.steps()}; delete the '
      'folder to start again'
    )

  def _newest_meta(self) -> tuple[int, dict[str, Any]]:
    for step in reversed(self.steps()):
      with contextlib.suppress(DamagedCheckpointError):
        return step, self.restore(step)[1]
    raise self._none_sound()

  def newest_exposure(self) -> dict[str, Any] | None:
    """The predictor of the newest checkpoint that can be read, if it has one.

    Raises:
      InputError: if there is no such checkpoint.
    """
    return self._newest_meta()[1].get('exposure')

  def newest_config(self) -> tuple[int, dict[str, Any]]:
    """Updates and configuration of the newest checkpoint that can be read.

    Raises:
      InputError: if there is none.
    """
    step, meta = self._newest_meta()
    return step, meta['config']

  def config(self, step: int) -> dict[str, Any]:
    """The configuration that a checkpoint was trained with.

    Raises:
      InputError: if it cannot be read.
    """
    return self.restore(step)[1]['config']

  def close(self) -> None:
    """Waits for the writing in progress.

    Raises:
      InputError: if it failed.
    """
    with self._writing():
      self._manager.wait_until_finished()
      self._manager.close()

  @contextlib.contextmanager
  def _writing(self) -> Generator[None, None, None]:
    """Whatever Orbax or TensorStore meet when they write, in one sentence."""
    try:
      yield
    except Exception as error:
      text = ' '.join(str(error).split())
      full = 'No space left' in text or 'Disk quota' in text
      reason = 'the disk is full' if full else text[:200]
      many = 'Too many open files' in text
      remedy = 'allow more by ulimit -n' if many else 'make room'
      raise InputError(
        f'{self.directory}: a checkpoint could not be written ({reason}); '
        f'earlier ones are whole: {remedy} and run again'
      ) from error
