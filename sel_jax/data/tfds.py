"""Public data sets as TFDS builders, without TensorFlow.

Contract: a builder reads the manual directory that its instructions describe,
checks names, sizes and counts, and writes array_record files of PNG images.
`tensorflow_datasets` loads on first use.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import dataclasses
import functools
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sel_jax.data import folders
from sel_jax.data import public
from sel_jax.errors import InputError

# Feature of the bright image; records of before have this name.
CLEAN = 'target'


def _png(image: np.ndarray, pair: folders.FilePair) -> bytes:
  if image.dtype != np.uint8:
    raise InputError(
      f'{pair.low}: has 16 bits a sample, which the builder cannot store; use '
      "config.data.source='folder' for this set"
    )
  return cv2.imencode('.png', image[:, :, ::-1])[1].tobytes()


def _examples(
  pairs: Sequence[folders.FilePair],
) -> Iterator[tuple[str, dict[str, Any]]]:
  """Records of a split: upright 8-bit RGB whatever the files were."""
  for pair in pairs:
    low, clean = (_png(image, pair) for image in folders.read_pair(pair))
    yield pair.name, {'name': pair.name, 'low': low, CLEAN: clean}


@functools.cache
def _builders() -> dict[str, type]:
  """Builder classes by their TFDS name; defining them registers them."""
  import tensorflow_datasets as tfds

  def info(self):
    image = tfds.features.Image(shape=(None, None, 3), encoding_format='png')
    features = {'name': tfds.features.Text(), 'low': image, CLEAN: image}
    return tfds.core.DatasetInfo(
      builder=self,
      description='Pairs of low-light and well-exposed photographs.',
      features=tfds.features.FeaturesDict(features),
      homepage=public.get_data_set(_full_name(self)).url,
      disable_shuffling=True,  # in the order of their names, as in the folder
    )

  def split_generators(self, dl_manager):
    found = {
      split: public.find_split(
        Path(dl_manager.manual_dir), _full_name(self), split
      )
      for split in folders.SPLITS
    }
    return {s: self._generate_examples(p) for s, p in found.items() if p}

  made = {}
  for name in public.DATA_SETS:
    title, _, config = name.partition('/')
    names = [
      n.partition('/')[2] for n in public.DATA_SETS if n.startswith(title)
    ]
    if title in made:
      continue
    body = {
      '__module__': __name__,
      '__doc__': public.DATA_SETS[name].title,
      'VERSION': tfds.core.Version('1.0.0'),
      'MANUAL_DOWNLOAD_INSTRUCTIONS': public.instructions(name),
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


def make_builder(data_dir: str | Path, name: str) -> Any:
  """The TFDS builder of a data set.

  Args:
    data_dir: where prepared data sets live.
    name: a row of `public.DATA_SETS`.

  Returns:
    A `tfds.core.GeneratorBasedBuilder` that writes array_record files.

  Raises:
    InputError: for an unknown name, or if `data_dir` is empty.
  """
  public.get_data_set(name)
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


def prepare(data_dir: str | Path, manual_dir: str | Path, name: str) -> Any:
  """Writes a data set's records, unless they are there.

  Args:
    data_dir: where to.
    manual_dir: folder that `public.instructions` describe.
    name: a row of `public.DATA_SETS`.

  Returns:
    The builder.

  Raises:
    InputError: for a missing, miscounted or broken file.
  """
  import tensorflow_datasets as tfds

  builder = make_builder(data_dir, name)
  # Looked at first: TFDS reports a failure inside it at great length.
  for split in folders.SPLITS:
    public.find_split(Path(manual_dir), name, split)
  config = tfds.download.DownloadConfig(manual_dir=str(manual_dir))
  builder.download_and_prepare(download_config=config)
  return builder


@dataclasses.dataclass(frozen=True)
class Split:
  """A prepared split.

  Attributes:
    examples: its records, at random access.
    mark: folder, name and bytes of it: another one for other records.
  """

  examples: Sequence[dict[str, Any]]
  mark: str


def open_split(data_dir: str | Path, name: str, split: str) -> Split | None:
  """A prepared split; None if the data set has none of that name.

  Raises:
    InputError: if the data set was not prepared there.
  """
  builder = make_builder(data_dir, name)
  if not builder.is_prepared():
    raise InputError(
      f'{data_dir}: {name} is not prepared there; run python -m '
      f'experiments.prepare_data --dataset={name} --manual-dir=FOLDER '
      f'--data-dir={data_dir}'
    )
  if split not in builder.info.splits:
    return None
  size = builder.info.splits[split].num_bytes
  where = f'{Path(data_dir).absolute()} {name} {split} {size}'
  return Split(builder.as_data_source(split), where)


def content(example: dict[str, Any]) -> tuple[str, np.ndarray, np.ndarray]:
  """Name, low and clean image of an example, [H, W, 3] uint8 each."""
  name = example['name']
  name = name.decode() if isinstance(name, bytes) else str(name)
  return name, example['low'], example[CLEAN]
