"""Enhancing many files.

Contract: results are written whole or not at all; nothing is overwritten unless
asked; a bad file costs one sentence and the others go on; the same call again
does what is left. While the network works on two photographs, the next ones are
decoded and the last ones encoded: one alone leaves a sixth of two cores idle.
"""

import collections
from collections.abc import Callable
from collections.abc import Hashable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from concurrent.futures import Future
import contextvars
import dataclasses
import itertools
import logging
import os
from pathlib import Path
import time
from typing import Any
from typing import Protocol
from typing import runtime_checkable

import numpy as np

from sel_jax import files
from sel_jax.arrays import Rgb
from sel_jax.arrays import Rgbs
from sel_jax.images import codec
from sel_jax.images import metadata
from sel_jax.inference import drawings
from sel_jax.inference import listing
from sel_jax.inference.claims import Claims
from sel_jax.inference.exposure import AUTO
from sel_jax.inference.exposure import Plausible
from sel_jax.inference.failures import Failures
from sel_jax.inference.listing import Extras
from sel_jax.inference.listing import Job
from sel_jax.inference.listing import Outcome
from sel_jax.inference.reading import read
from sel_jax.inference.threads import ahead
from sel_jax.inference.threads import error_of
from sel_jax.inference.threads import Pools

# Photographs that are decoded before it is their turn, and results that wait
# to be encoded: so many, and so many bytes.
_AHEAD, _BEHIND, _BYTES = 2, 4, 2**28
# Pixels of a photograph whose tiles are enough for a device, or for several.
_LARGE = 2**20

# What becomes of a photograph that another process works on: not known yet.
_BUSY = 'busy'
# Seconds between two looks at those.
_LOOK = 0.5

_log = logging.getLogger(__name__)

Progress = Callable[[Job, float], None]


@runtime_checkable
class Brightens(Protocol):
  """What brightens photographs, such as an `Enhancer`."""

  @property
  def at_once(self) -> int:
    """Photographs that are best given together."""

  def plan(self, sizes: Iterable[tuple[int, int]]) -> list[Hashable]:
    """Heights and widths of what is coming: which may be given together."""

  def __call__(
    self,
    image: Rgb,
    *,
    exposure: float | str,
    ev: float,
    strength: float,
    on_progress: Callable[[float], None] | None,
  ) -> Rgb:
    """[H, W, 3] float32 in [0, 1], to the same; tells shares of the work."""

  def many(
    self,
    images: Rgbs,
    *,
    exposures: Sequence[float | str],
    ev: float,
    strength: float,
  ) -> Rgbs:
    """Photographs as if one by one."""


@dataclasses.dataclass(frozen=True)
class _Found:
  """A job that was decoded, and what is made of it.

  Attributes:
    job: the job.
    picture: its file's content.
    results: one, or as many as there are samples or exposures.
    states: those of the sampler, or nothing.
  """

  job: Job
  picture: metadata.Picture
  results: list[np.ndarray]
  states: np.ndarray | None = None

  @property
  def nbytes(self) -> int:
    """Bytes that it keeps."""
    return self.picture.pixels.nbytes + sum(x.nbytes for x in self.results)


def enhance_files(
  enhancer: Brightens,
  jobs: Iterable[Job],
  *,
  exposure: float | str | Plausible = AUTO,
  ev: float = 0.0,
  strength: float = 1.0,
  extras: Extras = Extras(),
  overwrite: bool = False,
  on_progress: Progress | None = None,
  log: str | Path | None = None,
  claims: Claims | None = None,
) -> Iterator[Outcome]:
  """Does jobs; several together where there are several devices.

  Args:
    enhancer: the model.
    jobs: from `collect`.
    exposure: mean intensity of the results, see `Enhancer`; or what is
      plausible of all of them, see `series.plausible`.
    ev: stops brighter than that.
    strength: 0 changes nothing, 1 is the whole result; see `Enhancer`.
    extras: what else is written.
    overwrite: replace results that are there.
    on_progress: called with (job, share of it just done).
    log: file for tracebacks, see `Failures`.
    claims: shares the photographs with other processes. With `overwrite` a
      result is replaced once, since the first of them began.

  Yields:
    What became of each, as soon as it is known: those kept first.

  Raises:
    InputError: before anything is written, if a result would replace one of
      the photographs.
  """
  jobs = list(jobs)
  listing.check_sources(jobs, extras)
  left = []
  for job in jobs:
    if listing.is_kept(job, extras, overwrite):
      yield Outcome(job, 'kept')
    else:
      left.append(job)
  work = _Work(
    enhancer,
    exposure,
    ev,
    strength,
    extras,
    overwrite,
    on_progress,
    Failures(log),
    claims,
  )
  with Pools() as pools:
    yield from work.run(left, pools)


@dataclasses.dataclass(frozen=True)
class _Work:
  """How jobs are done; attributes as `enhance_files` takes them."""

  enhancer: Any
  exposure: float | str | Plausible
  ev: float
  strength: float
  extras: Extras
  overwrite: bool
  on_progress: Progress | None
  failures: Failures
  claims: Claims | None

  def run(self, jobs: list[Job], pools: Pools) -> Iterator[Outcome]:
    """What becomes of each; those that others have are looked at again."""
    groups, told = self._groups(jobs), False
    while groups:
      busy = []
      for outcome in self._through(groups, pools):
        if self.claims:
          self.claims.release(outcome.job)
        if outcome.state == _BUSY:
          busy.append(outcome.job)
        else:
          yield outcome
      if busy and len(busy) == sum(map(len, groups)):
        if not told:
          _log.info('waits for %d that other processes work on', len(busy))
        told = True
        time.sleep(_LOOK)
      groups = [[job] for job in busy]

  def _through(
    self, groups: list[list[Job]], pools: Pools
  ) -> Iterator[Outcome]:
    """What becomes of each, this time."""
    writing: collections.deque[tuple[_Found, Future]] = collections.deque()
    for found in self._made(groups, pools):
      if isinstance(found, Outcome):
        yield found
        continue
      writing.append((found, pools.writer.submit(self._write, found)))
      while len(writing) > _BEHIND or (
        len(writing) > 1 and sum(x.nbytes for x, _ in writing) > _BYTES
      ):
        yield self._outcome(*writing.popleft())
      while writing and writing[0][1].done():
        yield self._outcome(*writing.popleft())
    while writing:
      yield self._outcome(*writing.popleft())

  def _outcome(self, found: _Found, written: Future) -> Outcome:
    if error := error_of(written):
      return self.failures.outcome(found.job, error)
    return Outcome(found.job, 'written', '; '.join(found.picture.remarks))

  def _made(
    self, groups: list[list[Job]], pools: Pools
  ) -> Iterator[_Found | Outcome]:
    """What is to be written of each, or what became of it without that."""
    count = max(_AHEAD, 2 * self.enhancer.at_once)
    every = itertools.chain(*groups)
    coming = ahead(pools.reader, self._read, every, count)
    working: collections.deque[Future] = collections.deque()
    for group in groups:
      pictures, size = [], 0
      for job, future in itertools.islice(coming, len(group)):
        if error := error_of(future):
          yield self.failures.outcome(job, error)
          continue
        picture = future.result()
        if isinstance(picture, str):
          yield Outcome(job, picture)
        else:
          pictures.append((job, picture))
          size = max(size, picture.pixels.size // 3)
      alone = size > _LARGE or self.enhancer.at_once > 1
      while len(working) > (0 if alone else 1):
        yield from working.popleft().result()
      if alone:  # in this thread, which a person can interrupt
        yield from self._restored(pictures)
      elif pictures:
        run = contextvars.copy_context().run
        working.append(pools.workers.submit(run, self._restored, pictures))
    while working:
      yield from working.popleft().result()

  def _groups(self, jobs: list[Job]) -> list[list[Job]]:
    """Those that are restored together; one each but for several devices."""
    sizes = [listing.size(job) for job in jobs]
    kinds = self.enhancer.plan(sizes)
    if self.enhancer.at_once == 1 or self.extras.count > 1:
      return [[job] for job in jobs]
    by_kind: dict[Hashable, list[Job]] = {}
    for job, kind, (height, width) in zip(jobs, kinds, sizes, strict=True):
      own = job if height * width > _LARGE else kind
      by_kind.setdefault(own, []).append(job)
    count = self.enhancer.at_once
    return [
      alike[start : start + count]
      for alike in by_kind.values()
      for start in range(0, len(alike), count)
    ]

  def _read(self, job: Job) -> metadata.Picture | str:
    """The photograph, or what another process has made of it, or does."""
    if self._is_kept(job):
      return 'kept'
    if self.claims and not self.claims.take(job):
      return _BUSY
    return 'kept' if self._is_kept(job) else read(job)

  def _is_kept(self, job: Job) -> bool:
    if self.overwrite and self.claims:
      return self.claims.are_done(self.extras.files(job.destination))
    return listing.is_kept(job, self.extras, self.overwrite)

  def _restored(
    self, pictures: list[tuple[Job, metadata.Picture]]
  ) -> list[_Found | Outcome]:
    """What was made of photographs, or why nothing was."""
    made: list[_Found | Outcome] = []
    try:
      lows = [codec.to_float(picture.pixels) for _, picture in pictures]
      if len(pictures) > 1:
        together = self.enhancer.many(
          lows,
          exposures=[self._asked] * len(lows),
          ev=self.ev,
          strength=self.strength,
        )
        results = [[result] for result in together]
        for job, _ in pictures:
          self._tell(job, 1.0)
      else:
        results = [
          self._alone(job, low) for (job, _), low in zip(pictures, lows)
        ]
      for (job, picture), low, found in zip(pictures, lows, results):
        states = None
        if listing.strip_path(job.destination) in self._missing(job):
          states = self.enhancer.trajectory(
            low, exposure=self._asked, ev=self.ev
          )
        made.append(_Found(job, picture, found, states))
    except Exception as error:
      if len(pictures) > 1:  # one of them; the others go on
        return [x for one in pictures for x in self._restored([one])]
      return [self.failures.outcome(job, error) for job, _ in pictures]
    return made

  def _alone(self, job: Job, low: np.ndarray) -> list[np.ndarray]:
    count = self.extras.count
    options: dict[str, Any] = {'ev': self.ev, 'strength': self.strength}
    options['on_progress'] = lambda share: self._tell(job, share)
    if count == 1:
      return [self.enhancer(low, exposure=self._asked, **options)]
    if self.extras.samples > 1:
      found = self.enhancer.samples(low, count, exposure=self._asked, **options)
      return list(found)
    options['on_progress'] = lambda share: self._tell(job, share / count)
    plausible = self.exposure
    if not isinstance(plausible, Plausible):
      plausible = self.enhancer.plausible(low)
    return [
      self.enhancer(low, exposure=e, **options) for e in plausible.spread(count)
    ]

  @property
  def _asked(self) -> float | str:
    """The exposure of one result."""
    wanted = self.exposure
    return wanted.quantile(0.5) if isinstance(wanted, Plausible) else wanted

  def _tell(self, job: Job, share: float) -> None:
    if self.on_progress:
      self.on_progress(job, share)

  def _missing(self, job: Job) -> set[Path]:
    """What is to be written: what is there stays, unless it may be replaced."""
    return {
      path
      for path in self.extras.files(job.destination)
      if self.overwrite or not os.path.lexists(path)
    }

  def _write(self, found: _Found) -> None:
    destination, results = found.job.destination, found.results
    if self.claims:
      self.claims.require(found.job)
    files.ensure_directory(destination.parent)
    missing = self._missing(found.job)
    if (path := listing.preview_path(destination)) in missing:
      pixels = found.picture.pixels
      codec.write_image(path, drawings.preview(pixels, results[0]))
    if (path := listing.spread_path(destination)) in missing:
      codec.write_image(path, drawings.spread_map(np.stack(results)))
    path = listing.strip_path(destination)
    if path in missing and found.states is not None:
      codec.write_image(path, drawings.strip(found.states))
    for path, result in zip(self.extras.results(destination), results):
      if path in missing:
        metadata.write_picture(path, result, found.picture)
