"""The same numbers however a run is spread over devices and processes."""

import itertools
import signal
import time

from helpers.commands import QUICK_XLA
import numpy as np
import pytest

from benchmarks.lib import runs

STEPS = 20
QUICK_STEPS = 6
SETTINGS = {
  'data.batch_size': 32,
  'train.steps': STEPS,
  'train.log_every': 1,
  'train.save_every': 5,
  'train.eval_every': 20,
  'eval.steps': 1,
  'entropy.windows': (3,),  # these two compile sooner
  'model.middle': 0,
  'loss.l1': 1.0,
  'optim.schedule': 'constant',  # so that a shorter run is a beginning
}
# (processes, devices in each), backend, accumulate, shard_state
ALL = list(
  itertools.product(
    [(1, 1), (1, 8), (2, 4)], ['shard_map', 'pmap'], [1, 4], [False, True]
  )
)
QUICK = ((2, 2), 'shard_map', 2, True)


def _launch(root, workdir, form, **settings):
  (processes, devices), backend, accumulate, sharded = form
  own = {
    'parallel.backend': backend,
    'parallel.accumulate': accumulate,
    'parallel.shard_state': sharded,
  }
  return runs.Launch(
    root / 'data',
    workdir,
    {**SETTINGS, **own, **settings},
    devices,
    processes,
    xla_flags=QUICK_XLA,
  )


@pytest.fixture(scope='module')
def root(tmp_path_factory):
  folder = tmp_path_factory.mktemp('topologies')
  runs.make_pairs(folder / 'data', size=(20, 20))
  return folder


@pytest.fixture(scope='module')
def plain(root):
  """The run on one device."""
  launch = _launch(root, root / 'plain', ALL[0])
  launch.finish()
  return launch


def _assert_same_losses(launch, plain, steps=STEPS):
  found, expected = launch.log(), plain.log()
  assert [row['step'] for row in found] == list(range(1, steps + 1))
  for a, b in zip(found, expected, strict=True):
    for name in ('loss', 'entropy', 'l1'):
      assert a[name] == pytest.approx(b[name], abs=1e-5), (a['step'], name)


def _assert_devices(launch):
  text = launch.output(0).read_text()
  assert f'{launch.processes * launch.devices} device(s)' in text


@pytest.mark.fence
def test_two_processes_give_the_losses_of_one_device(root, tmp_path):
  """The quick one of all forms; both runs go on at once."""
  launches = [
    _launch(root, tmp_path / name, form, **{'train.steps': QUICK_STEPS})
    for name, form in (('plain', ALL[0]), ('run', QUICK))
  ]
  started = [process for launch in launches for process in launch.start()]
  statuses = [process.wait(300) for process in started]
  assert statuses == [0, 0, 0], launches[1].output(0).read_text()[-3000:]
  plain, launch = launches
  _assert_same_losses(launch, plain, QUICK_STEPS)
  _assert_devices(launch)


@pytest.mark.slow
@pytest.mark.parametrize('form', [QUICK, *ALL[1:]], ids=str)
def test_every_form_gives_the_losses_of_one_device(form, root, plain, tmp_path):
  launch = _launch(root, tmp_path / 'run', form)
  launch.finish()
  _assert_same_losses(launch, plain)
  _assert_devices(launch)


@pytest.mark.slow
def test_a_run_is_handed_from_form_to_form(root, plain, tmp_path):
  """Every step is made by another one, from its predecessor's checkpoint."""
  forms = np.random.default_rng(0).permutation(len(ALL))[:20]
  for steps, index in enumerate(forms, 1):
    launch = _launch(
      root, tmp_path / 'run', ALL[index], **{'train.steps': steps}
    )
    launch.finish()
  _assert_same_losses(launch, plain)


@pytest.mark.slow
def test_a_process_that_hangs_ends_the_others(root, tmp_path):
  settings = {
    'train.steps': 10_000,
    'parallel.timeout': 15,
    'parallel.heartbeat': 1000,
  }
  launch = _launch(
    root, tmp_path / 'run', ((2, 1), 'shard_map', 1, False), **settings
  )
  started = launch.start()
  try:
    log = launch.workdir / 'log.jsonl'
    deadline = time.monotonic() + 120
    while not (log.exists() and log.read_text().count('\n') > 3):
      assert time.monotonic() < deadline
      time.sleep(0.1)
    started[1].send_signal(signal.SIGSTOP)
    assert started[0].wait(60) == 2
  finally:
    for process in started:
      process.kill()
      process.wait()
  text = launch.output(0).read_text()
  assert 'parallel.timeout=15 s' in text and 'error: step' in text
