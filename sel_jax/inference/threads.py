"""Threads that read, restore and write photographs side by side.

Contract: what was begun is finished, what was not is left.
"""

import collections
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from typing import TypeVar

T = TypeVar('T')


class Pools:
  """The threads: what was begun is finished, what was not is left."""

  def __init__(self):
    self.reader = ThreadPoolExecutor(1)
    self.workers = ThreadPoolExecutor(2)
    self.writer = ThreadPoolExecutor(1)

  def __enter__(self) -> 'Pools':
    return self

  def __exit__(self, *_: object) -> None:
    every = (self.reader, self.workers, self.writer)
    for wait in (False, True):
      for pool in every:
        pool.shutdown(wait=wait, cancel_futures=True)


def ahead(
  pool: ThreadPoolExecutor,
  function: Callable[[T], Any],
  jobs: Iterable[T],
  count: int,
) -> Iterator[tuple[T, Future]]:
  """Each job and its future, which was begun `count` jobs before."""
  waiting: collections.deque[tuple[T, Future]] = collections.deque()
  for job in jobs:
    waiting.append((job, pool.submit(function, job)))
    if len(waiting) > count:
      yield waiting.popleft()
  yield from waiting


def error_of(future: Future) -> Exception | None:
  """What it raised for its photograph; an interrupt is everybody's."""
  error = future.exception()
  if error is None or isinstance(error, Exception):
    return error
  raise error
