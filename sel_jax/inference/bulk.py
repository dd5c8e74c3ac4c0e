"""Enhancing many files: what is to be done, and doing it.

Contract: results are written whole or not at all; nothing is overwritten unless
asked; a bad file costs one sentence and the others go on; the same call again
does what is left.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
import dataclasses
import glob
import os
from pathlib import Path
from typing import Protocol
from typing import runtime_checkable

import cv2
import numpy as np

from sel_jax import files
from sel_jax.arrays import Rgb
from sel_jax.data import folders
from sel_jax.errors import InputError
from sel_jax.images import codec
from sel_jax.images import metadata

# Longest side of each half of a preview.
_PREVIEW = 1024


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


def preview_path(destination: Path) -> Path:
  """Where the preview of a result goes."""
  return destination.with_name(f'{destination.stem}.preview.jpg')


def _write_preview(path: Path, low: np.ndarray, result: np.ndarray) -> None:
  strip = []
  for image in (codec.to_uint8(codec.to_float(low)), codec.to_uint8(result)):
    scale = min(1.0, _PREVIEW / max(image.shape[:2]))
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    strip.append(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
  codec.write_image(path, np.concatenate(strip, axis=1))


def enhance_files(
  enhancer: Brightens,
  jobs: Iterable[Job],
  *,
  strength: float = 1.0,
  preview: bool = False,
  overwrite: bool = False,
  on_progress: Callable[[Job, float], None] | None = None,
) -> Iterator[Outcome]:
  """Does jobs one after another.

  Args:
    enhancer: the model.
    jobs: from `collect`.
    strength: 0 changes nothing, 1 is the whole result; see `Enhancer`.
    preview: also write a low | result strip beside each result.
    overwrite: replace results that are there.
    on_progress: called with (job, share of it just done).

  Yields:
    What became of each, as soon as it is known.
  """
  for job in jobs:
    if _is_kept(job, overwrite):
      yield Outcome(job, 'kept')
      continue

    def done(share, job=job):
      if on_progress:
        on_progress(job, share)

    try:
      yield _enhance_file(enhancer, job, strength, preview, done)
    except InputError as error:
      yield Outcome(job, 'failed', str(error))


def _is_kept(job: Job, overwrite: bool) -> bool:
  return not overwrite and os.path.lexists(job.destination)


def check_files(
  jobs: Iterable[Job], *, overwrite: bool = False
) -> Iterator[Outcome]:
  """What `enhance_files` would make of jobs: reads all, writes nothing.

  Args:
    jobs: what `collect` gives.
    overwrite: redo results that are there.

  Yields:
    What would become of each, in order.
  """

  def check(job: Job) -> Outcome:
    if _is_kept(job, overwrite):
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


def _enhance_file(enhancer, job, strength, preview, done) -> Outcome:
  picture = _read(job)
  low = codec.to_float(picture.pixels)
  result = enhancer(low, strength=strength, on_progress=done)
  files.ensure_directory(job.destination.parent)
  if preview:
    _write_preview(preview_path(job.destination), picture.pixels, result)
  metadata.write_picture(job.destination, result, picture)
  frames = picture.frames
  note = f'only the first of {frames} frames was taken' if frames > 1 else ''
  return Outcome(job, 'written', note)
