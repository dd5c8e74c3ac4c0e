"""The training run: restore, step, look, save.

Contract: killed at any moment and started again with the same arguments, a run
ends with the parameters it would have ended with. Nothing is saved after a
loss that is not finite.
"""

import dataclasses
import functools
import json
import logging
import math
from pathlib import Path
import signal
import sys
import threading
from typing import Any

import jax
import ml_collections
import numpy as np
from tqdm import tqdm

from sel_jax import build
from sel_jax import models
from sel_jax.checkpoints import Checkpoints
from sel_jax.data import images
from sel_jax.data.pipeline import Photo
from sel_jax.data.pipeline import Photos
from sel_jax.data.pipeline import TrainingData
from sel_jax.evaluation import evaluator
from sel_jax.evaluation import report
from sel_jax.inference import Restorer
from sel_jax.training import optimizers
from sel_jax.training import parallel
from sel_jax.training.state import TrainState
from sel_jax.training.step import train_step
from sel_jax.training.writers import Writers

_log = logging.getLogger(__name__)

# Side-by-side picture of the last validation, in the run's folder.
PICTURE = 'enhanced.png'


class NonFiniteLossError(ArithmeticError):
  """The loss became NaN or infinite; names the step and the term."""


class StopRequest:
  """SIGTERM or Ctrl-C during the run: finish the step, save, leave.

  A second Ctrl-C leaves at once.
  """

  def __init__(self):
    self.asked = False
    self._previous = {}

  def _ask(self, number, frame):
    del frame
    if self.asked and number == signal.SIGINT:
      raise KeyboardInterrupt
    self.asked = True

  def __enter__(self):
    if threading.current_thread() is threading.main_thread():
      for number in (signal.SIGTERM, signal.SIGINT):
        self._previous[number] = signal.signal(number, self._ask)
    return self

  def __exit__(self, *_):
    for number, handler in self._previous.items():
      signal.signal(number, handler)


def _train_item(state: TrainState) -> dict[str, Any]:
  """The part of the state that the 'train' item of a checkpoint holds."""
  return {
    'step': state.step,
    'params': state.params,
    'opt_state': state.opt_state,
  }


def check_finite(step: int, values: dict[str, float]) -> None:
  """Raises NonFiniteLossError, naming the step and the terms, if need be."""
  bad = [name for name, value in values.items() if not math.isfinite(value)]
  if bad:
    raise NonFiniteLossError(
      f'step {step}: {", ".join(bad)} not finite; lower config.optim.lr or '
      'set config.optim.clip_norm, and run again from the last checkpoint'
    )


@dataclasses.dataclass
class _Run:
  """The pieces of a run, made once."""

  config: ml_collections.ConfigDict
  workdir: Path
  method: build.Method
  checkpoints: Checkpoints
  photos: list[Photo]
  restorer: Restorer
  stored_config: dict[str, Any]
  recent: list[dict[str, jax.Array]] = dataclasses.field(default_factory=list)

  def learning_rate(self, step: int) -> float:
    steps = build.train_spec(self.config).steps
    optim = build.optim_spec(self.config)
    return float(optimizers.learning_rate(optim, steps)(step))

  def save(self, state: TrainState, metrics=None) -> None:
    self.checkpoints.save(
      int(state.step),
      _train_item(state),
      state.ema,
      self.stored_config,
      metrics,
    )

  def restore(self, state: TrainState) -> TrainState:
    """The newest sound checkpoint's state, or the given one."""
    if not self.checkpoints.steps():
      return state
    step, items, meta = self.checkpoints.restore_latest(
      train=_train_item(state), ema=state.ema
    )
    if meta['config'] != self.stored_config:
      _log.warning('the configuration differs from the one at step %d', step)
    return TrainState(ema=items['ema'], **items['train'])

  def validate(self, state: TrainState, writers: Writers) -> dict[str, float]:
    """PSNR and SSIM of the averaged parameters; leaves a picture."""
    step, spec = int(state.step), build.eval_spec(self.config)
    strips = []

    def keep(name, low, output, truth):
      del name
      strips.append(np.concatenate([low, output, truth], axis=1))

    rows = evaluator.evaluate(
      self.restorer.bind(state.ema),
      self.photos,
      limit=spec.images,
      on_image=keep,
    )
    summary = report.summarize(rows)
    metrics = {k: summary[k]['mean'] for k in ('psnr', 'ssim', 'psnr_gt_mean')}
    writers.scalars(step, {f'val/{k}': v for k, v in metrics.items()})
    writers.image(step, 'val/low_ours_truth', strips[0])
    images.write_image(self.workdir / PICTURE, strips[0])
    return metrics


def _make_run(config, workdir, method) -> _Run:
  # Decoded at once, so that a broken file is named before the first step and
  # before anything is written.
  photos = list(Photos(build.data_spec(config), 'val'))
  workdir = images.ensure_directory(workdir)
  return _Run(
    config=config,
    workdir=workdir,
    method=method,
    checkpoints=Checkpoints(workdir, keep=build.train_spec(config).keep),
    photos=photos,
    restorer=Restorer(method, build.eval_spec(config)),
    stored_config=json.loads(config.to_json_best_effort()),
  )


def train(config: ml_collections.ConfigDict, workdir: str | Path) -> TrainState:
  """Trains, or goes on training, the model that `config` describes.

  Args:
    config: see `configs/default.py`.
    workdir: folder of checkpoints, logs and pictures; made if missing.

  Returns:
    The state at the end, or where a signal stopped the run.

  Raises:
    InputError: for a configuration, data set or folder that does not fit.
    NonFiniteLossError: if the loss is not finite.
  """
  build.check_config(config)
  method = build.build_method(config)
  mesh = parallel.make_mesh()
  parallel.check_batch(build.batch_size(config), mesh)
  data = TrainingData(
    Photos(build.data_spec(config), 'train'),
    seed=config.seed,
    batch_size=build.batch_size(config),
    augmentation=build.augmentation(config),
  )
  run = _make_run(config, workdir, method)
  try:
    return _train(run, data, mesh)
  finally:
    run.checkpoints.close()


def _train(run: _Run, data: TrainingData, mesh) -> TrainState:
  """Builds the step and the state, then walks from its step to the last."""
  config, method = run.config, run.method
  spec, optim = build.train_spec(config), build.optim_spec(config)
  init_key, run_key = jax.random.split(jax.random.key(config.seed))
  params = models.init_params(method.model, init_key)
  tx = optimizers.build_optimizer(optim, spec.steps)
  state = jax.device_get(TrainState.create(params, tx))
  state = parallel.replicate(run.restore(state), mesh)
  first = int(state.step)
  _log.info(
    '%s of %.2f M parameters on %d pairs, %d device(s), steps %d to %d',
    config.model.name,
    models.count_params(params) / 1e6,
    len(data),
    mesh.devices.size,
    first,
    spec.steps,
  )
  step = parallel.parallel_step(
    functools.partial(train_step, method=method, tx=tx, decay=optim.ema_decay),
    mesh,
  )
  bar = tqdm(
    total=spec.steps,
    initial=first,
    unit='step',
    dynamic_ncols=True,
    disable=jax.process_index() > 0,
    mininterval=1 if sys.stderr.isatty() else 30,
  )
  with Writers(run.workdir, first) as writers, StopRequest() as stop, bar:
    for number, batch in data.batches(first, spec.steps):
      batch = parallel.shard_batch(batch, mesh)
      state, scalars = step(state, batch, run_key)
      asked = stop.asked
      _after_step(run, state, scalars, number + 1, asked, writers, bar)
      if asked:
        break
  return state


def _after_step(run, state, scalars, done, asked, writers, bar) -> None:
  """Checks, logs, validates and saves, as far as step `done` is due."""
  spec = build.train_spec(run.config)
  last = done == spec.steps
  validate = last or (done % spec.eval_every == 0 and not asked)
  save = asked or validate or done % spec.save_every == 0
  log = asked or last or done % spec.log_every == 0
  run.recent.append(scalars)
  # The device is one step ahead of what the host has looked at.
  if len(run.recent) > 1:
    check_finite(done - 1, jax.device_get(run.recent[-2]))
  if log or save:
    check_finite(done, jax.device_get(scalars))
  if log:
    recent = jax.device_get(run.recent)
    means = {k: np.mean([r[k] for r in recent]) for k in recent[0]}
    writers.scalars(done, {**means, 'lr': run.learning_rate(done - 1)})
    bar.set_postfix(loss=f'{means["loss"]:.4f}', refresh=False)
    run.recent.clear()
  bar.update()
  metrics = run.validate(state, writers) if validate else None
  if metrics:
    bar.write(f'step {done}: validation PSNR {metrics["psnr"]:.2f} dB')
  if save:
    run.save(state, metrics)
  if asked and not last:
    bar.write(f'stopped and saved at step {done}; run again to go on')
