"""Many processes as one run.

Contract: `connect` comes before anything asks JAX for a device. A process that
dies ends the others within `heartbeat` seconds, one that hangs within `timeout`
seconds; the run goes on from its last checkpoint when all start again.
"""

from collections.abc import Callable
from collections.abc import Generator
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import importlib.util
import math
import os
from pathlib import Path
import sys
import threading
import time
from typing import TypeVar

import jax

from sel_jax import checkpoints
from sel_jax.errors import InputError
from sel_jax.errors import StuckProcessError
from sel_jax.sections import ParallelSpec
from sel_jax.training import gpus

Environment = Mapping[str, str]

_Batch = TypeVar('_Batch')


def _several(name: str) -> Callable[[Environment], bool]:
  return lambda env: env.get(name, '1').isdigit() and int(env.get(name, 1)) > 1


def _has_tpu(devices: Path = Path('/sys/bus/pci/devices')) -> bool:
  """Whether a device of this machine is of the vendor of TPUs."""
  for path in devices.glob('*/vendor'):
    with contextlib.suppress(OSError):
      if path.read_text().strip() == '0x1ae0':
        return True
  return False


def _on_tpu(env: Environment) -> bool:
  # libtpu alone does not tell: it compiles on any machine.
  wanted = env.get('JAX_PLATFORMS', '')
  found = importlib.util.find_spec('libtpu') is not None
  asked = wanted.split(',')[0] == 'tpu'
  return found and (asked or (not wanted and _has_tpu()))


# Where JAX finds the addresses by itself, and how to tell.
CLUSTERS: dict[str, Callable[[Environment], bool]] = {
  'Slurm': _several('SLURM_STEP_NUM_TASKS'),
  'Open MPI': _several('OMPI_COMM_WORLD_SIZE'),
  'Kubernetes': lambda env: (
    {
      'KUBERNETES_SERVICE_HOST',
      'JOB_COMPLETION_INDEX',
    }
    <= env.keys()
  ),
  'Cloud TPU': _on_tpu,
}


def find_cluster(env: Environment) -> str | None:
  """Name of the cluster that an environment belongs to, if any."""
  return next((name for name, here in CLUSTERS.items() if here(env)), None)


def is_told(
  coordinator: str | None, processes: int | None, process: int | None
) -> bool:
  """Whether `connect` is told where the other processes are.

  Args:
    coordinator: HOST:PORT where process 0 listens.
    processes: how many train together.
    process: which of them this one is, from 0.

  Raises:
    InputError: if the three are not given together.
  """
  given = [x is not None for x in (coordinator, processes, process)]
  if any(given) and not all(given):
    raise InputError('give --coordinator, --processes and --process together')
  return any(given)


def connect(
  spec: ParallelSpec,
  *,
  coordinator: str | None = None,
  processes: int | None = None,
  process: int | None = None,
) -> None:
  """Joins the other processes of the run; alone, does nothing.

  Args:
    spec: section `parallel`.
    coordinator: HOST:PORT of process 0; found by itself on a cluster of
      `CLUSTERS`.
    processes: how many there are.
    process: which one this is, from 0.

  Raises:
    InputError: if the three are not given together, or a cluster's own
      settings cannot be read.
  """
  told = is_told(coordinator, processes, process)
  name = None if told else find_cluster(os.environ)
  if name is None and not told:
    return
  try:
    jax.distributed.initialize(
      coordinator,
      processes,
      process,
      local_device_ids=gpus.of_process(os.environ, gpus.visible(os.environ)),
      initialization_timeout=spec.timeout,
      heartbeat_timeout_seconds=spec.heartbeat,
    )
  except (ValueError, RuntimeError) as error:
    if name == 'Cloud TPU' and isinstance(error, ValueError):
      return  # a single host
    where = f'on {name}' if name else f'at {coordinator}'
    raise InputError(
      f'cannot join the other processes {where} ({error}); give '
      '--coordinator=HOST:PORT, --processes and --process'
    ) from error


def is_first() -> bool:
  """Whether this process writes logs and pictures."""
  return jax.process_index() == 0


class Watchdog:
  """Ends this process if it does not come on for `spec.timeout` seconds.

  A process that hangs holds the others in the middle of a collective, where
  they reach no barrier and hear no signal.
  """

  def __init__(self, spec: ParallelSpec):
    self._timeout = spec.timeout
    self._active = jax.process_count() > 1
    self._where, self._since = '', math.inf
    self._ended = threading.Event()

  def over(
    self, batches: Iterable[tuple[int, _Batch]]
  ) -> Iterator[tuple[int, _Batch]]:
    """Numbered batches, each of which is a sign of life.

    What is done with the first may take any time: it compiles.
    """
    for count, (number, batch) in enumerate(batches):
      self._alive(f'step {number + 1}', patient=count == 0)
      yield number, batch

  @contextlib.contextmanager
  def patient(self, where: str) -> Generator[None, None, None]:
    """A block that may take any time."""
    self._alive(where, patient=True)
    yield
    self._alive(where)

  def _alive(self, where: str, *, patient: bool = False) -> None:
    self._where = where
    self._since = math.inf if patient else time.monotonic()

  def __enter__(self) -> 'Watchdog':
    if self._active:
      threading.Thread(target=self._watch, daemon=True).start()
    return self

  def __exit__(self, *_) -> None:
    self._ended.set()

  def _watch(self) -> None:
    while not self._ended.wait(min(1.0, self._timeout / 4)):
      if time.monotonic() - self._since > self._timeout:
        print(
          f'error: {self._where}: nothing came for config.parallel.timeout='
          f'{self._timeout} s, so another process is stuck; start all again '
          'to go on from the last checkpoint',
          file=sys.stderr,
          flush=True,
        )
        os._exit(2)  # the main thread cannot be reached


def barrier(name: str, spec: ParallelSpec) -> None:
  """Waits for every process; the name must be new at each call.

  Raises:
    StuckProcessError: if one is missing after `spec.timeout` seconds.
  """
  if jax.process_count() == 1:
    return
  try:
    checkpoints.wait_for_all(name, spec.timeout)
  except Exception as error:  # the client's own kinds
    raise StuckProcessError(
      f'{name}: a process did not arrive within config.parallel.timeout='
      f'{spec.timeout} s: {error}'
    ) from error
