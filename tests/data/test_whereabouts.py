"""Where data sets are looked for."""

import pytest

from sel_jax.data import whereabouts
from sel_jax.data.pairs import PairsSpec
from sel_jax.errors import InputError


@pytest.fixture
def here(tmp_path, monkeypatch):
  """A working directory without any data."""
  monkeypatch.chdir(tmp_path)
  monkeypatch.delenv(whereabouts.VARIABLE, raising=False)
  return tmp_path


def _make(folder):
  folder.mkdir(parents=True)
  return folder


def test_the_variable_goes_before_the_working_directory(here, monkeypatch):
  beside = _make(here / 'data/lol_v1')
  assert whereabouts.find('lol_v1').resolve() == beside
  monkeypatch.setenv(whereabouts.VARIABLE, str(here / 'sets'))
  assert whereabouts.find('lol_v1').resolve() == beside  # not there
  named = _make(here / 'sets/lol_v1')
  assert whereabouts.find('lol_v1') == named


def test_a_set_may_lie_as_it_is_unpacked(here):
  unpacked = _make(here / 'data/lol_v2/Real_captured')
  assert whereabouts.find('lol_v2/real').resolve() == unpacked
  renamed = _make(here / 'data/lol_v2/real')
  assert whereabouts.find('lol_v2/real').resolve() == renamed


def test_a_set_that_is_nowhere_is_told_in_one_sentence(here, monkeypatch):
  with pytest.raises(InputError) as error:
    whereabouts.find('lol_v1')
  text = str(error.value)
  for word in (
    '$SEL_JAX_DATA is not set',
    'data/lol_v1',
    'https://daooshee',
    'config.data.root',
    'sample.py',
  ):
    assert word in text
  monkeypatch.setenv(whereabouts.VARIABLE, '/sets')
  with pytest.raises(InputError, match='no folder /sets/mine or data/mine'):
    whereabouts.find('mine')


def test_pairs_without_a_folder_are_looked_for(here, pairs):
  with pytest.raises(InputError, match='lol_v1: .*SEL_JAX_DATA'):
    PairsSpec.create().open('train')
  (here / 'data').mkdir()
  (here / 'data/lol_v1').symlink_to(pairs)
  for name in ('lol_v1', ''):  # of before
    spec = PairsSpec.create(name=name)
    assert len(spec.open('train'))
    assert spec.place == 'data/lol_v1'
