"""Which GPUs a task of a launcher uses."""

import pytest

from sel_jax.training import gpus


def _slurm(tasks, rank, seen, **more):
  return {
    'SLURM_STEP_TASKS_PER_NODE': tasks,
    'SLURM_LOCALID': str(rank),
    'CUDA_VISIBLE_DEVICES': ','.join(map(str, range(seen))),
    **more,
  }


def _mpi(tasks, rank, seen):
  return {
    'OMPI_COMM_WORLD_LOCAL_SIZE': str(tasks),
    'OMPI_COMM_WORLD_LOCAL_RANK': str(rank),
    'CUDA_VISIBLE_DEVICES': ','.join(map(str, range(seen))),
  }


@pytest.mark.parametrize(
  ('environment', 'expected'),
  [
    # One task of a machine has all of its GPUs.
    (_slurm('1(x2)', 0, 8), range(8)),
    (_mpi(1, 0, 8), range(8)),
    # Tasks that see all of them share them.
    (_slurm('8', 3, 8), [3]),
    (_slurm('8(x2)', 7, 8, SLURM_GPUS_ON_NODE='8'), [7]),
    (_slurm('2', 1, 8), range(4, 8)),
    (_mpi(4, 2, 8), [4, 5]),
    # Tasks that see their own alone have them: --gpus-per-task, --gpu-bind.
    (_slurm('8', 3, 1), [0]),
    (_slurm('4', 3, 2, SLURM_GPUS_PER_TASK='2'), [0, 1]),
    (_slurm('2', 1, 4, SLURM_GPUS_PER_TASK='4'), range(4)),
    (_slurm('2', 1, 4, SLURM_TRES_PER_TASK='cpu=8,gres/gpu=4'), range(4)),
    (_slurm('2', 1, 4, SLURM_GPUS_ON_NODE='8'), range(4)),
    (_slurm('2', 1, 4, SLURM_TRES_PER_TASK='cpu=8'), [2, 3]),
    # JAX knows: no launcher, no GPU, or somebody said so.
    ({'CUDA_VISIBLE_DEVICES': '0,1'}, None),
    (_slurm('2', 1, 0), None),
    (_slurm('2', 1, 4, JAX_LOCAL_DEVICE_IDS='0'), None),
  ],
)
def test_a_task_uses_all_that_it_was_given(environment, expected):
  found = gpus.of_process(environment, gpus.visible(environment))
  assert found == (None if expected is None else list(expected))


def test_every_gpu_of_a_machine_is_used_once():
  for tasks in (1, 2, 4, 8):
    found = [
      gpu
      for rank in range(tasks)
      for gpu in gpus.of_process(_slurm(str(tasks), rank, 8), 8)
    ]
    assert sorted(found) == list(range(8))


def test_device_files_count_where_no_variable_says(tmp_path):
  for name in ('nvidia0', 'nvidia1', 'nvidiactl', 'nvidia-uvm', 'null'):
    (tmp_path / name).touch()
  assert gpus.visible({}, devices=tmp_path) == 2
  assert gpus.visible({'CUDA_VISIBLE_DEVICES': ''}, devices=tmp_path) == 0
