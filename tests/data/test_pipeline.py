import numpy as np
import pytest

from sel_jax.data import degrade
from sel_jax.data import pipeline
from sel_jax.data.augment import augment_pair
from sel_jax.data.augment import AugmentSpec
from sel_jax.data.augment import exposed
from sel_jax.data.augment import tell_exposure
from sel_jax.data.pairs import Pair
from sel_jax.data.sequences import Brightness
from sel_jax.errors import InputError


def _pairs(count=5, side=20):
  rng = np.random.default_rng(0)
  pairs = []
  for n in range(count):
    low = rng.integers(0, 100, (side, side + 3, 3), dtype=np.uint8)
    pairs.append(Pair(str(n), low, low + np.uint8(100)))
  return pairs


def _data(
  seed=0,
  batch_size=3,
  crop=8,
  process=(0, 1),
  loader=None,
  **options,
):
  return pipeline.TrainingData(
    _pairs(),
    seed=seed,
    augment=AugmentSpec(crop, **options),
    loader=loader or pipeline.LoaderSpec(batch_size),
    process=process,
  )


def test_a_batch_is_a_function_of_seed_and_step():
  first, second = _data(), _data()
  late = second.batch(7)  # out of order, on a fresh object
  for step in range(8):
    batch = first.batch(step)
  for key in batch:
    np.testing.assert_array_equal(batch[key], late[key])
  assert batch['low'].shape == (3, 8, 8, 3)
  assert batch['low'].dtype == np.float32
  np.testing.assert_array_equal(batch['index'], [0, 1, 2])
  other = _data(seed=1).batch(7)
  assert not np.array_equal(other['low'], batch['low'])


def test_prefetched_batches_are_the_same():
  data = _data()
  found = list(data.batches(4, 9))
  assert [step for step, _ in found] == [4, 5, 6, 7, 8]
  for step, batch in found:
    np.testing.assert_array_equal(batch['low'], data.batch(step)['low'])
  assert list(data.batches(3, 3)) == []


def test_every_pair_is_seen_once_an_epoch_in_a_new_order():
  data = _data(batch_size=5, flip=False, rotate=False, shrink=0.0)
  # The first photograph's pixels tell which one a crop was cut from.
  pairs = [pair.low.astype(np.float32) / 255 for pair in _pairs()]

  def origin(crop):
    found = [
      index
      for index, pair in enumerate(pairs)
      for window in [np.lib.stride_tricks.sliding_window_view(pair, (8, 8, 3))]
      if np.isclose(window, crop).all((-1, -2, -3)).any()
    ]
    assert len(found) == 1
    return found[0]

  orders = [[origin(c) for c in data.batch(e)['low']] for e in range(4)]
  assert all(sorted(order) == [0, 1, 2, 3, 4] for order in orders)
  assert len({tuple(order) for order in orders}) > 1


def test_processes_share_a_batch_and_nothing_changes():
  whole = _data(batch_size=6).batch(3)
  for rank in range(2):
    part = _data(batch_size=6, process=(rank, 2)).batch(3)
    np.testing.assert_array_equal(part['index'], [rank, rank + 2, rank + 4])
    for key in part:
      np.testing.assert_array_equal(part[key], whole[key][rank::2])


@pytest.mark.fence
def test_worker_processes_make_the_same_batches():
  data = _data(loader=pipeline.LoaderSpec(3, workers=2))
  for step, batch in data.batches(2, 6):
    np.testing.assert_array_equal(batch['low'], data.batch(step)['low'])


def test_both_images_of_a_pair_get_the_same_transform():
  pair = _pairs(1, 40)[0]
  for seed in range(30):
    rng = np.random.default_rng(seed)
    spec = AugmentSpec(16, shrink=0.5)
    low, clean = augment_pair(rng, spec, low=pair.low, clean=pair.clean)
    np.testing.assert_allclose(clean - low, 100 / 255, atol=1e-5)
    assert low.min() >= 0 and clean.max() <= 1


def test_flips_and_turns_cover_all_eight_views():
  pair = _pairs(1, 16)[0]
  square = pair.low[:16, :16]
  seen = {
    augment_pair(
      np.random.default_rng(s),
      AugmentSpec(16, shrink=0.0),
      low=square,
      clean=square,
    )[0].tobytes()
    for s in range(100)
  }
  assert len(seen) == 8
  fixed = augment_pair(
    np.random.default_rng(0),
    AugmentSpec(16, flip=False, rotate=False, shrink=0.0),
    low=square,
    clean=square,
  )[0]
  np.testing.assert_allclose(fixed, square / 255, atol=1e-6)


def test_relighting_mixes_the_clean_image_into_the_low_image():
  pair = _pairs(1)[0]
  plain, mixed = (
    AugmentSpec(16, shrink=0.0, relight=share) for share in (0.0, 0.5)
  )
  shares = []
  for seed in range(200):
    low, clean = augment_pair(
      np.random.default_rng(seed), plain, low=pair.low, clean=pair.clean
    )
    other, same = augment_pair(
      np.random.default_rng(seed), mixed, low=pair.low, clean=pair.clean
    )
    np.testing.assert_array_equal(same, clean)
    share = (other - low) / (clean - low)
    np.testing.assert_allclose(share, share.mean(), atol=1e-4)
    shares.append(share.mean())
  assert 0.4 < np.mean(np.array(shares) > 0) < 0.6
  assert min(shares) == 0 and 0.9 < max(shares) <= 1


def test_a_photograph_smaller_than_the_crop_is_named():
  with pytest.raises(InputError, match=r'0: 23x20 is smaller than the crop'):
    _data(crop=21)


def test_shrinking_is_skipped_where_the_photograph_is_too_small():
  pair = _pairs(1, 20)[0]
  low, _ = augment_pair(
    np.random.default_rng(0),
    AugmentSpec(18, shrink=1.0),
    low=pair.low,
    clean=pair.clean,
  )
  assert low.shape == (18, 18, 3)


def test_srgb_curve_inverts_itself():
  x = np.linspace(0, 1, 101)
  linear = degrade.srgb_to_linear(x)
  np.testing.assert_allclose(degrade.linear_to_srgb(linear), x, atol=1e-6)
  assert linear[50] == pytest.approx(0.214, abs=1e-3)


def test_darkening_has_the_statistics_of_its_model():
  model = degrade.LowLight(
    exposure=(0.0999, 0.1), white_balance=0.0, levels=65536
  )
  image = np.full((200, 200, 3), 0.8, np.float32)
  dark = degrade.darken(np.random.default_rng(0), image, model=model)
  light = degrade.srgb_to_linear(dark)
  expected = degrade.srgb_to_linear(0.8) * 0.1
  assert light.mean() == pytest.approx(expected, rel=0.01)
  electrons = expected * model.full_well
  std = np.sqrt(electrons + model.read_noise**2) / model.full_well
  assert light.std() == pytest.approx(std, rel=0.03)
  again = degrade.darken(np.random.default_rng(0), image, model=model)
  np.testing.assert_array_equal(dark, again)
  assert dark.dtype == np.float32


@pytest.mark.parametrize('whose', ['photograph', 'crop'])
def test_a_batch_tells_the_mean_of_the_clean_photograph_or_crop(whose):
  data = _data(exposure=whose, exposure_dropout=0.0, relight=0.5, shrink=0.5)
  photographs = {np.float32(p.clean.mean() / 255) for p in _pairs()}
  for step in range(5):
    batch = data.batch(step)
    told = batch['exposure']
    assert told.dtype == np.float32 and told.shape == (3,)
    if whose == 'crop':
      means = batch['clean'].mean((1, 2, 3))
      np.testing.assert_allclose(told, means, atol=1e-6)
    else:
      assert all(np.isclose(list(photographs), e).any() for e in told)


def test_a_tenth_is_told_nothing_and_sees_the_same_crop():
  always, sometimes = (_data(exposure_dropout=share) for share in (0.0, 0.1))
  untold = 0
  for step in range(200):
    one, two = always.batch(step), sometimes.batch(step)
    np.testing.assert_array_equal(one['clean'], two['clean'])
    untold += int(np.isnan(two['exposure']).sum())
    assert np.isfinite(one['exposure']).all()
  assert untold == pytest.approx(60, abs=25)


@pytest.mark.parametrize('whose', ['photograph', 'crop'])
def test_another_exposure_of_the_clean_image_is_told_as_it_is(whose):
  """The whole photograph is cropped, so that both means are the same."""
  pair = _pairs(1)[0]
  square = pair.clean[:20, :20]
  spec = AugmentSpec(20, reexpose=0.5, exposure_dropout=0.2, exposure=whose)
  crop, changed, means = square.astype(np.float32) / 255, 0, []
  for seed in range(300):
    clean, told = tell_exposure(
      np.random.default_rng(seed),
      spec,
      crop=crop,
      photograph=Brightness.of(square),
    )
    assert clean.min() >= 0 and clean.max() <= 1
    if np.isnan(told):
      np.testing.assert_array_equal(clean, crop)
      continue
    assert told == pytest.approx(clean.mean(), abs=1e-5)
    changed += not np.array_equal(clean, crop)
    means.append(told)
  assert changed == pytest.approx(120, abs=35)
  assert min(means) < 0.7 * crop.mean() and max(means) > 1.3 * crop.mean()


@pytest.mark.parametrize('gain', [0.4, 1.0, 2.5])
def test_at_another_exposure_dark_tones_gain_and_white_stays_in_range(gain):
  x = np.linspace(0, 1, 101, dtype=np.float32)
  found = exposed(x, gain)
  assert found.dtype == np.float32 and found[0] == 0
  assert found[1] / x[1] == pytest.approx(gain, rel=0.02)
  assert found[-1] == pytest.approx(min(gain, 1))
  assert (np.diff(found) > 0).all()
