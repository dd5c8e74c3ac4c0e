import jax
import pytest

from sel_jax import checkpoints
from sel_jax.errors import InputError
from sel_jax.settings import ParallelSpec
from sel_jax.training import cluster


@pytest.mark.parametrize(
  ('environment', 'name'),
  [
    ({}, None),
    ({'SLURM_STEP_NUM_TASKS': '2'}, 'Slurm'),
    ({'SLURM_STEP_NUM_TASKS': '1'}, None),
    ({'OMPI_COMM_WORLD_SIZE': '4'}, 'Open MPI'),
    ({'KUBERNETES_SERVICE_HOST': '10.0.0.1'}, None),
    (
      {'KUBERNETES_SERVICE_HOST': '10.0.0.1', 'JOB_COMPLETION_INDEX': '0'},
      'Kubernetes',
    ),
    ({'JAX_PLATFORMS': 'tpu'}, 'Cloud TPU'),
    ({'JAX_PLATFORMS': 'cpu'}, None),
  ],
)
def test_clusters_are_recognised(environment, name, monkeypatch):
  found = environment.get('JAX_PLATFORMS')
  monkeypatch.setattr(cluster.importlib.util, 'find_spec', lambda _: found)
  assert cluster.find_cluster(environment) == name


def test_addresses_are_given_together(monkeypatch):
  with pytest.raises(InputError, match='--coordinator, --processes and --pro'):
    cluster.connect(ParallelSpec(), coordinator='localhost:1')
  calls = []
  record = lambda *args, **options: calls.append((args, options))
  monkeypatch.setattr(jax.distributed, 'initialize', record)
  cluster.connect(ParallelSpec())  # alone
  assert calls == []
  cluster.connect(
    ParallelSpec(timeout=7, heartbeat=3),
    coordinator='host:1',
    processes=2,
    process=1,
  )
  assert calls == [
    (
      ('host:1', 2, 1),
      {'initialization_timeout': 7, 'heartbeat_timeout_seconds': 3},
    )
  ]


def test_a_cluster_that_does_not_answer_is_one_sentence(monkeypatch):
  def refuse(*_, **__):
    raise ValueError('coordinator_address should be defined.')

  monkeypatch.setattr(jax.distributed, 'initialize', refuse)
  monkeypatch.setenv('OMPI_COMM_WORLD_SIZE', '2')
  with pytest.raises(InputError, match='on Open MPI .*give --coordinator='):
    cluster.connect(ParallelSpec())


def test_a_barrier_ends_when_someone_does_not_come(monkeypatch):
  cluster.barrier('alone', ParallelSpec())

  def late(name, seconds):
    raise RuntimeError(f'{name} timed out after {seconds}: task 1')

  monkeypatch.setattr(checkpoints, 'wait_for_all', late)
  monkeypatch.setattr(jax, 'process_count', lambda: 2)
  with pytest.raises(cluster.StuckProcessError, match='step 8: .*=5 s.*task 1'):
    cluster.barrier('step 8', ParallelSpec(timeout=5))
