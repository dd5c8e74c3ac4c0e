"""What is known of public data sets of low-light pairs.

Contract: a row a data set: where to get it, how it is arranged, how many pairs
it has, what is wrong with it. Looks at names and counts, never at pixels.
"""

import dataclasses
from pathlib import Path

from sel_jax.data import folders
from sel_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class DataSet:
  """What is known of a public data set.

  Attributes:
    title: for people.
    counts: pairs of each split as published; empty if any number will do.
    layout: as its authors arrange it, a row of `folders.LAYOUTS`; any other
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
  '328': 'the two images are 2 pixels apart',
  '330': 'the two images are 2 pixels apart',
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
  layout = folders.LAYOUTS[data.layout]
  names = ', '.join(folder for pair in layout.values() for folder in pair)
  where = f'MANUAL_DIR/{data.folder}' if data.folder else 'MANUAL_DIR'
  return (
    f'{data.title} ({data.licence}). Get it from {data.url} and unpack it so '
    f'that {where} holds {names}.'
  )


def find_split(
  manual_dir: Path, name: str, split: str
) -> list[folders.FilePair] | None:
  """Pairs of a split, counted; None if the data set has no such split.

  Raises:
    InputError: if the folder has another layout or another number of pairs.
  """
  data = get_data_set(name)
  root = manual_dir / data.folder
  if not root.is_dir():
    raise InputError(f'{root}: no such folder. {instructions(name)}')
  pairs = folders.find_pairs(root, split)
  expected = data.counts.get(split)
  if data.counts and len(pairs or ()) != (expected or 0):
    if expected is None:
      return None
    raise InputError(
      f'{root}: {len(pairs or ())} pairs in {split}, but {data.title} has '
      f'{expected}; unpack it again, or use low_light_pairs for another set'
    )
  return pairs
