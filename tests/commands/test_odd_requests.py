"""What a stranger asks the page for: a photograph, or one sentence."""

import time

from helpers import odd_requests
import pytest

from sel_jax import limits
from sel_jax.commands import page
from sel_jax.errors import InputError
from sel_jax.images import codec
from sel_jax.inference import Enhancer


@pytest.fixture
def studio(told, tmp_path):
  (tmp_path / 'results').mkdir()
  limits.allow(0.01)
  yield page.Studio(Enhancer.from_checkpoint(told), tmp_path / 'results')
  limits.allow(limits.MEGAPIXELS)


def _each_is_a_photograph_or_one_sentence(studio, folder, count, seed):
  """Whether each was answered by a photograph."""
  outcomes = []
  for odd in odd_requests.odd_requests(count, seed=seed):
    path = odd.photo.write(folder)
    begin = time.monotonic()
    try:
      _, after, file = studio.restore(
        str(path), **odd.settings, on_progress=lambda share: None
      )
    except InputError as error:
      assert 10 < len(str(error)) < 500, error
      assert str(folder) not in str(error), error
      assert 'could not be brightened' not in str(error), (error, odd)
      outcomes.append(False)
    else:
      height, width = codec.read_size(path)
      assert after.shape == (height, width, 3)
      assert codec.read_size(file) == (height, width)
      outcomes.append(True)
    path.unlink()
    assert time.monotonic() - begin < 60, odd
  return outcomes


def test_each_is_a_photograph_or_one_sentence(studio, tmp_path):
  found = _each_is_a_photograph_or_one_sentence(studio, tmp_path, 30, 2)
  assert any(found) and not all(found)


@pytest.mark.slow
def test_three_hundred_are_photographs_or_one_sentence(studio, tmp_path):
  found = _each_is_a_photograph_or_one_sentence(studio, tmp_path, 300, 1)
  assert 50 < sum(found) < 200


@pytest.mark.parametrize(
  ('name', 'value', 'sentence'),
  [
    ('ev', float('nan'), 'Brightness: give a number from -2 to 2'),
    ('sampler', ['ddim'], 'Sampler: give one of'),
    ('steps', 10**9, 'Steps: give a whole number from 1 to'),
    ('steps', True, 'Steps: give a whole number'),
    ('strength', '1', 'Strength: give a number from 0 to 1'),
    ('seed', None, 'Seed: give a whole number from 0'),
  ],
)
def test_a_setting_that_the_page_does_not_offer_is_named(
  studio, name, value, sentence
):
  asked = {'ev': 0, 'sampler': 'ddim', 'steps': 1, 'strength': 1, 'seed': 0}
  asked[name] = value
  with pytest.raises(InputError, match=sentence):
    studio.restore('a.png', **asked, on_progress=lambda share: None)
