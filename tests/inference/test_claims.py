"""Several processes that enhance into one folder."""

import collections
import os
import signal
import threading
import time

from helpers import sharing
import numpy as np
import pytest

from sel_jax import files
from sel_jax import leases
from sel_jax.images import codec
from sel_jax.inference.claims import NAME


@pytest.fixture
def photos(tmp_path):
  folder = tmp_path / 'photos'
  folder.mkdir()
  for n in range(12):
    image = np.full((8, 12, 3), n + 1, np.uint8)
    codec.write_image(folder / f'{n}.png', image)
  return folder


def _start(count, *args):
  return [sharing.start('enhance', *args) for _ in range(count)]


def _all_end(processes):
  assert [process.wait(60) for process in processes] == [0] * len(processes)


def _done(log):
  """Photograph -> how often it was restored."""
  values = [line.split()[1] for line in log.read_text().splitlines()]
  return collections.Counter(map(int, values))


def _whole(out):
  assert sorted(p.name for p in out.iterdir()) == sorted(
    f'{n}.png' for n in range(12)
  )
  for n in range(12):
    assert np.all(codec.read_image(out / f'{n}.png') == 2 * (n + 1))


@pytest.mark.parametrize('count', [2, 4])
def test_any_number_of_processes_does_each_photograph_once(
  photos, tmp_path, count
):
  out, log = tmp_path / 'out', tmp_path / 'log'
  _all_end(_start(count, photos, out, log, 0.1, False))
  assert _done(log) == dict.fromkeys(range(1, 13), 1)
  who = {line.split()[0] for line in log.read_text().splitlines()}
  assert len(who) > 1  # each has claimed several ahead
  _whole(out)


def test_what_a_killed_process_had_is_done_by_the_others(photos, tmp_path):
  out, log = tmp_path / 'out', tmp_path / 'log'
  log.touch()
  processes = _start(2, photos, out, log, 0.15, False)
  deadline = time.monotonic() + 30
  while len(_done(log)) < 4 and time.monotonic() < deadline:
    time.sleep(0.01)
  os.kill(processes[0].pid, signal.SIGKILL)
  ends = [process.wait(60) for process in processes]
  assert ends == [-signal.SIGKILL, 0]
  # What the killed one was at may have been begun twice, and nothing else.
  assert sum(_done(log).values()) <= 12 + 2
  left = [p for p in out.iterdir() if '.part' in p.name]
  assert len(left) <= 1
  for path in left:
    path.unlink()
  _whole(out)


def test_with_overwrite_each_is_replaced_once_by_all_of_them(photos, tmp_path):
  out, log = tmp_path / 'out', tmp_path / 'log'
  sharing.enhance(photos, out, None, 0.0, False)
  time.sleep(0.05)  # or old results were as new as the work
  _all_end(_start(3, photos, out, log, 0.1, True))
  assert _done(log) == dict.fromkeys(range(1, 13), 1)
  sharing.enhance(photos, out, log, 0.0, True)  # asked for again, done again
  assert _done(log) == dict.fromkeys(range(1, 13), 2)
  _whole(out)


def test_what_killed_processes_left_is_no_reason_to_keep_results(
  photos, tmp_path
):
  """Work that all its processes left is over: --overwrite begins anew."""
  out, log = tmp_path / 'out', tmp_path / 'log'
  (process,) = _start(1, photos, out, log, 0.1, True)
  deadline = time.monotonic() + 30
  while not (log.exists() and len(_done(log)) > 3):
    assert time.monotonic() < deadline
    time.sleep(0.01)
  process.kill()
  process.wait()
  assert (out / NAME).is_dir()
  log.unlink()
  sharing.enhance(photos, out, log, 0.0, True)
  assert _done(log) == dict.fromkeys(range(1, 13), 1)
  _whole(out)


def test_parts_of_processes_that_are_gone_are_removed(tmp_path, monkeypatch):
  with files.replacing(tmp_path / 'mine.png') as mine:
    mine.touch()
    (signed,) = files._PART.fullmatch(mine.name).groups()[:1]
    place, process, born = signed.split('-')
    others = {
      'ended': f'{place}-{process}-{int(born or 1) + 1}',
      'elsewhere': f'00000000-{process}-{born}',
      'silent': f'00000001-{process}-{born}',
    }
    paths = {
      name: tmp_path / f'.0123abcd.{sign}.7f.part.png'
      for name, sign in others.items()
    }
    for path in paths.values():
      path.touch()
    old = time.time() - leases.LOST - 10
    os.utime(paths['silent'], (old, old))
    strange = tmp_path / '.note.part.png'
    strange.touch()
    files.remove_left(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {mine.name, paths['elsewhere'].name, strange.name}


def test_two_processes_never_write_to_one_part(tmp_path):
  """Nor do two threads."""
  found = []

  def part():
    with files.replacing(tmp_path / f'{"x" * 240}.png') as path:
      path.touch()
      found.append(path.name)
      time.sleep(0.05)

  threads = [threading.Thread(target=part) for _ in range(4)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  assert len(set(found)) == 4 and max(map(len, found)) < 100
  assert leases.signature() in found[0]
