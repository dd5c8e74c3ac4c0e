"""Training runs as processes: on one device, on several, on several machines.

Contract: machines are simulated by processes that talk over the loopback
interface, devices by XLA's own simulation on a CPU. Everything that a run
writes is under its folder.
"""

from collections.abc import Mapping
import dataclasses
import json
import os
from pathlib import Path
import socket
import subprocess
import sys
from typing import Any
from typing import Protocol

import numpy as np

from benchmarks.lib import warm
from sel_jax.checkpoints import Checkpoints
from sel_jax.images import codec

ROOT = Path(__file__).parents[2]


def make_pairs(
  root: Path, *, count: int = 3, size: tuple[int, int] = (24, 24)
) -> Path:
  """A small data set of random pairs with train, val and test folders."""
  rng = np.random.default_rng(0)
  for split in ('train', 'val', 'test'):
    for folder in ('low', 'high'):
      (root / split / folder).mkdir(parents=True, exist_ok=True)
    for n in range(count):
      high = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
      codec.write_image(root / split / 'high' / f'{n}.png', high)
      codec.write_image(root / split / 'low' / f'{n}.png', high // 8)
  return root


def last_checkpoint(workdir: Path) -> tuple[int, dict[str, int]]:
  """Step and checksums of a run's newest checkpoint."""
  reader = Checkpoints.open(workdir)
  try:
    step = reader.steps()[-1]
    return step, reader.restore(step)[1]['checksums']
  finally:
    reader.close()


def free_port() -> int:
  """A port of the loopback interface that nobody listens on."""
  with socket.socket() as found:
    found.bind(('127.0.0.1', 0))
    return found.getsockname()[1]


class Running(Protocol):
  """A process that was started."""

  def poll(self) -> int | None:
    """Its exit status; None while it runs."""

  def wait(self, timeout: float) -> int:
    """Waits for its exit status."""

  def send_signal(self, sig: int, /) -> None:
    """Sends a signal."""

  def kill(self) -> None:
    """Ends it at once."""


def start(
  module: str,
  arguments: list[str],
  environment: Mapping[str, str],
  output: Path,
  *,
  is_warm: bool = False,
  ahead: float = 0.0,
) -> Running:
  """Starts a module as `python -m` does.

  Args:
    module: which.
    arguments: behind it.
    environment: variables that differ from this process's.
    output: file that what it prints is added to.
    is_warm: whether it starts with all imported, see `warm`.
    ahead: seconds that its clock is ahead, if it is warm.
  """
  if is_warm:
    return warm.Process(module, arguments, environment, output, ahead=ahead)
  command = [sys.executable, '-m', module, *arguments]
  env = {**os.environ, **environment}
  with open(output, 'a') as file:
    return subprocess.Popen(
      command, cwd=ROOT, env=env, stdout=file, stderr=file
    )


@dataclasses.dataclass(frozen=True)
class Launch:
  """How a run is started.

  Attributes:
    data: folder of pairs.
    workdir: the run's folder.
    settings: keys of the configuration.
    devices: simulated in each process.
    processes: that train together.
    config: the configuration's file and preset.
    xla_flags: further flags of XLA, such as for a quick compilation.
    warm: whether processes start with all imported, see `warm`.
  """

  data: Path
  workdir: Path
  settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  devices: int = 1
  processes: int = 1
  config: str = 'configs/lol.py:tiny'
  xla_flags: str = ''
  warm: bool = False

  def start(self, *, ahead: float = 0.0) -> list[Running]:
    """Starts every process; output goes to WORKDIR.PROCESS.txt.

    Args:
      ahead: seconds that their clocks are ahead, of warm processes alone.
    """
    settings = {'data.root': self.data, **self.settings}
    arguments = [
      f'--config={self.config}',
      f'--workdir={self.workdir}',
      *(f'--config.{key}={value}' for key, value in settings.items()),
    ]
    simulated = f'--xla_force_host_platform_device_count={self.devices}'
    env = {'JAX_PLATFORMS': 'cpu', 'XLA_FLAGS': f'{simulated} {self.xla_flags}'}
    port, started = free_port(), list[Running]()
    self.workdir.parent.mkdir(parents=True, exist_ok=True)
    for rank in range(self.processes):
      extra = []
      if self.processes > 1:
        extra = [
          f'--coordinator=127.0.0.1:{port}',
          f'--processes={self.processes}',
          f'--process={rank}',
        ]
      process = start(
        'experiments.train',
        arguments + extra,
        env,
        self.output(rank),
        is_warm=self.warm,
        ahead=ahead,
      )
      started.append(process)
    return started

  def output(self, rank: int) -> Path:
    """What a process printed."""
    return self.workdir.with_name(f'{self.workdir.name}.{rank}.txt')

  def run(self, timeout: float = 300) -> list[int]:
    """Runs to the end and returns the exit statuses."""
    return [process.wait(timeout) for process in self.start()]

  def finish(self, timeout: float = 300) -> None:
    """Runs to the end.

    Raises:
      RuntimeError: with the output of a process that failed.
    """
    for rank, status in enumerate(self.run(timeout)):
      if status:
        text = self.output(rank).read_text()[-3000:]
        raise RuntimeError(f'process {rank} left with {status}: {text}')

  def log(self) -> list[dict[str, float]]:
    """Lines of the run's log that hold a loss."""
    lines = (self.workdir / 'log.jsonl').read_text().splitlines()
    return [row for row in map(json.loads, lines) if 'loss' in row]
