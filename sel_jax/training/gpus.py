"""Which GPUs of a machine a process of a cluster uses.

Contract: all that the launcher gave it. JAX takes one GPU for each process of
Slurm and Open MPI unless it is told, so the others would stand idle without a
word. What a task sees tells how many: its own, if the launcher bound them to
it, or those of the machine, which its tasks then share evenly.
"""

from collections.abc import Mapping
from pathlib import Path
import re

Environment = Mapping[str, str]

# Variables of tasks on this machine, and of the number of this one.
_TASKS = ('SLURM_STEP_TASKS_PER_NODE', 'OMPI_COMM_WORLD_LOCAL_SIZE')
_RANK = ('SLURM_LOCALID', 'OMPI_COMM_WORLD_LOCAL_RANK')
_VISIBLE = ('CUDA_VISIBLE_DEVICES', 'ROCR_VISIBLE_DEVICES')
# Said where each task has GPUs of its own.
_BOUND = ('SLURM_GPUS_PER_TASK', 'SLURM_TRES_PER_TASK')


def visible(env: Environment, *, devices: Path = Path('/dev')) -> int:
  """Number of GPUs that a process sees.

  Args:
    env: its environment.
    devices: folder of device files, which count where no variable says.
  """
  for name in _VISIBLE:
    if name in env:
      return len([part for part in env[name].split(',') if part.strip()])
  return sum(
    re.fullmatch(r'nvidia\d+', path.name) is not None
    for path in devices.glob('nvidia*')
  )


def _number(env: Environment, names: tuple[str, ...]) -> int | None:
  """The number that a variable begins with, such as 8 of '8(x2)'."""
  for name in names:
    if found := re.match(r'\d+', env.get(name, '')):
      return int(found[0])
  return None


def of_process(env: Environment, seen: int) -> list[int] | None:
  """Numbers of the GPUs that a task uses, among those that it sees.

  Args:
    env: the environment that the launcher made.
    seen: how many it sees, from `visible`.

  Returns:
    None where there is no launcher of tasks, no GPU, or the user says
    JAX_LOCAL_DEVICE_IDS: JAX then knows itself.
  """
  tasks, rank = _number(env, _TASKS), _number(env, _RANK)
  if not seen or tasks is None or rank is None or 'JAX_LOCAL_DEVICE_IDS' in env:
    return None
  on_machine = _number(env, ('SLURM_GPUS_ON_NODE',)) or seen
  bound = any('gpu' in env[n] or env[n].isdigit() for n in _BOUND if n in env)
  if bound or seen < tasks or seen < on_machine:
    return list(range(seen))  # they are its own
  share = seen // tasks
  return list(range(rank * share, (rank + 1) * share))
