"""One process at a time, whoever dies."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

from helpers import sharing
import pytest

from sel_jax import leases
from sel_jax.errors import InputError
from sel_jax.leases import Lease


@pytest.fixture
def path(tmp_path):
  return tmp_path / '.lease'


def _other(path, **changes):
  """A lease as another process, or another machine, would have written it."""
  with leases.held(path):
    stored = json.loads(path.read_text())
  path.write_text(json.dumps({**stored, **changes}))
  return leases._read(path)


def _age(path, seconds):
  when = path.stat().st_mtime - seconds
  os.utime(path, (when, when))


def test_it_is_there_while_it_is_held_and_gone_after(path):
  with leases.held(path) as lease:
    stored = json.loads(path.read_text())
    assert stored['process'] == os.getpid() and stored['host']
    assert lease.is_held
    lease.require()
    found = Lease.take(path)
    assert found == lease.holder and 'process' in str(found)
  assert list(path.parent.iterdir()) == []


def test_signs_of_life_are_given(path):
  with leases.held(path, renew=0.05):
    _age(path, 1000)
    old = path.stat().st_mtime
    deadline = time.monotonic() + 10
    while path.stat().st_mtime == old and time.monotonic() < deadline:
      time.sleep(0.02)
    assert path.stat().st_mtime > old + 900


def test_who_is_alive_elsewhere_is_waited_for_and_named(path, caplog):
  other = _other(path, place='another machine', host='far')
  alive = Lease(path, other)
  over = threading.Event()

  def live():
    while not over.wait(0.05):
      alive.renew()

  thread = threading.Thread(target=live)
  thread.start()
  words = r'process \d+ on far, since .* works in it; stop'
  try:
    with pytest.raises(InputError, match=words), leases.held(path, lost=1.0):
      pass
  finally:
    over.set()
    thread.join()
  assert 'far' in caplog.text and 'silent for 1 s' in caplog.text
  assert alive.is_held


def test_who_was_silent_elsewhere_is_followed(path):
  _other(path, place='another machine')
  _age(path, 301)
  with leases.held(path) as lease:
    assert lease.is_held


def test_who_ends_is_followed_at_once(path):
  with leases.held(path, renew=0.05) as first:
    found = []

    def second():
      with leases.held(path, lost=30):
        found.append(time.monotonic())

    thread = threading.Thread(target=second)
    thread.start()
    time.sleep(0.3)
    assert not found and first.is_held
  thread.join(20)
  assert found


def test_who_ended_on_this_machine_is_followed_without_waiting(path):
  code = (
    'import sys, time; from pathlib import Path; from sel_jax import leases\n'
    'with leases.held(Path(sys.argv[1])):\n'
    '  print("held", flush=True); time.sleep(60)\n'
  )
  child = subprocess.Popen(
    [sys.executable, '-c', code, str(path)], stdout=subprocess.PIPE, text=True
  )
  try:
    assert child.stdout.readline() == 'held\n'
    assert isinstance(Lease.take(path), leases.Holder)
    child.send_signal(signal.SIGKILL)
    # Even as a zombie, before anybody asked how it ended.
    deadline = time.monotonic() + 10
    while not leases._read(path).has_ended and time.monotonic() < deadline:
      time.sleep(0.01)
    begin = time.monotonic()
    with leases.held(path):
      assert time.monotonic() - begin < 5
  finally:
    child.kill()
    child.wait()
    child.stdout.close()


def test_another_process_of_the_same_number_is_not_the_holder(path):
  other = _other(path, born='1')
  assert other.has_ended


def test_who_wakes_up_too_late_is_told_and_touches_nothing(path):
  with leases.held(path, renew=60) as first:
    _age(path, 400)
    # As if it were of another machine: its process is alive.
    with leases.held(path, lost=300) as second:
      before = path.stat().st_mtime_ns
      first.renew()
      first.release()
      assert path.stat().st_mtime_ns == before and second.is_held
      with pytest.raises(leases.LostLeaseError, match='took over; it ends'):
        first.require()


@pytest.mark.parametrize('text', ['', '{', '[]', '{"host": 1}'])
def test_a_torn_lease_is_held_until_it_is_old(path, text):
  path.write_text(text)
  assert Lease.take(path) is None
  _age(path, 301)
  with leases.held(path) as lease:
    assert lease.is_held


def test_who_died_of_taking_over_is_followed(path):
  other = _other(path, born='1')
  right = path.with_name(f'{path.name}.{other.token}')
  right.write_text('')
  assert Lease.take(path) is None
  _age(right, 301)
  with leases.held(path, lost=300) as lease:
    assert lease.is_held
  assert list(path.parent.iterdir()) == []


def test_two_never_hold_it_at_once(tmp_path):
  processes = [sharing.start('lease', tmp_path, 20) for _ in range(4)]
  assert [process.wait(60) for process in processes] == [0] * 4
  assert list(tmp_path.iterdir()) == []


def test_of_many_who_follow_the_dead_one_does(path):
  """Threads, so that all of them have read the same dead holder."""
  for _ in range(20):
    _other(path, born='1')
    found, barrier = [], threading.Barrier(8)

    def try_once():
      barrier.wait()
      found.append(Lease.take(path))

    threads = [threading.Thread(target=try_once) for _ in range(8)]
    for thread in threads:
      thread.start()
    for thread in threads:
      thread.join()
    taken = [one for one in found if isinstance(one, Lease)]
    assert len(taken) == 1 and taken[0].is_held
    path.unlink()
  assert list(path.parent.iterdir()) == []


def test_waiting_ends_when_it_is_asked_to(path):
  _other(path, place='another machine')
  stopped = lambda: True
  with pytest.raises(KeyboardInterrupt), leases.held(path, stopped=stopped):
    pass


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
  (tmp_path / 'file').touch()
  path = tmp_path / 'file' / '.lease'
  with pytest.raises(InputError, match='cannot write there'), leases.held(path):
    pass
