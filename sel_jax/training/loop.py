"""The training run: restore, step, look, save.

Contract: killed at any moment and started again with the same arguments, a run
ends with the parameters it would have ended with. Nothing is saved after a
loss that is not finite. Every process walks the same updates; the first writes.
"""

from collections.abc import Iterator
import contextlib
import dataclasses
import functools
import logging
from pathlib import Path

from flax import linen as nn
import jax
import numpy as np

from sel_jax import build
from sel_jax import files
from sel_jax import leases
from sel_jax import models
from sel_jax.data.pipeline import Batch
from sel_jax.data.pipeline import TrainingData
from sel_jax.entropy import EntropySpec
from sel_jax.inference.exposure import Predictor
from sel_jax.models.exposure import takes_exposure
from sel_jax.scores import SCORE
from sel_jax.settings import Settings
from sel_jax.training import exposures
from sel_jax.training import initial
from sel_jax.training import writers
from sel_jax.training.cluster import Watchdog
from sel_jax.training.due import Due
from sel_jax.training.guard import Guard
from sel_jax.training.parallel import Layout
from sel_jax.training.parallel import Parallel
from sel_jax.training.parallel import Step
from sel_jax.training.progress import OnLog
from sel_jax.training.progress import Progress
from sel_jax.training.signals import StopRequest
from sel_jax.training.state import TrainState
from sel_jax.training.step import train_step
from sel_jax.training.step import Update
from sel_jax.training.store import Store
from sel_jax.training.trace import Trace
from sel_jax.training.validation import Validation

_log = logging.getLogger(__name__)


def train(
  settings: Settings,
  workdir: str | Path,
  *,
  allow_change: bool = False,
  profile: tuple[int, int] | None = None,
  on_log: OnLog | None = None,
) -> TrainState:
  """Trains, or goes on training, the model that the settings describe.

  Args:
    settings: the run's settings.
    workdir: folder of checkpoints, logs and pictures, one for all processes;
      made if missing.
    allow_change: go on from a checkpoint of the folder even where the settings
      differ from its own in what is learned, see `changes`.
    profile: first and last update to trace, into WORKDIR/profile.
    on_log: called at each line of the log, see `OnLog`.

  Returns:
    The state on the host, at the end or where a signal stopped the run.

  Raises:
    InputError: for a data set, folder, weights to start from or changed
      settings that do not fit, or a checkpoint that cannot be written.
    NonFiniteLossError: if the loss is not finite.
    StuckProcessError: if another process does not arrive.
  """
  writers.check(settings.train.loggers)
  devices = Parallel.of(settings)
  with contextlib.ExitStack() as stack:
    stop = stack.enter_context(StopRequest())
    # What is wrong with the data is named before anything is written.
    data = build.training_data(settings, process=devices.process)
    validate = Validation(settings, share=devices.process)
    workdir = files.ensure_directory(workdir)
    store = _opened(stack, settings, workdir, devices, stop)
    first, layout, state, step = _begin(settings, devices, store, allow_change)
    _announce(settings, workdir, layout, len(data), first)
    predictor = _predictor(settings, store, data)
    progress = stack.enter_context(Progress(settings, workdir, first, on_log))
    trace = stack.enter_context(Trace(workdir / 'profile', profile))
    guard, key = Guard(settings, stop), _keys(settings)[1]
    batches = _batches(settings, data, first)
    with Watchdog(settings.parallel) as watchdog:
      for number, batch in watchdog.over(batches):
        trace.at(number)
        batch = devices.put_batch(batch, stop=stop.asked)
        state, scalars = step(state, batch, key)
        done = number + 1
        now = guard.look(done, scalars)
        progress.update(done, scalars, log=now.log)
        if now.save:
          with watchdog.patient(f'saving at step {done}'):
            whole = layout.fetch(state)
            _keep(whole, now, validate, progress, store, predictor)
        if now.leave:
          progress.left(done)
          break
    return layout.fetch(state)


def _opened(
  stack: contextlib.ExitStack,
  settings: Settings,
  workdir: Path,
  devices: Parallel,
  stop: StopRequest,
) -> Store:
  """The folder's checkpoints; its first process keeps other runs out."""
  lease = None
  if not devices.process[0]:
    held = leases.held(workdir / leases.NAME, stopped=lambda: stop.asked)
    lease = stack.enter_context(held)
  return stack.enter_context(Store(settings, workdir, lease=lease))


def _batches(
  settings: Settings, data: TrainingData, first: int
) -> Iterator[tuple[int, Batch]]:
  """(number, batch) of each update, with its bandwidth if that is a number."""
  bandwidth = build.build_bandwidth(settings)
  for number, batch in data.batches(first, settings.train.steps):
    h = bandwidth(number)
    if h is not None:
      each = np.full(len(batch['index']), h, np.float32)
      batch = {**batch, 'bandwidth': each}
    yield number, batch


def _keys(settings: Settings) -> tuple[jax.Array, jax.Array]:
  """The keys of the first parameters, and of the updates."""
  start, updates = jax.random.split(jax.random.key(settings.seed))
  return start, updates


def _common(settings: Settings) -> Settings:
  """What the program of an update is made of: many runs of an ablation agree.

  Seed and data come with the batch, and so does a bandwidth that is a number.
  """
  loss, density = settings.loss, settings.entropy
  if not isinstance(density.bandwidth, str):
    density = dataclasses.replace(density, bandwidth=EntropySpec().bandwidth)
  return Settings(
    model=settings.model,
    sde=settings.sde,
    loss=dataclasses.replace(loss, bandwidth_from=0.0, bandwidth_updates=0),
    entropy=density,
    optim=settings.optim,
    train=settings.train,
    parallel=settings.parallel,
  )


@functools.lru_cache(1)  # compiled once where runs agree
def _program(
  settings: Settings, devices: Parallel
) -> tuple[nn.Module, Update, Layout, Step]:
  """Network, optimizer, layout of the state, and the step."""
  method, optim = build.build_method(settings), settings.optim
  update = Update(
    build.build_optimizer(settings),
    clip_norm=optim.clip_norm,
    decay=optim.ema_decay,
    accumulate=settings.parallel.accumulate,
    sharded=settings.parallel.shard_state,
    skip_nonfinite=settings.train.skip_nonfinite > 0,
    bandwidth_rate=settings.loss.bandwidth_rate,
  )
  shapes = TrainState.shapes(
    method.model, update.tx, bandwidth=build.learned_bandwidth(settings)
  )
  layout = devices.layout(shapes)
  step = functools.partial(train_step, method=method, update=update)
  return method.model, update, layout, layout.map_step(step)


def _begin(
  settings: Settings, devices: Parallel, store: Store, allow_change: bool
) -> tuple[int, Layout, TrainState, Step]:
  """Where the run stands.

  Args:
    settings: the run's settings.
    devices: the run's devices.
    store: its checkpoints.
    allow_change: see `train`.

  Returns:
    Updates that are done, how the state lies on the devices, the state there,
    and the step, which is compiled when it is called first.
  """
  model, update, layout, step = _program(_common(settings), devices)
  if store.is_empty():
    state = _first(settings, model, update)
  else:
    state = store.restore(layout.like, allow_change=allow_change)
  return int(state.step), layout, layout.place(state), step


def _first(settings: Settings, model: nn.Module, update: Update) -> TrainState:
  """The state before the first update, on the host."""
  params = initial.init_params(_keys(settings)[0], model, settings)
  learned = build.learned_bandwidth(settings)
  state = TrainState.create(params, update.tx, bandwidth=learned)
  if settings.init_optimizer:
    opt_state = initial.init_opt_state(settings, state.opt_state)
    state = dataclasses.replace(state, opt_state=opt_state)
  return jax.device_get(state)


def _announce(
  settings: Settings, workdir: Path, layout: Layout, pairs: int, first: int
) -> None:
  if first >= settings.train.steps:
    _log.info(
      '%s has done its %s updates; to go on, set config.train.steps above '
      'that, or use another --workdir',
      workdir,
      f'{first:,}',
    )
    return
  _log.info(
    '%s of %s parameters on %d pairs, %d device(s), steps %d to %d',
    settings.model.name,
    f'{models.count_params(layout.like.params):,}',
    pairs,
    layout.devices.count,
    first,
    settings.train.steps,
  )


def _keep(
  state: TrainState,
  now: Due,
  validate: Validation,
  progress: Progress,
  store: Store,
  predictor: Predictor | None,
) -> None:
  """Saves a whole state, with its validation if that is due."""
  metrics = None
  if now.validate:
    metrics, picture = validate(state.ema, predictor=predictor)
    progress.validated(int(state.step), metrics, picture)
    metrics = {**metrics, SCORE: validate.score(metrics)}
  exposure = predictor.to_json() if predictor else None
  store.save(state, metrics=metrics, exposure=exposure)


def _predictor(
  settings: Settings, store: Store, data: TrainingData
) -> Predictor | None:
  """Says which exposures are plausible: as stored, or from the pairs."""
  if not takes_exposure(settings.model.network):
    return None
  if stored := store.exposure():
    return Predictor.from_json(stored)
  return exposures.fit(data.pairs, settings.data.augment)
