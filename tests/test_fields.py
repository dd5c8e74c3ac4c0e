"""Keys that are described once: checks, parts, rows, weights."""

from typing import Literal
from typing import Optional

import hypothesis
from hypothesis import strategies as st
import pytest

from sel_jax import fields
from sel_jax.errors import SettingError
from sel_jax.fields import key

FRUITS = {}


@fields.spec
class Apple:
  """A row without bounds."""

  seeds: int = key('in its core', default=5, ge=0)
  shared: float = key('of both rows', default=0.5)


@fields.spec
class Pear:
  """Another row."""

  shared: float = key('of both rows', default=0.5)
  soft: bool = key('to the touch', default=True)


FRUITS |= {'apple': Apple, 'pear': Pear}


@fields.spec
class Size:
  """A part."""

  width: int = key('of the basket', default=3, ge=1)
  slots: tuple[int, ...] = key('in each row', default=(1, 2), ge=1)


def heavy(pred, target):
  """Heavy things count."""


LOSSES = {'heavy': heavy}


@fields.spec
class Basket:
  """All of it."""

  name: str = key('the fruit', default='apple', choices=FRUITS)
  height: float | str = key('or a rule', default=1.0, gt=0, choices=('golden',))
  span: tuple[float, float] = key('from and to', default=(0.0, 1.0))
  size: Size = fields.part(factory=Size)
  fruit: object = fields.row('name', FRUITS, default='apple')
  weights: tuple = fields.weights(LOSSES, default=())

  def __post_init__(self):
    if self.span[0] >= self.span[1]:
      raise fields.refuse(self, 'span', 'must rise')


@fields.spec
class Lidded(Basket):
  """A spec above another."""

  lid: bool = key('on top', default=False)

  def __post_init__(self):
    if self.lid and self.height == 'golden':
      raise fields.refuse(self, 'lid', 'does not fit')


def test_every_key_is_listed_once_with_its_rows():
  found = fields.described(Basket)
  assert list(found) == [
    'name', 'height', 'span', 'width', 'slots', 'seeds', 'shared', 'soft',
    'heavy',
  ]  # fmt: skip
  assert found['seeds'].rows == ('apple',)
  assert found['shared'].rows == ()  # every row has it
  assert found['width'].rows == ()
  assert found['heavy'].key.text.startswith('weight of: heavy things count')
  assert fields.described(Basket)['slots'].default == (1, 2)


def test_flat_values_become_specs_and_flat_values_again():
  values = {'name': 'pear', 'soft': False, 'width': 7, 'heavy': 2.0}
  found = fields.build(Basket, values)
  assert found.fruit == Pear(soft=False) and found.size == Size(width=7)
  assert found.weights == (('heavy', 2.0),)
  again = fields.flat(found)
  assert fields.build(Basket, again) == found
  assert again['soft'] is False and 'seeds' not in again
  assert isinstance(hash(found), int)


def test_lists_of_json_become_tuples_and_whole_numbers_floats():
  found = fields.build(Basket, {'slots': [4, 5], 'height': 2, 'span': [0, 2]})
  assert found.size.slots == (4, 5)
  assert found.height == 2.0 and isinstance(found.height, float)
  assert found.span == (0.0, 2.0)


WRONG = {
  'width': [
    ('3', 'give a whole number, such as 3'),
    (3.0, 'give a whole number, such as 3'),
    (True, 'give a whole number, such as 3'),
    (0, 'must be at least 1'),
    (None, 'give a whole number'),
  ],
  'height': [
    (0.0, 'must be above 0'),
    (float('nan'), 'must be finite'),
    (float('inf'), 'must be finite'),
    (10**400, 'must be finite'),
    ('goldn', r"choose one of \['golden'\] or a number \(did you mean"),
    ((1,), 'give a number or text, such as 1.0'),
  ],
  'slots': [
    (3, r'give a tuple, each a whole number, such as \(1, 2\)'),
    ((1, 0), 'must be at least 1'),
    ((1, 'x'), 'give a tuple, each a whole number'),
  ],
  'span': [
    ((0.0,), 'give a tuple, 2, each a number'),
    ((2.0, 1.0), 'must rise'),
  ],
  'name': [('plum', r"choose one of \['apple', 'pear'\]"), (1, 'give text')],
  'heavy': [(-1.0, 'must be at least 0')],
  'widht': [(1, "widht: unknown key; did you mean 'width'?")],
}


@pytest.mark.parametrize(
  ('name', 'value', 'message'),
  [(n, v, m) for n, cases in WRONG.items() for v, m in cases],
)
def test_what_does_not_fit_is_named(name, value, message):
  with pytest.raises(SettingError, match=message) as caught:
    fields.build(Basket, {name: value})
  assert caught.value.key == name


def test_keys_of_rows_that_were_not_chosen_do_nothing_and_are_told():
  values = {'name': 'apple', 'soft': False, 'seeds': 4}
  found = fields.build(Basket, values)
  assert fields.unused(found, values) == {'soft': ('pear',)}
  assert fields.unused(found, {**values, 'soft': True}) == {}


def test_a_row_added_from_outside_brings_its_keys(monkeypatch):
  @fields.spec
  class Plum:
    stone: int = key('inside', default=1, ge=1)

  monkeypatch.setitem(FRUITS, 'plum', Plum)
  assert fields.described(Basket)['stone'].rows == ('plum',)
  found = fields.build(Basket, {'name': 'plum', 'stone': 2})
  assert found.fruit == Plum(2)
  with pytest.raises(SettingError, match='at least 1'):
    fields.build(Basket, {'name': 'plum', 'stone': 0})


def test_direct_calls_are_checked_like_configurations():
  with pytest.raises(SettingError, match=r'^Size.width=0: must be at least 1'):
    Size(width=0)
  with pytest.raises(SettingError, match=r'^Basket.span=.*: must rise'):
    Basket(span=(1.0, 0.0))
  with pytest.raises(SettingError, match=r'goes with fruit=Pear'):
    Basket(name='pear')
  assert Basket(name='pear', fruit=Pear()).fruit.soft


def test_rules_of_bases_hold_too():
  with pytest.raises(SettingError, match='Lidded.span'):
    Lidded(span=(1.0, 0.0))
  with pytest.raises(SettingError, match='Lidded.lid=True: does not fit'):
    Lidded(lid=True, height='golden')


@hypothesis.settings(deadline=None)
@hypothesis.given(
  st.fixed_dictionaries(
    {},
    optional={
      'name': st.sampled_from(['apple', 'pear']),
      'height': st.floats(0.1, 10) | st.just('golden'),
      'width': st.integers(1, 100),
      'slots': st.lists(st.integers(1, 9)),
      'seeds': st.integers(0, 9),
      'shared': st.floats(-1e12, 1e12),
      'soft': st.booleans(),
      'heavy': st.floats(0, 5),
    },
  )
)
def test_what_is_stored_is_read_again(values):
  found = fields.build(Basket, values)
  assert fields.build(Basket, fields.flat(found)) == found


@fields.spec
class Sack:
  """Types that no key of the package has."""

  rest: int | None = key('what is left', default=None, ge=0)
  mark: Optional[str] = key('on it', default=None)  # noqa: UP045
  side: Literal['left', 'right'] = key('where it hangs', default='left')
  rows: tuple[tuple[int, int], ...] = key('of it', default=())


@fields.spec
class Box:
  """No spec."""

  odd: dict = key('no key can be this', default=None)


def test_unions_literals_and_tuples_of_tuples_are_checked():
  assert Sack(rest=3, rows=((1, 2),)).rows == ((1, 2),)
  for name, value in (('rest', -1), ('side', 'up'), ('rows', ((1,),))):
    with pytest.raises(SettingError) as caught:
      fields.build(Sack, {name: value})
    assert caught.value.key == name
  with pytest.raises(SettingError, match='rest.*must be at least 0'):
    fields.build(Sack, {'rest': -1})
  with pytest.raises(TypeError, match='odd: .* no type of a key'):
    Box()


@hypothesis.given(
  st.one_of(st.integers(), st.floats(), st.text(), st.booleans(), st.none())
)
def test_a_float_key_takes_finite_numbers_in_range_and_nothing_else(value):
  number = isinstance(value, int | float) and not isinstance(value, bool)
  try:
    found = fields.build(Basket, {'heavy': value}).weights
  except SettingError:
    assert not number or not 0 <= value <= 1e12
  else:
    assert number and 0 <= value <= 1e12
    assert dict(found).get('heavy', 0.0) == float(value)
