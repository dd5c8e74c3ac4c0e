import jax
import pytest

from sel_jax import checkpoints
from sel_jax.errors import InputError
from sel_jax.errors import StuckProcessError
from sel_jax.sections import ParallelSpec
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


def test_libtpu_alone_makes_no_pod(monkeypatch, tmp_path):
  for name, vendor in (('a', '0x10de'), ('b', '0x8086')):
    (tmp_path / name).mkdir()
    (tmp_path / name / 'vendor').write_text(f'{vendor}\n')
  assert not cluster._has_tpu(tmp_path)
  (tmp_path / 'b' / 'vendor').write_text('0x1ae0\n')
  assert cluster._has_tpu(tmp_path)
  monkeypatch.setattr(cluster.importlib.util, 'find_spec', lambda _: True)
  monkeypatch.setattr(cluster, '_has_tpu', lambda: False)
  assert cluster.find_cluster({}) is None
  monkeypatch.setattr(cluster, '_has_tpu', lambda: True)
  assert cluster.find_cluster({}) == 'Cloud TPU'


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
      {
        'local_device_ids': None,
        'initialization_timeout': 7,
        'heartbeat_timeout_seconds': 3,
      },
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
  with pytest.raises(StuckProcessError, match='step 8: .*=5 s.*task 1'):
    cluster.barrier('step 8', ParallelSpec(timeout=5))


def _watched(monkeypatch, timeout=1):
  monkeypatch.setattr(jax, 'process_count', lambda: 2)
  clock, left = [0.0], []
  monkeypatch.setattr(cluster.time, 'monotonic', lambda: clock[0])
  monkeypatch.setattr(cluster.os, '_exit', left.append)
  watchdog = cluster.Watchdog(ParallelSpec(timeout=timeout))

  def pass_by(seconds):
    clock[0] += seconds
    left.clear()
    ended = iter((False, True))
    monkeypatch.setattr(watchdog._ended, 'wait', lambda _: next(ended))
    watchdog._watch()
    return left == [2]

  return watchdog, pass_by


def test_the_watchdog_waits_for_compilation_and_saving_alone(
  monkeypatch, capsys
):
  watchdog, too_long = _watched(monkeypatch)
  for number, batch in watchdog.over(enumerate('abcd', 7)):
    if batch == 'a':
      assert not too_long(100)  # the first compiles
    elif batch == 'b':
      assert not too_long(0.9)
      assert too_long(0.2)
    elif batch == 'c':
      with watchdog.patient(f'saving at step {number + 1}'):
        assert not too_long(100)
      assert not too_long(0.9)
    else:
      assert too_long(1.1)
  text = capsys.readouterr().err
  assert 'error: step 9: nothing came for config.parallel.timeout=1 s' in text
