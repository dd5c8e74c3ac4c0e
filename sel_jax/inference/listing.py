"""Photographs that are to be enhanced, and where their results go.

Contract: looks at names and headers alone; no photograph is decoded and nothing
is written.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import glob
import os
from pathlib import Path

from sel_jax.data import folders
from sel_jax.errors import InputError
from sel_jax.images import codec

# What stands beside a result is named as it, with these endings.
_PREVIEW_ENDING = 'preview.jpg'
_SPREAD_ENDING = 'spread.png'
_STRIP_ENDING = 'trajectory.jpg'


def _beside(destination: Path, ending: str) -> Path:
  return destination.with_name(f'{destination.stem}.{ending}')


def preview_path(destination: Path) -> Path:
  """Where the preview of a result goes."""
  return _beside(destination, _PREVIEW_ENDING)


def spread_path(destination: Path) -> Path:
  """Where the map of a result's samples goes."""
  return _beside(destination, _SPREAD_ENDING)


def strip_path(destination: Path) -> Path:
  """Where the strip of a result's states goes."""
  return _beside(destination, _STRIP_ENDING)


@dataclasses.dataclass(frozen=True)
class Extras:
  """What is written beside, or instead of, one result for each photograph.

  Attributes:
    samples: results of as many seeds, numbered from 1, instead of one.
    spread: a map of where the samples differ.
    trajectory: a strip of the sampler's states.
    preview: a low | result strip.
    bracket: results of as many exposures, dark to bright, numbered from 1,
      instead of one.
  """

  samples: int = 1
  spread: bool = False
  trajectory: bool = False
  preview: bool = False
  bracket: int = 1

  def __post_init__(self):
    for name in ('samples', 'bracket'):
      if (count := getattr(self, name)) < 1:
        raise InputError(f'{name}={count}: give 1 or more')
    if self.samples > 1 and self.bracket > 1:
      raise InputError('samples and bracket: give one of both')
    if self.spread and self.samples < 2:
      raise InputError('spread: compares samples; give samples=2 or more')

  @property
  def count(self) -> int:
    """Results of each photograph."""
    return max(self.samples, self.bracket)

  def results(self, destination: Path) -> list[Path]:
    """Where the results of a photograph go."""
    if self.count == 1:
      return [destination]
    numbers = range(1, self.count + 1)
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

  A file goes to `output` by its name; a folder's files by their path in it;
  what a raw file becomes is a TIFF.

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
  if single:
    codec.require_written(output)
  owners: dict[Path, Path] = {}
  jobs = []
  for source, inner in found:
    destination = output if single else output / codec.result_path(inner)
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


def size(job: Job) -> tuple[int, int]:
  """Height and width of a photograph by its header; zeros if it has none."""
  try:
    return codec.read_size(job.source)
  except InputError:
    return 0, 0


def megapixels(job: Job) -> float:
  """Size of a photograph by its header; 0 if that cannot be read."""
  height, width = size(job)
  return height * width / 1e6


def is_kept(job: Job, extras: Extras, overwrite: bool) -> bool:
  """Whether all its results are there, and may stay."""
  wanted = extras.files(job.destination)
  return not overwrite and all(map(os.path.lexists, wanted))


def check_sources(jobs: Sequence[Job], extras: Extras) -> None:
  """Raises InputError where a photograph would be replaced by a result."""
  sources = {os.path.realpath(job.source): job.source for job in jobs}
  for job in jobs:
    for path in extras.files(job.destination):
      if source := sources.get(os.path.realpath(path)):
        raise InputError(
          f'{source}: would be overwritten by a result of {job.source}; choose '
          'another --output'
        )


def by_state(outcomes: Iterable[Outcome]) -> dict[str, list[Outcome]]:
  """Outcomes by their state; each state is there."""
  found: dict[str, list[Outcome]] = {'written': [], 'kept': [], 'failed': []}
  for outcome in outcomes:
    found[outcome.state].append(outcome)
  return found
