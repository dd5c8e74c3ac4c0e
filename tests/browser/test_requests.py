"""What strangers send to the page: an answer in words, and the next one too.

Run: make test-browser
"""

from helpers import odd_requests
from helpers import pages
from helpers.odd_weights import VALUES
import pytest

pytestmark = pytest.mark.slow
pytest.importorskip('gradio', reason='make test-browser installs it')

# What is no business of a visitor.
_PATHS = (
  'gradio_api/file=/etc/passwd',
  'gradio_api/file=../../etc/passwd',
  'gradio_api/file=%00',
  'gradio_api/proxy=http://127.0.0.1:1/',
  'gradio_api/run/handle',
  'gradio_api/call/handle',
  'gradio_api/component_server',
  'static/../../../../etc/passwd',
  'assets/..%2f..%2f..%2fetc/passwd',
  '%00',
)


def _photo(n: int, path: str):
  """The upload, another file of the machine, or anything else."""
  kind = {'_type': 'gradio.FileData'}
  if n % 7 == 3:
    return {'path': '/etc/passwd', 'meta': kind}
  if n % 7 == 5:
    return VALUES[n % len(VALUES)]
  return {'path': path, 'meta': kind}


def test_three_hundred_requests_are_answered_in_words(told, tmp_path):
  log, done = tmp_path / 'log', 0
  with pages.serving(told, log) as address:
    for n, odd in enumerate(odd_requests.odd_requests(300, seed=5)):
      path = pages.upload(address, odd.photo.name, odd.photo.content)
      values = [_photo(n, path), *odd.settings.values()]
      told = pages.ask(address, f'visitor{n}', values)
      if told['success']:
        assert n % 7 not in (3, 5), odd
        done += 1
      else:
        assert told['output']['error'], (n, odd)
    for path in _PATHS:
      for data in (None, b'{}', b'\xff' * 100):
        status, reply = pages.call(f'{address}/{path}', data)
        assert status >= 400 and b'root:' not in reply, path
  assert 20 < done < 150
