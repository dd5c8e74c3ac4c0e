"""Enhancing many files: what is to be done, and doing it.

Contract: results are written whole or not at all; nothing is overwritten unless
asked; a bad file costs one sentence and the others go on; the same call again
does what is left.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
import dataclasses
import glob
import os
from pathlib import Path
from typing import Protocol
from typing import runtime_checkable

import cv2
from jaxtyping import UInt8
import numpy as np

from sel_jax import files
from sel_jax.arrays import Rgb
from sel_jax.arrays import Rgb8
from sel_jax.data import folders
from sel_jax.errors import InputError
from sel_jax.images import codec
from sel_jax.images import metadata
from sel_jax.inference.enhancer import spread

# What stands beside a result is named as it, with these endings.
_PREVIEW_ENDING = 'preview.jpg'
_SPREAD_ENDING = 'spread.png'
_STRIP_ENDING = 'trajectory.jpg'
# Longest side of each half of a preview.
_PREVIEW = 1024
# Most states of a strip, and the longest side of each.
_SHOWN, _FRAME = 8, 320
# Standard deviation that is drawn brightest.
_WIDEST = 0.1


@runtime_checkable
class Brightens(Protocol):
  """What brightens a photograph, such as an `Enhancer`."""

  def __call__(
    self,
    image: Rgb,
    *,
    strength: float,
    on_progress: Callable[[float], None] | None,
  ) -> Rgb:
    """[H, W, 3] float32 in [0, 1], to the same; tells shares of the work."""
    ...


@dataclasses.dataclass(frozen=True)
class Extras:
  """What is written beside, or instead of, one result for each photograph.

  Attributes:
    samples: results of as many seeds, numbered from 1, instead of one.
    spread: a map of where the samples differ.
    trajectory: a strip of the sampler's states.
    preview: a low | result strip.
  """

  samples: int = 1
  spread: bool = False
  trajectory: bool = False
  preview: bool = False

  def __post_init__(self):
    if self.samples < 1:
      raise InputError(f'samples={self.samples}: give 1 or more')
    if self.spread and self.samples < 2:
      raise InputError('spread: compares samples; give samples=2 or more')

  def results(self, destination: Path) -> list[Path]:
    """Where the results of a photograph go."""
    if self.samples == 1:
      return [destination]
    numbers = range(1, self.samples + 1)
    name = '{0.stem}-{1}{0.suffix}'
    return [destination.with_name(name.format(destination, n)) for n in numbers]

  def files(self, destination: Path) -> list[Path]:
    """Everything that is written of a photograph."""
    wanted = {
      _PREVIEW_ENDING: self.preview,
      _SPREAD_ENDING: self.spread,
      _STRIP_ENDING: self.trajectory,
    }
    beside = [
      _beside(destination, end) for end, is_on in wanted.items() if is_on
    ]
    return self.results(destination) + beside


@dataclasses.dataclass(frozen=True)
class Job:
  """One photograph and where its result goes."""

  source: Path
  destination: Path


@dataclasses.dataclass(frozen=True)
class Outcome:
  """What became of a job.

  Attributes:
    job: the job.
    state: 'written', 'kept' (the result was there) or 'failed'.
    note: why it failed, or what to know about the result.
  """

  job: Job
  state: str
  note: str = ''


def _in_folder(folder: Path, recursive: bool, output: Path) -> Iterator[Path]:
  """Image files, not those of the output folder; links are not followed."""
  if not recursive:
    yield from folders.list_images(folder)
    return
  for parent, inner, _ in os.walk(folder):
    inner[:] = sorted(
      name
      for name in inner
      if (Path(parent) / name).resolve() != output.resolve()
    )
    yield from folders.list_images(Path(parent))


def _expanded(inputs: Iterable[str]) -> Iterator[Path]:
  for given in inputs:
    if glob.has_magic(given) and not os.path.lexists(given):
      found = sorted(glob.glob(given, recursive=True))
      if not found:
        raise InputError(f'{given}: matches no file; check the pattern')
      yield from map(Path, found)
    else:
      yield Path(given)


def collect(
  inputs: Iterable[str], output: str | Path, *, recursive: bool = False
) -> list[Job]:
  """Photographs among files, folders and patterns, and where results go.

  A file goes to `output` by its name; a folder's files by their path in it.

  Args:
    inputs: files, folders, patterns such as 'photos/*.jpg'.
    output: folder, or for a single photograph a file with an image's ending.
    recursive: also the folders within folders.

  Raises:
    InputError: for a folder without photographs, two results of one name, or a
      result that would replace its own source.
  """
  output = Path(output)
  found: list[tuple[Path, Path]] = []  # photograph, its path in the output
  for given in _expanded(inputs):
    if given.is_dir():
      inside = list(_in_folder(given, recursive, output))
      if not inside:
        raise InputError(
          f'{given}: no image files in it ({", ".join(codec.EXTENSIONS)})'
          + ('' if recursive else '; --recursive looks into its folders too')
        )
      found += [(path, path.relative_to(given)) for path in inside]
    else:
      found.append((given, Path(given.name)))
  single = len(found) == 1 and codec.is_image(output) and not output.is_dir()
  owners: dict[Path, Path] = {}
  jobs = []
  for source, inner in found:
    destination = output if single else output / inner
    if os.path.lexists(destination) and os.path.realpath(
      destination
    ) == os.path.realpath(source):
      raise InputError(
        f'{source}: would be overwritten by its own result; choose another '
        '--output'
      )
    owner = owners.setdefault(destination, source)
    if os.path.realpath(owner) != os.path.realpath(source):
      raise InputError(
        f'{source} and {owner} have one name; enhance them into different '
        'folders'
      )
    if owner is source:
      jobs.append(Job(source, destination))
  return jobs


def megapixels(job: Job) -> float:
  """Size of a photograph by its header; 0 if that cannot be read."""
  try:
    with codec.opening(job.source) as opened:
      return opened.width * opened.height / 1e6
  except InputError:
    return 0.0


def _beside(destination: Path, ending: str) -> Path:
  return destination.with_name(f'{destination.stem}.{ending}')


def preview_path(destination: Path) -> Path:
  """Where the preview of a result goes."""
  return _beside(destination, _PREVIEW_ENDING)


def _colored(samples: np.ndarray) -> np.ndarray:
  """The samples' standard deviation as colours: dark is 0, bright `_WIDEST`.

  The same on every photograph, so that maps can be compared.
  """
  levels = codec.to_uint8(np.clip(spread(samples) / _WIDEST, 0, 1))
  colors = cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)
  return np.ascontiguousarray(colors[:, :, ::-1])


def _strip(states: np.ndarray) -> np.ndarray:
  """States from left to right, evenly spread, at most `_SHOWN`."""
  count = min(_SHOWN, len(states))
  chosen = np.linspace(0, len(states) - 1, count).round().astype(int)
  frames = [reduced(codec.to_uint8(states[n]), _FRAME) for n in chosen]
  return np.concatenate(frames, axis=1)


def reduced(image: Rgb8, side: int) -> UInt8[np.ndarray, 'h w 3']:
  """The image, its longer side at most `side` pixels.

  Args:
    image: the photograph.
    side: pixels; a smaller image stays as it is.
  """
  scale = min(1.0, side / max(image.shape[:2]))
  size = [max(1, round(length * scale)) for length in image.shape[1::-1]]
  return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def _write_preview(path: Path, low: np.ndarray, result: np.ndarray) -> None:
  halves = codec.to_uint8(codec.to_float(low)), codec.to_uint8(result)
  strip = [reduced(image, _PREVIEW) for image in halves]
  codec.write_image(path, np.concatenate(strip, axis=1))


def enhance_files(
  enhancer: Brightens,
  jobs: Iterable[Job],
  *,
  strength: float = 1.0,
  extras: Extras = Extras(),
  overwrite: bool = False,
  on_progress: Callable[[Job, float], None] | None = None,
) -> Iterator[Outcome]:
  """Does jobs one after another.

  Args:
    enhancer: the model.
    jobs: from `collect`.
    strength: 0 changes nothing, 1 is the whole result; see `Enhancer`.
    extras: what else is written.
    overwrite: replace results that are there.
    on_progress: called with (job, share of it just done).

  Yields:
    What became of each, as soon as it is known.

  Raises:
    InputError: before anything is written, if a result would replace one of
      the photographs.
  """
  jobs = list(jobs)
  _check_sources(jobs, extras)
  for job in jobs:
    if _is_kept(job, extras, overwrite):
      yield Outcome(job, 'kept')
      continue

    def done(share, job=job):
      if on_progress:
        on_progress(job, share)

    try:
      yield _enhance_file(enhancer, job, strength, extras, overwrite, done)
    except InputError as error:
      yield Outcome(job, 'failed', str(error))


def _is_kept(job: Job, extras: Extras, overwrite: bool) -> bool:
  wanted = extras.files(job.destination)
  return not overwrite and all(map(os.path.lexists, wanted))


def _check_sources(jobs: Sequence[Job], extras: Extras) -> None:
  """Raises InputError where a photograph would be replaced by a result."""
  sources = {os.path.realpath(job.source): job.source for job in jobs}
  for job in jobs:
    for path in extras.files(job.destination):
      if source := sources.get(os.path.realpath(path)):
        raise InputError(
          f'{source}: would be overwritten by a result of {job.source}; choose '
          'another --output'
        )


def check_files(
  jobs: Iterable[Job], *, extras: Extras = Extras(), overwrite: bool = False
) -> Iterator[Outcome]:
  """What `enhance_files` would make of jobs: reads all, writes nothing.

  Args:
    jobs: what `collect` gives.
    extras: what else would be written.
    overwrite: redo results that are there.

  Yields:
    What would become of each, in order.
  """
  jobs = list(jobs)
  _check_sources(jobs, extras)

  def check(job: Job) -> Outcome:
    if _is_kept(job, extras, overwrite):
      return Outcome(job, 'kept')
    try:
      _read(job)
    except InputError as error:
      return Outcome(job, 'failed', str(error))
    return Outcome(job, 'written')

  with ThreadPoolExecutor(4) as pool:
    yield from pool.map(check, jobs)


def by_state(outcomes: Iterable[Outcome]) -> dict[str, list[Outcome]]:
  """Outcomes by their state; each state is there."""
  found: dict[str, list[Outcome]] = {'written': [], 'kept': [], 'failed': []}
  for outcome in outcomes:
    found[outcome.state].append(outcome)
  return found


def _read(job: Job) -> metadata.Picture:
  """The photograph of a job whose result can be written."""
  if not os.path.lexists(job.source):
    raise InputError(f'{job.source}: no such file or folder; check the path')
  picture = metadata.read_picture(job.source)
  if not codec.is_image(job.destination):
    raise InputError(
      f'{job.source}: its name does not end like an image; add one of '
      f'{", ".join(codec.EXTENSIONS)}'
    )
  return picture


def _enhance_file(enhancer, job, strength, extras, overwrite, done) -> Outcome:
  picture = _read(job)
  low = codec.to_float(picture.pixels)
  if extras.samples == 1:
    results = [enhancer(low, strength=strength, on_progress=done)]
  else:
    results = enhancer.samples(
      low, extras.samples, strength=strength, on_progress=done
    )
  files.ensure_directory(job.destination.parent)
  # What is there stays, unless it may be replaced.
  left = {
    path
    for path in extras.files(job.destination)
    if overwrite or not os.path.lexists(path)
  }
  if (path := preview_path(job.destination)) in left:
    _write_preview(path, picture.pixels, results[0])
  if (path := _beside(job.destination, _SPREAD_ENDING)) in left:
    codec.write_image(path, _colored(np.stack(results)))
  if (path := _beside(job.destination, _STRIP_ENDING)) in left:
    codec.write_image(path, _strip(enhancer.trajectory(low)))
  for path, result in zip(extras.results(job.destination), results):
    if path in left:
      metadata.write_picture(path, result, picture)
  frames = picture.frames
  note = f'only the first of {frames} frames was taken' if frames > 1 else ''
  return Outcome(job, 'written', note)
