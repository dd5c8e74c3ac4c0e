"""The page in a real browser: upload, run, compare, download.

Run: make test-browser
"""

import contextlib
import os
import re
import shutil
import urllib.error
import urllib.request

import cv2
from helpers.commands import ROOT
from helpers.pages import serving
import numpy as np
import pytest

from sel_jax.diffusion import SAMPLERS
from sel_jax.images import codec
from sel_jax.inference import Enhancer

pytestmark = pytest.mark.slow
playwright = pytest.importorskip(
  'playwright.sync_api', reason='make test-browser installs it'
)

BROWSERS = ('chromium', 'chromium-browser', 'google-chrome')
# The sandbox of Chromium does not run as root, where containers are.
FLAGS = ['--no-sandbox'] if os.geteuid() == 0 else []


@pytest.fixture(scope='module')
def address(trained, tmp_path_factory):
  """Where a page is, of its own process."""
  with serving(trained, tmp_path_factory.mktemp('page') / 'log') as url:
    yield url


@pytest.fixture
def page(address):
  """The page in a browser, and every host that it asked."""
  with _browsing(address) as page:
    yield page


@contextlib.contextmanager
def _browsing(address):
  found = [path for name in BROWSERS if (path := shutil.which(name))]
  if not found:
    pytest.fail('no browser: tests/browser/install_chromium.sh installs one')
  with playwright.sync_playwright() as driver:
    browser = driver.chromium.launch(executable_path=found[0], args=FLAGS)
    page = browser.new_page(viewport={'width': 1280, 'height': 860})
    page.hosts = set()
    page.on('request', lambda r: page.hosts.add(r.url.split('/')[2]))
    page.goto(address)
    page.get_by_text('Brighten a dark photograph').wait_for()
    yield page
    browser.close()


def test_every_sampler_is_offered(page):
  page.get_by_label('Sampler').click()
  for name in SAMPLERS:
    page.get_by_role('option', name=name, exact=True).wait_for()
  assert not page.locator('#ev').is_visible()  # this model is not told


def _upload(page, path):
  page.locator('#photo input[type=file]').set_input_files(path)
  page.locator('#photo').get_by_text(re.compile(path.stem[:8])).first.wait_for()


def _brighten(page):
  page.locator('#go').click()


def _result(page, path):
  """The picture that the page offers for download, kept as `path`."""
  page.wait_for_function(
    '() => !document.querySelector("#download").disabled', timeout=90_000
  )
  with page.expect_download() as waiting:
    page.locator('#download').click()
  waiting.value.save_as(path)
  return waiting.value.suggested_filename, codec.read_image(path)


# Where the page's second picture is from.
_SOURCE = '[...document.querySelectorAll("#slider img")].at(-1)?.src'


def _source(page):
  return page.evaluate(f'() => {_SOURCE}')


def _photo(path):
  """A dark photograph of noise, written to `path`."""
  rng = np.random.default_rng(0)
  photo = rng.integers(0, 60, (48, 64, 3), dtype=np.uint8)
  codec.write_image(path, photo)
  return photo


def test_a_photograph_is_brightened_and_downloaded(
  page, address, trained, tmp_path
):
  source = tmp_path / 'holiday.png'
  photo = _photo(source)
  _upload(page, source)
  _brighten(page)
  page.locator('#slider img').nth(1).wait_for(timeout=90_000)
  name, result = _result(page, tmp_path / 'result.png')
  assert name == 'holiday_enhanced.png'
  shown = page.locator('#slider img')
  sides = shown.evaluate_all('l => l.map(i => [i.naturalWidth, i.src])')
  assert {width for width, _ in sides} == {64}
  enhancer = Enhancer.from_checkpoint(trained, sampler='posterior', steps=2)
  expected = codec.to_uint8(enhancer(photo))
  np.testing.assert_array_equal(result, expected)
  # What the page shows is the same pair.
  pixels = []
  for _, url in sides:
    raw = np.frombuffer(page.request.get(url).body(), np.uint8)
    pixels.append(cv2.imdecode(raw, cv2.IMREAD_COLOR)[:, :, ::-1])
  assert any(np.array_equal(image, photo) for image in pixels)
  assert any(np.array_equal(image, expected) for image in pixels)
  if keep := os.environ.get('SEL_SCREENSHOT'):
    page.screenshot(path=keep)
  # Nothing but the page itself was asked for anything.
  assert page.hosts == {address.removeprefix('http://')}


def test_another_seed_draws_another_result(page, trained, tmp_path):
  source = tmp_path / 'holiday.png'
  photo = _photo(source)
  _upload(page, source)
  page.get_by_label('Seed').fill('5')
  _brighten(page)
  _, result = _result(page, tmp_path / 'result.png')
  enhancer = Enhancer.from_checkpoint(trained, sampler='posterior', steps=2)
  expected = codec.to_uint8(enhancer(photo, seed=5))
  np.testing.assert_array_equal(result, expected)
  assert (expected != codec.to_uint8(enhancer(photo))).any()


def test_brightness_moves_without_another_upload(told, tmp_path):
  source = tmp_path / 'holiday.png'
  photo = _photo(source)
  enhancer = Enhancer.from_checkpoint(told, sampler='posterior', steps=2)
  with serving(told, tmp_path / 'log') as url, _browsing(url) as other:
    _upload(other, source)
    _brighten(other)
    _, plain = _result(other, tmp_path / 'plain.png')
    np.testing.assert_array_equal(plain, codec.to_uint8(enhancer(photo)))
    before = _source(other)
    knob = other.locator('#ev input[type=range]')
    knob.fill('1.5')
    knob.dispatch_event('pointerup')
    other.wait_for_function(
      f'() => {_SOURCE} && {_SOURCE} !== {before!r}', timeout=60_000
    )
    _, brighter = _result(other, tmp_path / 'brighter.png')
    if keep := os.environ.get('SEL_SCREENSHOT'):
      other.screenshot(path=keep)
  expected = codec.to_uint8(enhancer(photo, ev=1.5))
  np.testing.assert_array_equal(brighter, expected)
  assert (brighter != plain).any()


def test_bad_files_are_explained_and_the_page_lives(page, tmp_path):
  cases = {
    'text.png': b'hello',
    'empty.jpg': b'',
    'large.png': None,
    'half.png': None,
  }
  large = np.zeros((1200, 1000, 3), np.uint8)
  codec.write_image(tmp_path / 'large.png', large)
  codec.write_image(tmp_path / 'half.png', large[:400])
  half = (tmp_path / 'half.png').read_bytes()
  cases['half.png'] = half[: len(half) // 2]
  sentences = {
    'text.png': 'not an image',
    'empty.jpg': 'not an image',
    'large.png': 'holds 1.2 megapixels by its header',
    'half.png': 'broken or truncated',
  }
  for name, content in cases.items():
    path = tmp_path / name
    if content is not None:
      path.write_bytes(content)
    page.reload()
    page.get_by_text('Brighten a dark photograph').wait_for()
    _upload(page, path)
    _brighten(page)
    toast = page.get_by_text(sentences[name])
    toast.first.wait_for(timeout=30_000)
    assert str(tmp_path) not in page.content()
  page.reload()
  _brighten(page)
  page.get_by_text('Drop a photograph first').first.wait_for(timeout=30_000)


def test_other_files_of_the_machine_are_out_of_reach(address):
  for path in ('/etc/passwd', str(ROOT / 'README.md'), 'README.md',
               '..%2F..%2Fetc%2Fpasswd'):  # fmt: skip
    for route in ('gradio_api/file=', 'file=', 'static/', 'assets/'):
      try:
        with urllib.request.urlopen(f'{address}/{route}{path}') as reply:
          assert b'root:' not in reply.read()
          assert 'html' in reply.headers['Content-Type']
      except urllib.error.HTTPError as error:
        assert error.code in (403, 404)
