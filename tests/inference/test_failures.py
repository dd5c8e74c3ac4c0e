"""What goes wrong with one photograph costs no other one."""

from helpers.doubler import Doubler
from helpers.doubler import write as _write
import numpy as np
import pytest

from sel_jax.images import metadata
from sel_jax.inference import bulk
from sel_jax.inference import listing


class _Stumbles(Doubler):
  """Raises what nobody expects where a photograph is of one value."""

  def __init__(self, value, error, at_once=1):
    super().__init__(at_once)
    self._value, self._error = value / 255, error

  def _check(self, image):
    if np.allclose(image, self._value):
      raise self._error

  def __call__(self, image, **options):
    self._check(image)
    return super().__call__(image, **options)

  def many(self, images, **options):
    for image in images:
      self._check(image)
    return super().many(images, **options)


@pytest.mark.parametrize('at_once', [1, 2])
def test_what_nobody_expects_is_one_photographs_failure(tmp_path, at_once):
  for n in range(5):
    _write(tmp_path / f'{n}.png', value=20 + n)
  jobs = listing.collect([str(tmp_path)], tmp_path / 'out')
  log = tmp_path / 'errors.log'
  model = _Stumbles(22, RuntimeError('a\nlibrary  stumbled'), at_once)
  outcomes = list(bulk.enhance_files(model, jobs, log=log))
  states = {o.job.source.stem: o.state for o in outcomes}
  assert states == {str(n): 'written' for n in range(5)} | {'2': 'failed'}
  (failed,) = [o for o in outcomes if o.state == 'failed']
  assert failed.note == (
    f'{tmp_path / "2.png"}: stumbled over it (RuntimeError: a library '
    f'stumbled); {log} has the traceback'
  )
  text = log.read_text()
  assert text.startswith(f'{tmp_path / "2.png"}\nTraceback')
  assert text.count('Traceback') == 1 and 'raise self._error' in text
  assert not (tmp_path / 'out' / '2.png').exists()


@pytest.mark.parametrize('where', ['read_picture', 'write_picture'])
def test_so_is_what_files_raise(tmp_path, monkeypatch, where):
  for n in range(3):
    _write(tmp_path / f'{n}.png')
  jobs = listing.collect([str(tmp_path)], tmp_path / 'out')
  function = getattr(metadata, where)

  def stumble(path, *args):
    if path.name == '1.png':
      raise KeyError('nobody expected')
    return function(path, *args)

  monkeypatch.setattr(metadata, where, stumble)
  log = tmp_path / 'errors.log'
  outcomes = list(bulk.enhance_files(Doubler(), jobs, log=log))
  assert sorted(o.state for o in outcomes) == ['failed', 'written', 'written']
  assert 'KeyError' in log.read_text()


@pytest.mark.parametrize(
  'error', [MemoryError(), RuntimeError('RESOURCE_EXHAUSTED: 9 GB')]
)
def test_too_little_memory_has_its_own_sentence(tmp_path, error):
  for n in range(2):
    _write(tmp_path / f'{n}.png', value=20 + n)
  jobs = listing.collect([str(tmp_path)], tmp_path / 'out')
  log = tmp_path / 'errors.log'
  outcomes = list(bulk.enhance_files(_Stumbles(20, error), jobs, log=log))
  (failed,) = [o for o in outcomes if o.state == 'failed']
  assert 'more memory than there is; give --tile=512' in failed.note
  assert not log.exists()


def test_a_log_that_cannot_be_written_costs_no_photograph(tmp_path, caplog):
  for n in range(2):
    _write(tmp_path / f'{n}.png', value=20 + n)
  jobs = listing.collect([str(tmp_path)], tmp_path / 'out')
  model, log = _Stumbles(20, ValueError('odd')), tmp_path / 'no' / 'errors.log'
  outcomes = list(bulk.enhance_files(model, jobs, log=log))
  (failed,) = [o for o in outcomes if o.state == 'failed']
  assert failed.note.endswith('its traceback was logged')
  assert 'ValueError: odd' in caplog.text


def test_an_interrupt_is_nobodys_failure(tmp_path):
  for n in range(3):
    _write(tmp_path / f'{n}.png', value=20 + n)
  jobs = listing.collect([str(tmp_path)], tmp_path / 'out')
  model = _Stumbles(21, KeyboardInterrupt())
  with pytest.raises(KeyboardInterrupt):
    list(bulk.enhance_files(model, jobs, log=tmp_path / 'errors.log'))
  assert not (tmp_path / 'errors.log').exists()
