"""Several processes that enhance into one folder."""

import collections
import multiprocessing
import os
import signal
import threading
import time

import numpy as np
import pytest

from sel_jax import files
from sel_jax import leases
from sel_jax.images import codec
from sel_jax.inference import bulk
from sel_jax.inference import listing
from sel_jax.inference.claims import Claims
from sel_jax.inference.claims import NAME


class Notes:
  """Stands in for a model; notes what it restores, and takes its time."""

  at_once = 1

  def __init__(self, log=None, pause=0.0):
    self._log, self._pause = log, pause

  def plan(self, sizes):
    return [0 for _ in sizes]

  def many(self, images, **_):
    raise AssertionError('one at a time')

  def __call__(self, image, *, exposure, ev, strength, on_progress):
    value = round(float(image[0, 0, 0]) * 255)
    if self._log:
      with open(self._log, 'a') as file:
        file.write(f'{os.getpid()} {value}\n')
    time.sleep(self._pause)
    return np.clip(image * 2, 0, 1)


@pytest.fixture
def photos(tmp_path):
  folder = tmp_path / 'photos'
  folder.mkdir()
  for n in range(12):
    image = np.full((8, 12, 3), n + 1, np.uint8)
    codec.write_image(folder / f'{n}.png', image)
  return folder


def _work(photos, out, log, pause, overwrite=False):
  """As the command does it."""
  jobs = listing.collect([str(photos)], out)
  out.mkdir(exist_ok=True)
  with Claims(out, jobs, renew=0.1) as claims:
    outcomes = bulk.enhance_files(
      Notes(log, pause), jobs, overwrite=overwrite, claims=claims
    )
    assert {o.state for o in outcomes} <= {'written', 'kept'}


def _start(count, *args):
  context = multiprocessing.get_context('fork')
  processes = [context.Process(target=_work, args=args) for _ in range(count)]
  for process in processes:
    process.start()
  return processes


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
  for process in _start(count, photos, out, log, 0.1):
    process.join(60)
    assert process.exitcode == 0
  assert _done(log) == dict.fromkeys(range(1, 13), 1)
  who = {line.split()[0] for line in log.read_text().splitlines()}
  assert len(who) > 1  # each has claimed several ahead
  _whole(out)


def test_what_a_killed_process_had_is_done_by_the_others(photos, tmp_path):
  out, log = tmp_path / 'out', tmp_path / 'log'
  log.touch()
  processes = _start(2, photos, out, log, 0.15)
  deadline = time.monotonic() + 30
  while len(_done(log)) < 4 and time.monotonic() < deadline:
    time.sleep(0.01)
  os.kill(processes[0].pid, signal.SIGKILL)
  for process in processes:
    process.join(60)
  assert [p.exitcode for p in processes] == [-signal.SIGKILL, 0]
  # What the killed one was at may have been begun twice, and nothing else.
  assert sum(_done(log).values()) <= 12 + 2
  left = [p for p in out.iterdir() if '.part' in p.name]
  assert len(left) <= 1
  for path in left:
    path.unlink()
  _whole(out)


def test_with_overwrite_each_is_replaced_once_by_all_of_them(photos, tmp_path):
  out, log = tmp_path / 'out', tmp_path / 'log'
  _work(photos, out, None, 0)
  time.sleep(0.05)  # or old results were as new as the work
  for process in _start(3, photos, out, log, 0.1, True):
    process.join(60)
    assert process.exitcode == 0
  assert _done(log) == dict.fromkeys(range(1, 13), 1)
  _work(photos, out, log, 0, True)  # asked for again, done again
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
  process.join()
  assert (out / NAME).is_dir()
  log.unlink()
  _work(photos, out, log, 0, True)
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
