import math
import os
import statistics
import time

from helpers.doubler import Doubler
from helpers.doubler import write as _write
import numpy as np
import pytest

from sel_jax.errors import InputError
from sel_jax.images import codec
from sel_jax.images import metadata
from sel_jax.inference import bulk
from sel_jax.inference import listing
from sel_jax.inference import reading
from sel_jax.inference.exposure import Plausible


def _targets(jobs, root):
  return sorted(str(job.destination.relative_to(root)) for job in jobs)


@pytest.fixture
def photos(tmp_path):
  root = tmp_path / 'photos'
  for name in ('a.png', 'b.jpg', 'sub/a.png', 'sub/deep/c.webp'):
    _write(root / name)
  (root / 'notes.txt').write_text('')
  return root


def test_folders_files_and_patterns_are_collected(photos, tmp_path):
  out = tmp_path / 'out'
  jobs = listing.collect([str(photos)], out)
  assert _targets(jobs, out) == ['a.png', 'b.jpg']
  jobs = listing.collect([str(photos)], out, recursive=True)
  assert _targets(jobs, out) == [
    'a.png', 'b.jpg', 'sub/a.png', 'sub/deep/c.webp',
  ]  # fmt: skip
  jobs = listing.collect([f'{photos}/*.jpg', str(photos / 'a.png')], out)
  assert _targets(jobs, out) == ['a.png', 'b.jpg']
  jobs = listing.collect([f'{photos}/**/c.webp'], out)
  assert _targets(jobs, out) == ['c.webp']
  twice = listing.collect([str(photos / 'a.png')] * 2, out)
  assert len(twice) == 1
  single = listing.collect([str(photos / 'a.png')], tmp_path / 'new.jpg')
  assert single[0].destination == tmp_path / 'new.jpg'


def test_results_within_the_folder_are_no_photographs(photos):
  out = photos / 'enhanced'
  _write(out / 'old.png')
  jobs = listing.collect([str(photos)], out, recursive=True)
  assert not [job for job in jobs if job.source.name == 'old.png']


def test_links_that_lead_in_circles_end(photos, tmp_path):
  os.symlink(photos, photos / 'sub' / 'again')
  jobs = listing.collect([str(photos)], tmp_path / 'out', recursive=True)
  assert len(jobs) == 4


def test_what_would_be_lost_is_refused(photos, tmp_path):
  with pytest.raises(InputError, match='overwritten by its own result'):
    listing.collect([str(photos)], photos)
  linked = tmp_path / 'linked'
  os.symlink(photos, linked)
  with pytest.raises(InputError, match='overwritten by its own result'):
    listing.collect([str(photos / 'a.png')], linked)
  with pytest.raises(InputError, match='have one name'):
    both = [str(photos / 'a.png'), str(photos / 'sub' / 'a.png')]
    listing.collect(both, tmp_path / 'out')
  with pytest.raises(InputError, match='matches no file'):
    listing.collect([f'{photos}/*.gif'], tmp_path / 'out')
  (tmp_path / 'outer' / 'inner').mkdir(parents=True)
  with pytest.raises(InputError, match='--recursive looks'):
    listing.collect([str(tmp_path / 'outer')], tmp_path / 'out')


def test_bad_files_fail_alone_and_a_second_call_does_the_rest(photos, tmp_path):
  _write(photos / 'bad.png')
  whole = (photos / 'bad.png').read_bytes()
  (photos / 'bad.png').write_bytes(whole[: len(whole) // 2])
  (photos / 'text.jpg').write_text('hello')
  (photos / 'empty.png').touch()
  os.symlink('loop.png', photos / 'loop.png')
  names = ['a.png', 'bad.png', 'b.jpg', 'text.jpg', 'empty.png', 'loop.png']
  inputs = [str(photos / name) for name in [*names, 'missing.png']]
  jobs = listing.collect(inputs, tmp_path / 'out')
  shares = []
  outcomes = list(
    bulk.enhance_files(
      Doubler(), jobs, on_progress=lambda job, share: shares.append(share)
    )
  )
  states = {o.job.source.name: o.state for o in outcomes}
  assert states == {
    'a.png': 'written', 'b.jpg': 'written', 'bad.png': 'failed',
    'text.jpg': 'failed', 'empty.png': 'failed', 'loop.png': 'failed',
    'missing.png': 'failed',
  }  # fmt: skip
  for outcome in outcomes:
    if outcome.state == 'failed':
      assert str(outcome.job.source) in outcome.note
  assert shares == [1.0, 1.0]
  left = sorted(p.name for p in (tmp_path / 'out').iterdir())
  assert left == ['a.png', 'b.jpg']
  (photos / 'bad.png').write_bytes(whole)
  again = Doubler()
  outcomes = list(bulk.enhance_files(again, jobs))
  states = {o.job.source.name: o.state for o in outcomes}
  assert states['a.png'] == 'kept' and states['bad.png'] == 'written'
  assert again.calls == 1


def test_nothing_is_overwritten_unless_asked(photos, tmp_path):
  _write(tmp_path / 'out' / 'a.png', value=7)
  jobs = listing.collect([str(photos / 'a.png')], tmp_path / 'out')
  assert [o.state for o in bulk.enhance_files(Doubler(), jobs)] == ['kept']
  assert codec.read_image(jobs[0].destination).max() == 7
  list(bulk.enhance_files(Doubler(), jobs, overwrite=True, strength=0.5))
  assert codec.read_image(jobs[0].destination).max() == 30


def test_previews_show_both(photos, tmp_path):
  jobs = listing.collect([str(photos / 'a.png')], tmp_path / 'out')
  list(bulk.enhance_files(Doubler(), jobs, extras=listing.Extras(preview=True)))
  strip = codec.read_image(listing.preview_path(jobs[0].destination))
  assert strip.shape == (8, 24, 3)
  assert strip[:, 12:].mean() > 1.5 * strip[:, :12].mean()


class Sampler(Doubler):
  """Stands in for a model whose samples differ."""

  def samples(self, image, count, *, exposure, ev, strength, on_progress):
    results = [(1 + n / 10) * image for n in range(count)]
    on_progress(1.0)
    return np.clip(results, 0, 1) * strength

  def trajectory(self, image, *, exposure, ev):
    return np.stack([image + n / 30 for n in range(20)])


def test_samples_are_numbered_and_maps_lie_beside_them(tmp_path):
  _write(tmp_path / 'a.jpg', 200)
  jobs = listing.collect([str(tmp_path / 'a.jpg')], tmp_path / 'out')
  extras = listing.Extras(samples=3, spread=True, trajectory=True)
  (outcome,) = bulk.enhance_files(Sampler(), jobs, extras=extras)
  assert outcome.state == 'written'
  out = tmp_path / 'out'
  names = ['a-1.jpg', 'a-2.jpg', 'a-3.jpg', 'a.spread.png', 'a.trajectory.jpg']
  assert sorted(p.name for p in out.iterdir()) == names
  means = [codec.read_image(out / name).mean() for name in names[:3]]
  assert means == pytest.approx([200, 220, 240], abs=1)
  assert codec.read_image(out / 'a.spread.png').shape == (8, 12, 3)
  assert codec.read_image(out / 'a.trajectory.jpg').shape == (8, 8 * 12, 3)
  (outcome,) = bulk.enhance_files(Sampler(), jobs, extras=extras)
  assert outcome.state == 'kept'
  (out / 'a-2.jpg').unlink()
  (outcome,) = reading.check_files(jobs, extras=extras)
  assert outcome.state == 'written'


class Bracketing(Doubler):
  """Stands in for a model that is told how bright."""

  def plausible(self, image):
    return Plausible(0.0, 1.0, float(image.mean()))

  def __call__(self, image, *, exposure, **options):
    super().__call__(image, exposure=exposure, **options)
    return np.full_like(image, exposure)


def test_a_bracket_goes_from_dark_to_bright(tmp_path):
  _write(tmp_path / 'a.png', 20)
  jobs = listing.collect([str(tmp_path / 'a.png')], tmp_path / 'out')
  model, shares = Bracketing(), []
  (outcome,) = bulk.enhance_files(
    model,
    jobs,
    ev=0.5,
    extras=listing.Extras(bracket=3),
    on_progress=lambda job, share: shares.append(share),
  )
  assert outcome.state == 'written' and sum(shares) == pytest.approx(1)
  found = [codec.read_image(tmp_path / 'out' / f'a-{n}.png') for n in (1, 2, 3)]
  z = statistics.NormalDist().inv_cdf(5 / 6)
  expected = [1 / (1 + math.exp(-x)) for x in (-z, 0, z)]
  means = [image.mean() / 255 for image in found]
  assert means == pytest.approx(expected, abs=0.5 / 255)
  assert [ev for _, ev in model.asked] == [0.5] * 3


def test_a_series_shares_what_is_plausible(tmp_path):
  for n in range(3):
    _write(tmp_path / f'{n}.png', 20)
  jobs = listing.collect([str(tmp_path)], tmp_path / 'out')
  model, wanted = Bracketing(), Plausible(0.0, 1.0, 0.6)
  list(bulk.enhance_files(model, jobs, exposure=wanted))
  assert model.asked == [(0.6, 0.0)] * 3


def test_what_is_asked_for_later_is_added_and_the_rest_stays(tmp_path):
  _write(tmp_path / 'a.jpg', 200)
  jobs = listing.collect([str(tmp_path / 'a.jpg')], tmp_path / 'out')
  list(bulk.enhance_files(Sampler(), jobs))
  result = tmp_path / 'out' / 'a.jpg'
  result.write_bytes(b'mine')
  extras = listing.Extras(preview=True, trajectory=True)
  (outcome,) = bulk.enhance_files(Sampler(), jobs, extras=extras)
  assert outcome.state == 'written'
  assert result.read_bytes() == b'mine'
  assert len(list((tmp_path / 'out').iterdir())) == 3
  (outcome,) = bulk.enhance_files(Sampler(), jobs, extras=extras)
  assert outcome.state == 'kept'


def test_no_sample_replaces_a_photograph(tmp_path):
  for name in ('a.jpg', 'a-2.jpg'):
    _write(tmp_path / name, 200)
  jobs = [listing.Job(tmp_path / 'a-2.jpg', tmp_path / 'out' / 'a-2.jpg'),
          listing.Job(tmp_path / 'a.jpg', tmp_path / 'a.jpg')]  # fmt: skip
  extras = listing.Extras(samples=2)
  for overwrite in (False, True):
    for act in (reading.check_files, _enhance):
      with pytest.raises(InputError, match=r'a-2.jpg: would be overwritten by'):
        list(act(jobs, extras=extras, overwrite=overwrite))
  assert sorted(p.name for p in tmp_path.iterdir()) == ['a-2.jpg', 'a.jpg']


def _enhance(jobs, **options):
  return bulk.enhance_files(Sampler(), jobs, **options)


@pytest.mark.parametrize(
  ('extras', 'words'),
  [
    ({'samples': 0}, 'samples=0: give 1'),
    ({'spread': True}, 'give samples=2'),
    ({'bracket': 0}, 'bracket=0: give 1'),
    ({'bracket': 3, 'samples': 2}, 'give one of both'),
  ],
)
def test_extras_that_make_no_sense_are_refused(extras, words):
  with pytest.raises(InputError, match=words):
    listing.Extras(**extras)


def test_on_several_devices_photographs_of_a_kind_go_together(tmp_path):
  """The stand-in's plan tells them apart by their height."""
  heights = [8, 9, 8, 8, 9, 8, 8]
  for n, height in enumerate(heights):
    _write(tmp_path / f'{n}.png', size=(height, 12))
  (tmp_path / '7.png').write_text('hello')
  jobs = listing.collect([str(tmp_path)], tmp_path / 'out')
  several, shares = Doubler(at_once=2), []
  outcomes = list(
    bulk.enhance_files(
      several, jobs, on_progress=lambda job, share: shares.append(share)
    )
  )
  assert sorted(o.state for o in outcomes) == ['failed'] + 7 * ['written']
  assert several.together == [2, 2, 2] and several.calls == 1
  assert shares == [1.0] * 7
  for n, height in enumerate(heights):
    result = codec.read_image(tmp_path / 'out' / f'{n}.png')
    assert result.shape == (height, 12, 3) and np.all(result == 40)


class _Slow(Doubler):
  """Notes which files were read and written when it is called."""

  def __init__(self, read, out):
    super().__init__()
    self._read, self._out, self.seen = read, out, []

  def __call__(self, image, **options):
    time.sleep(0.1)
    written = len(list(self._out.iterdir())) if self._out.exists() else 0
    self.seen.append((len(self._read), written))
    return super().__call__(image, **options)


def test_files_are_read_ahead_and_written_behind(tmp_path, monkeypatch):
  for n in range(6):
    _write(tmp_path / f'{n}.png')
  read, reader = [], metadata.read_picture

  def read_picture(path):
    read.append(path)
    return reader(path)

  monkeypatch.setattr(metadata, 'read_picture', read_picture)
  jobs = listing.collect([str(tmp_path)], tmp_path / 'out')
  slow = _Slow(read, tmp_path / 'out')
  assert len(list(bulk.enhance_files(slow, jobs))) == 6
  for n, (decoded, written) in enumerate(slow.seen):
    # Itself, one beside it, one that waits for both, and two before their turn.
    assert n < decoded <= n + 5
    assert written <= n
  assert slow.seen[0][0] > 2 and slow.seen[5][1] > 0


def test_who_stops_listening_leaves_whole_files(tmp_path):
  for n in range(6):
    _write(tmp_path / f'{n}.png')
  jobs = listing.collect([str(tmp_path)], tmp_path / 'out')
  outcomes = bulk.enhance_files(Doubler(), jobs)
  assert next(outcomes).state == 'written'
  outcomes.close()
  left = sorted((tmp_path / 'out').iterdir())
  assert 1 <= len(left) < 6
  assert all(np.all(codec.read_image(path) == 40) for path in left)
  states = [o.state for o in bulk.enhance_files(Doubler(), jobs)]
  assert states == ['kept'] * len(left) + ['written'] * (6 - len(left))


def test_results_that_cannot_be_written_are_named(tmp_path):
  for n in range(3):
    _write(tmp_path / f'{n}.png')
  (tmp_path / 'out' / '1.png').mkdir(parents=True)
  jobs = listing.collect([str(tmp_path)], tmp_path / 'out')
  outcomes = list(bulk.enhance_files(Doubler(), jobs, overwrite=True))
  states = {o.job.source.name: o.state for o in outcomes}
  assert states == {'0.png': 'written', '1.png': 'failed', '2.png': 'written'}
  (failed,) = [o for o in outcomes if o.state == 'failed']
  assert '1.png' in failed.note
