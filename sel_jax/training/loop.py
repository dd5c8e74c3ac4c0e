"""The training run: restore, step, look, save.

Contract: killed at any moment and started again with the same arguments, a run
ends with the parameters it would have ended with. Nothing is saved after a
loss that is not finite. Every process walks the same steps; the first writes.
"""

from collections.abc import Callable
import contextlib
import dataclasses
import functools
import json
import logging
import math
from pathlib import Path
import sys
from typing import Any

import jax
import ml_collections
import numpy as np
from tqdm import tqdm

from sel_jax import build
from sel_jax import files
from sel_jax import models
from sel_jax.checkpoints import Checkpoints
from sel_jax.data import cache
from sel_jax.data.pairs import open_pairs
from sel_jax.data.pairs import Pair
from sel_jax.data.pipeline import TrainingData
from sel_jax.errors import InputError
from sel_jax.evaluation import evaluator
from sel_jax.images import codec
from sel_jax.inference import local_mesh
from sel_jax.inference import Restorer
from sel_jax.settings import TrainSpec
from sel_jax.training import cluster
from sel_jax.training import optimizers
from sel_jax.training import parallel
from sel_jax.training.parallel import Parallel
from sel_jax.training.parallel import STOP
from sel_jax.training.signals import StopRequest
from sel_jax.training.state import TrainState
from sel_jax.training.step import train_step
from sel_jax.training.step import Update
from sel_jax.training.writers import Writers

_log = logging.getLogger(__name__)

# Side-by-side picture of the last validation, in the run's folder.
PICTURE = 'enhanced.png'


class NonFiniteLossError(ArithmeticError):
  """The loss became NaN or infinite; names the step and the term."""


def _train_item(state: TrainState) -> dict[str, Any]:
  """The part of the state that the 'train' item of a checkpoint holds."""
  return {
    'step': state.step,
    'params': state.params,
    'opt_state': state.opt_state,
  }


def not_finite(values: dict[str, float]) -> list[str]:
  """Names of the values that are NaN or infinite."""
  return [name for name, value in values.items() if not math.isfinite(value)]


@dataclasses.dataclass
class _Run:
  """The pieces of a run, made once, and what it remembers between steps."""

  config: ml_collections.ConfigDict
  workdir: Path
  method: build.Method
  parallel: Parallel
  checkpoints: Checkpoints
  pairs: list[Pair]
  restorer: Restorer
  stored_config: dict[str, Any]
  watchdog: cluster.Watchdog
  recent: list[dict[str, jax.Array]] = dataclasses.field(default_factory=list)
  unchecked: dict[str, jax.Array] | None = None
  skipped: int = 0
  stop: StopRequest | None = None
  stopping: bool = False
  tracing: bool = False
  on_log: Callable[[int, dict[str, float]], None] | None = None

  @property
  def spec(self) -> TrainSpec:
    """Section `train`."""
    return build.train_spec(self.config)

  def learning_rate(self, step: int) -> float:
    optim = build.optim_spec(self.config)
    return float(optimizers.learning_rate(optim, self.spec.steps)(step))

  def save(self, state: TrainState, metrics=None) -> None:
    whole = self.parallel.fetch(state)
    self.checkpoints.save(
      int(whole.step),
      _train_item(whole),
      whole.ema,
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
    stored, mine = dict(meta['config']), dict(self.stored_config)
    for config in (stored, mine):
      config.pop('parallel', None)  # changes no numbers
    if stored != mine:
      _log.warning('the configuration differs from the one at step %d', step)
    return TrainState(ema=items['ema'], **items['train'])

  def check(self, step: int, scalars: dict[str, jax.Array]) -> None:
    """Looks at a step's scalars, once: finite? does a process want to stop?

    Raises:
      NonFiniteLossError: after more bad steps in a row than are allowed.
    """
    values = {k: float(v) for k, v in jax.device_get(scalars).items()}
    self.stopping |= values.pop(STOP) > 0
    bad = not_finite(values)
    self.skipped = self.skipped + 1 if bad else 0
    if self.skipped > self.spec.skip_nonfinite:
      raise NonFiniteLossError(
        f'step {step}: {", ".join(bad)} not finite; lower config.optim.lr or '
        'set config.optim.clip_norm, and run again from the last checkpoint'
      )
    if bad:
      _log.warning('step %d skipped: %s not finite', step, ', '.join(bad))

  def validate(
    self, step: int, state: TrainState, writers: Writers
  ) -> dict[str, float]:
    """PSNR and SSIM of the averaged parameters; leaves a picture."""
    limit = build.eval_spec(self.config).images
    names = ('psnr', 'ssim', 'psnr_gt_mean')
    strips = []

    def keep(name, low, restored, clean):
      del name
      strips.append(np.concatenate([low, restored, clean], axis=1))

    rows = evaluator.evaluate(
      self.restorer.bind_many(self.parallel.fetch(state.ema, 'ema')),
      self.pairs,
      limit=limit,
      at_once=self.restorer.at_once,
      share=self.parallel.process,
      on_image=keep,
    )
    count = len(evaluator.chosen(len(self.pairs), limit))
    _, processes = self.parallel.process
    counts = [len(range(p, count, processes)) for p in range(processes)]
    values = np.array([[r[n] for n in names] for r in rows]).reshape(-1, 3)
    values = parallel.gather_rows(values, counts)
    values[~np.isfinite(values)] = np.nan
    metrics = dict(zip(names, np.nanmean(values, 0).tolist(), strict=True))
    writers.scalars(step, {f'val/{k}': v for k, v in metrics.items()})
    if cluster.is_first():
      writers.image(step, 'val/low_ours_truth', strips[0])
      codec.write_image(self.workdir / PICTURE, strips[0])
    return metrics


def _make_run(config, workdir, method, parallel_) -> _Run:
  # Decoded at once, so that a broken file is named before the first step and
  # before anything is written.
  pairs = list(open_pairs(build.data_spec(config), 'val'))
  workdir = files.ensure_directory(workdir)
  restorer = Restorer(method, build.eval_spec(config), local_mesh())
  return _Run(
    config=config,
    workdir=workdir,
    method=method,
    parallel=parallel_,
    checkpoints=Checkpoints(workdir, keep=build.train_spec(config).keep),
    pairs=pairs,
    restorer=restorer,
    stored_config=json.loads(config.to_json_best_effort()),
    watchdog=cluster.Watchdog(parallel_.spec),
  )


def _make_data(config, process: tuple[int, int]) -> TrainingData:
  loader = build.loader_spec(config)
  pairs = cache.keep(
    open_pairs(build.data_spec(config), 'train'),
    loader.cache,
    directory=loader.cache_dir,
    skip_broken=loader.skip_broken,
  )
  return TrainingData(
    pairs,
    seed=config.seed,
    batch_size=build.batch_size(config),
    augmentation=build.augmentation(config),
    process=process,
    loader=loader,
  )


def train(
  config: ml_collections.ConfigDict,
  workdir: str | Path,
  *,
  profile: tuple[int, int] | None = None,
  on_log: Callable[[int, dict[str, float]], None] | None = None,
) -> TrainState:
  """Trains, or goes on training, the model that `config` describes.

  Args:
    config: see `configs/default.py`.
    workdir: folder of checkpoints, logs and pictures, one for all processes;
      made if missing.
    profile: first and last step of a `jax.profiler` trace, written to
      WORKDIR/profile.
    on_log: called with the step and its scalars at each line of the log.

  Returns:
    The state on the host, at the end or where a signal stopped the run.

  Raises:
    InputError: for a configuration, data set or folder that does not fit, or
      a checkpoint that cannot be written.
    NonFiniteLossError: if the loss is not finite.
  """
  build.check_config(config)
  method = build.build_method(config)
  spread = Parallel(
    build.parallel_spec(config), batch_size=build.batch_size(config)
  )
  with StopRequest() as stop:
    data = _make_data(config, spread.process)
    run = _make_run(config, workdir, method, spread)
    run.stop, run.on_log = stop, on_log
    try:
      state = _train(run, data, profile)
    except BaseException:
      # What failed is told; what was saved before it is finished all the same.
      with contextlib.suppress(InputError):
        run.checkpoints.close()
      raise
    run.checkpoints.close()
  return state


def _prepare(run: _Run):
  """The state to go on from, on the devices, and the compiled step."""
  config, optim = run.config, build.optim_spec(run.config)
  params = models.init_params(
    run.method.model, jax.random.split(jax.random.key(config.seed))[0]
  )
  tx = optimizers.build_optimizer(optim, run.spec.steps)
  whole = run.restore(jax.device_get(TrainState.create(params, tx)))
  state = run.parallel.place(whole)
  update = Update(
    tx,
    clip_norm=optim.clip_norm,
    decay=optim.ema_decay,
    accumulate=run.parallel.spec.accumulate,
    sharded=run.parallel.sharded,
    skip_nonfinite=run.spec.skip_nonfinite > 0,
  )
  step = functools.partial(train_step, method=run.method, update=update)
  return int(whole.step), state, run.parallel.map_step(step)


def _train(run: _Run, data: TrainingData, profile) -> TrainState:
  """Builds the step and the state, then walks from its step to the last."""
  steps = run.spec.steps
  first, state, step = _prepare(run)
  key = jax.random.split(jax.random.key(run.config.seed))[1]
  _log.info(
    '%s of %s parameters on %d pairs, %d device(s), steps %d to %d',
    run.config.model.name,
    f'{run.parallel.count_params():,}',
    len(data),
    run.parallel.count,
    first,
    steps,
  )
  bar = tqdm(
    total=steps,
    initial=first,
    unit='step',
    dynamic_ncols=True,
    disable=not cluster.is_first(),
    mininterval=1 if sys.stderr.isatty() else 30,
  )
  open_writers = Writers(run.workdir, first, active=cluster.is_first())
  with open_writers as writers, run.watchdog, bar:
    for number, batch in data.batches(first, steps):
      # The first step compiles.
      run.watchdog.feed(f'step {number + 1}', patient=number == first)
      _trace(run, profile, number)
      batch = run.parallel.put_batch(batch, stop=run.stop.asked)
      state, scalars = step(state, batch, key)
      if run.parallel.process[1] == 1:
        run.stopping |= run.stop.asked
      _after_step(run, state, scalars, number + 1, writers, bar)
      if run.stopping:
        break
    _trace(run, profile, None)
  return run.parallel.fetch(state)


def _trace(run: _Run, profile: tuple[int, int] | None, step: int | None):
  """Starts the trace before its first step; ends it after its last, or now."""
  if profile and step == profile[0]:
    jax.profiler.start_trace(str(run.workdir / 'profile'))
    run.tracing = True
  elif run.tracing and (step is None or step == profile[1] + 1):
    jax.profiler.stop_trace()
    run.tracing = False


def _after_step(run: _Run, state, scalars, done: int, writers, bar) -> None:
  """Checks, logs, validates and saves, as far as step `done` is due."""
  spec, last = run.spec, done == run.spec.steps
  # The device is one step ahead of what the host has looked at, so processes
  # agree to stop one step after the wish.
  if run.unchecked is not None:
    run.check(done - 1, run.unchecked)
  run.unchecked = scalars
  run.recent.append(scalars)
  every = (spec.log_every, spec.eval_every, spec.save_every)
  if last or run.stopping or any(done % n == 0 for n in every):
    cluster.barrier(f'step {done}', run.parallel.spec)
    run.check(done, scalars)
    run.unchecked = None
  leave = last or run.stopping
  validate = last or (done % spec.eval_every == 0 and not leave)
  save = leave or validate or done % spec.save_every == 0
  log = leave or done % spec.log_every == 0
  if log:
    recent = jax.device_get(run.recent)
    means = _means(recent)
    means['lr'] = run.learning_rate(done - 1)
    writers.scalars(done, means)
    if run.on_log:
      run.on_log(done, means)
    bar.set_postfix(loss=f'{means["loss"]:.4f}', refresh=False)
    run.recent.clear()
  bar.update()
  if save:
    run.watchdog.feed(f'saving at step {done}', patient=True)
  metrics = run.validate(done, state, writers) if validate else None
  if metrics:
    bar.write(f'step {done}: validation PSNR {metrics["psnr"]:.2f} dB')
  if save:
    run.save(state, metrics)
  if run.stopping and not last:
    bar.write(f'stopped and saved at step {done}; run again to go on')


def _means(rows: list[dict[str, np.ndarray]]) -> dict[str, float]:
  """Means over the steps that were not skipped, and how many were."""
  rows = [{k: float(v) for k, v in row.items() if k != STOP} for row in rows]
  sound = [row for row in rows if not not_finite(row)]
  means = {k: np.mean([r[k] for r in sound or rows]) for k in rows[0]}
  if len(sound) < len(rows):
    means['skipped'] = len(rows) - len(sound)
  return means
