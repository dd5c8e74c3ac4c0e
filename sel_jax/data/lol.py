"""Public data sets of low-light pairs as TFDS builders, without TensorFlow.

Contract: a builder reads the manual directory that its instructions describe,
checks names, sizes and counts, and writes array_record files of PNG images:
features 'name', 'low' and 'target'. `tensorflow_datasets` loads on first use.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import functools
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sel_jax.data import sources
from sel_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class DataSet:
  """What is known of a public data set.

  Attributes:
    title: for people.
    counts: pairs of each split as published; empty if any number will do.
    layout: as its authors arrange it, a row of `sources.LAYOUTS`; any other
      row will do as well.
    folder: where that lies in the manual directory.
    url: where to get it.
    licence: what its authors allow.
    bad: names of training pairs known to be broken -> what is wrong.
  """

  title: str
  counts: dict[str, int]
  layout: str
  folder: str
  url: str
  licence: str
  bad: dict[str, str] = dataclasses.field(default_factory=dict)


_LOL_BAD = {
  '142': 'the two images show different views',
  '648': 'the two images show different views',
  '328': 'low and target are 2 pixels apart',
  '330': 'low and target are 2 pixels apart',
}

DATA_SETS: dict[str, DataSet] = {
  'lol_v1': DataSet(
    'LOL-v1',
    {'train': 485, 'test': 15},
    'LOL-v1',
    '',
    'https://daooshee.github.io/BMVC2018website/',
    'research use; no licence is stated',
    _LOL_BAD,
  ),
  'lol_v2/real': DataSet(
    'LOL-v2 real captured',
    {'train': 689, 'test': 100},
    'LOL-v2',
    'Real_captured',
    'https://github.com/flyywh/CVPR-2020-Semi-Low-Light',
    'research use; no licence is stated',
  ),
  'lol_v2/synthetic': DataSet(
    'LOL-v2 synthetic',
    {'train': 900, 'test': 100},
    'LOL-v2',
    'Synthetic',
    'https://github.com/flyywh/CVPR-2020-Semi-Low-Light',
    'research use; no licence is stated',
  ),
  'ntire2024_low_light': DataSet(
    'NTIRE 2024 low light enhancement',
    {'train': 230},
    'NTIRE 2024',
    '',
    'https://codalab.lisn.upsaclay.fr/competitions/17640',
    "the challenge's terms; registration needed",
  ),
  'low_light_pairs': DataSet(
    'your own pairs', {}, 'plain', '', 'your own folder', 'yours'
  ),
}


def get_data_set(name: str) -> DataSet:
  """The row of `DATA_SETS`.

  Raises:
    InputError: for an unknown name.
  """
  if name not in DATA_SETS:
    raise InputError(f'data set {name!r}: choose one of {list(DATA_SETS)}')
  return DATA_SETS[name]


def instructions(name: str) -> str:
  """How to get a data set and where to put it."""
  data = get_data_set(name)
  layout = sources.LAYOUTS[data.layout]
  folders = ', '.join(folder for pair in layout.values() for folder in pair)
  where = f'MANUAL_DIR/{data.folder}' if data.folder else 'MANUAL_DIR'
  return (
    f'{data.title} ({data.licence}). Get it from {data.url} and unpack it so '
    f'that {where} holds {folders}.'
  )


def find_split(
  manual_dir: Path, name: str, split: str
) -> list[sources.Pair] | None:
  """Pairs of a split, counted; None if the data set has no such split.

  Raises:
    InputError: if the folder has another layout or another number of pairs.
  """
  data = get_data_set(name)
  root = manual_dir / data.folder
  if not root.is_dir():
    raise InputError(f'{root}: no such folder. {instructions(name)}')
  pairs = sources.find_pairs(root, split)
  expected = data.counts.get(split)
  if data.counts and len(pairs or ()) != (expected or 0):
    if expected is None:
      return None
    raise InputError(
      f'{root}: {len(pairs or ())} pairs in {split}, but {data.title} has '
      f'{expected}; unpack it again, or use low_light_pairs for another set'
    )
  return pairs


def _png(image: np.ndarray, pair: sources.Pair) -> bytes:
  if image.dtype != np.uint8:
    raise InputError(
      f'{pair.low}: has 16 bits a sample, which the builder cannot store; use '
      "config.data.source='folder' for this set"
    )
  return cv2.imencode('.png', image[:, :, ::-1])[1].tobytes()


def _examples(
  pairs: Sequence[sources.Pair],
) -> Iterator[tuple[str, dict[str, Any]]]:
  """Records of a split: upright 8-bit RGB whatever the files were."""
  for pair in pairs:
    low, target = sources.read_pair(pair)
    yield (
      pair.name,
      {
        'name': pair.name,
        'low': _png(low, pair),
        'target': _png(target, pair),
      },
    )


@functools.cache
def _builders() -> dict[str, type]:
  """Builder classes by their TFDS name; defining them registers them."""
  import tensorflow_datasets as tfds

  def info(self):
    image = tfds.features.Image(shape=(None, None, 3), encoding_format='png')
    features = {'name': tfds.features.Text(), 'low': image, 'target': image}
    return tfds.core.DatasetInfo(
      builder=self,
      description='Pairs of low-light and well-exposed photographs.',
      features=tfds.features.FeaturesDict(features),
      homepage=get_data_set(_full_name(self)).url,
      disable_shuffling=True,  # in the order of their names, as in the folder
    )

  def split_generators(self, dl_manager):
    found = {
      split: find_split(Path(dl_manager.manual_dir), _full_name(self), split)
      for split in sources.SPLITS
    }
    return {s: self._generate_examples(p) for s, p in found.items() if p}

  made = {}
  for name in DATA_SETS:
    title, _, config = name.partition('/')
    names = [n.partition('/')[2] for n in DATA_SETS if n.startswith(title)]
    if title in made:
      continue
    body = {
      '__module__': __name__,
      '__doc__': DATA_SETS[name].title,
      'VERSION': tfds.core.Version('1.0.0'),
      'MANUAL_DOWNLOAD_INSTRUCTIONS': instructions(name),
      'name': title,
      '_info': info,
      '_split_generators': split_generators,
      '_generate_examples': lambda self, pairs: _examples(pairs),
    }
    if config:
      body['BUILDER_CONFIGS'] = [
        tfds.core.BuilderConfig(name=n, version='1.0.0') for n in names
      ]
    class_name = title.title().replace('_', '')
    base = tfds.core.GeneratorBasedBuilder
    made[title] = type(class_name, (base,), body)
  return made


def _full_name(builder) -> str:
  config = builder.builder_config
  return builder.name if config is None else f'{builder.name}/{config.name}'


def make_builder(data_dir: str | Path, name: str):
  """The TFDS builder of a data set.

  Args:
    data_dir: where prepared data sets live.
    name: a row of `DATA_SETS`.

  Returns:
    A `tfds.core.GeneratorBasedBuilder` that writes array_record files.

  Raises:
    InputError: for an unknown name, or if `data_dir` is empty.
  """
  get_data_set(name)
  if not data_dir:
    raise InputError(
      'no data set given: set config.data.root to the folder that '
      'experiments.prepare_data wrote to'
    )
  title, _, config = name.partition('/')
  return _builders()[title](
    data_dir=str(data_dir),
    config=config or None,
    file_format='array_record',
  )


def prepare(data_dir: str | Path, manual_dir: str | Path, name: str):
  """Writes a data set's records, unless they are there.

  Args:
    data_dir: where to.
    manual_dir: folder that `instructions` describe.
    name: a row of `DATA_SETS`.

  Returns:
    The builder.

  Raises:
    InputError: for a missing, miscounted or broken file.
  """
  import tensorflow_datasets as tfds

  builder = make_builder(data_dir, name)
  # Looked at first: TFDS reports a failure inside it at great length.
  for split in sources.SPLITS:
    find_split(Path(manual_dir), name, split)
  config = tfds.download.DownloadConfig(manual_dir=str(manual_dir))
  builder.download_and_prepare(download_config=config)
  return builder


def open_split(
  data_dir: str | Path, name: str, split: str
) -> Sequence[dict[str, Any]] | None:
  """Examples of a prepared split at random access; None if it has none.

  Raises:
    InputError: if the data set was not prepared there.
  """
  builder = make_builder(data_dir, name)
  if not builder.is_prepared():
    raise InputError(
      f'{data_dir}: {name} is not prepared there; run python -m '
      f'experiments.prepare_data --dataset={name} --manual_dir=FOLDER '
      f'--data_dir={data_dir}'
    )
  if split not in builder.info.splits:
    return None
  return builder.as_data_source(split)


def name_of(example: dict[str, Any]) -> str:
  """The pair's name in an example."""
  name = example['name']
  return name.decode() if isinstance(name, bytes) else str(name)
