"""The site: every public name has an entry, and what pages name is there."""

import importlib
import importlib.util
import re
import shutil
import subprocess
import sys
import zlib

from helpers.commands import ROOT
import pytest

from sel_jax import fields
from sel_jax import limits
from sel_jax.fields import check
from sel_jax.settings import SECTIONS

DOCS = ROOT / 'docs'
EXTENSIONS = DOCS / '_ext'


def _extension(name):
  """A module of `docs/_ext`, which is on the path of Sphinx alone."""
  if name not in sys.modules:
    spec = importlib.util.spec_from_file_location(
      name, EXTENSIONS / f'{name}.py'
    )
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
  return sys.modules[name]


@pytest.fixture(scope='module')
def names():
  return _extension('public_names')


@pytest.fixture(scope='module')
def docstrings(names):
  return _extension('plain_docstrings')


def _documented(text):
  """Full names of the entries of a page's source."""
  module = ''
  for line in text.splitlines():
    if found := re.match(r'\.\. currentmodule:: (\S+)', line):
      module = found[1]
    elif found := re.match(r'\.\. auto\w+:: (\S+)', line):
      name = found[1]
      yield name if name.startswith('sel_jax.') else f'{module}.{name}'


def _every_documented():
  pages = sorted((DOCS / 'reference').glob('*.md'))
  return [name for page in pages for name in _documented(page.read_text())]


def test_every_public_name_has_one_entry(names):
  documented = _every_documented()
  assert set(names.entries()) - set(documented) == set(), 'without an entry'
  twice = {name for name in documented if documented.count(name) > 1}
  assert not twice


def test_what_has_an_entry_is_there():
  for name in _every_documented():
    module, _, last = name.rpartition('.')
    assert hasattr(importlib.import_module(module), last), name


def test_public_names_are_those_of_users(names):
  found = names.entries()
  assert 'sel_jax.entropy.spatial_entropy_loss' in found
  assert 'sel_jax.entropy.KERNELS' in found
  assert 'sel_jax.settings.Settings' in found
  # Neither what a module imports, nor what it keeps to itself.
  assert 'sel_jax.settings.key' not in found
  assert 'sel_jax.settings.SAMPLERS' not in found
  assert not [name for name in found if name.rpartition('.')[2][0] == '_']


def test_a_class_is_found_by_the_module_that_defines_it(names):
  from sel_jax.entropy import losses

  assert names.find('EntropySpec', losses) == 'sel_jax.entropy.EntropySpec'
  assert names.find('entropy_map', losses) == 'sel_jax.entropy.entropy_map'
  assert names.find('no_such_name', losses) is None


def test_docstrings_are_plain_text(docstrings):
  from sel_jax.entropy import losses

  made = docstrings.to_rst(
    [
      'Sum over |v| of x*_{t-1}, see `entropy_map` and `nothing`.',
      '',
      '  H = |v| * 2,   arXiv 2404.09735',
      '',
      'Source: arXiv 2404.09735.',
      '',
      'Returns:',
      '  [B, H]: mind the a_ memory.',
    ],
    losses,
  )
  text = '\n'.join(made)
  assert r'Sum over \|v\| of x\*\_{t-1}' in text
  assert ':py:obj:`entropy_map <sel_jax.entropy.entropy_map>`' in text
  assert '``nothing``' in text
  assert '::\n\n    H = |v| * 2,   arXiv 2404.09735\n' in text
  assert '`arXiv 2404.09735 <https://arxiv.org/abs/2404.09735>`__' in text
  assert ':returns:\n  [B, H]: mind the a\\_ memory.' in text


# What a page may name between backquotes -> whether it is there.
def _is_module(name):
  return importlib.util.find_spec(name) is not None


def _is_ours(name):
  module, _, last = name.rpartition('.')
  found = importlib.import_module(module)
  if hasattr(found, '__path__') and importlib.util.find_spec(name):
    return True  # a module, whether another test has imported it or not
  return hasattr(found, last)


def _is_key(name):
  section, _, key = name.partition('.')
  return section in SECTIONS and key in fields.described(SECTIONS[section])


NAMED = {
  r'`[^`]*python -m ([\w.]+)': _is_module,
  r'`(sel_jax(?:\.\w+)+)`': _is_ours,
  r'--config\.(\w+\.\w+)=': _is_key,
  r'`((?:tests|sel_jax|docs|configs|benchmarks)/[\w./-]+)`': lambda path: (
    ROOT / path
  ).exists(),
}


# Words of a page that stand for any name.
PLACEHOLDERS = {'NAME', 'SECTION', 'KEY', 'FILE'}


def _pages():
  places = [DOCS, DOCS / 'concepts', DOCS / 'guides', DOCS / 'reference']
  pages = [page for place in places for page in sorted(place.glob('*.md'))]
  return [page for page in pages if page.name != 'changelog.md']


@pytest.mark.parametrize('page', _pages(), ids=lambda p: p.stem)
def test_what_a_page_names_is_there(page):
  text = page.read_text()
  if page.name == 'extending.md':  # its examples add names of their own
    text = text.partition('\n## ')[0]
  for pattern, is_there in NAMED.items():
    for name in re.findall(pattern, text):
      stands_for_any = PLACEHOLDERS & set(re.split(r'\W', name))
      assert stands_for_any or is_there(name), f'{page.name}: {name}'


def test_each_feature_has_a_page_and_a_test():
  rows = [
    [cell.strip() for cell in line.strip('|').split(' | ')]
    for line in (DOCS / 'features.md').read_text().splitlines()
    if line.startswith('| ') and not line.startswith(('| feature', '| ---'))
  ]
  assert len(rows) > 20
  for feature, page, held in rows:
    shown, _, test = held.partition('<br>')
    target = re.fullmatch(r'\[.+\]\(([^)#]+).*\)', page)
    assert target, feature
    # Notebooks stand beside docs/ and are copied into it.
    places = [DOCS / target[1], ROOT / target[1]]
    assert any(place.exists() for place in places), feature
    assert shown, feature
    assert 'def test_' in (ROOT / test.strip('`')).read_text(), feature


def test_pictures_of_notebooks_are_those_of_their_outputs(tmp_path):
  pages = _extension('notebook_pages')
  pages.copy(ROOT / 'notebooks', tmp_path)
  shown = {
    name
    for page in _pages()
    for name in re.findall(r'\.\./notebooks/(\S+?)\)', page.read_text())
  }
  assert shown
  for name in shown:
    assert (tmp_path / name).exists(), name
  before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
  pages.copy(ROOT / 'notebooks', tmp_path)
  assert before == {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()}


@pytest.fixture(scope='module')
def checkout(tmp_path_factory):
  """The repository with pages of its own, so that a test may add one."""
  folder = tmp_path_factory.mktemp('checkout')
  for path in ROOT.iterdir():
    if path.suffix == '.md':  # links of a page are relative to where it lies
      shutil.copy(path, folder)
    elif path.name != 'docs' and not path.name.startswith('.'):
      (folder / path.name).symlink_to(path)
  leave = shutil.ignore_patterns('_build', 'notebooks')
  shutil.copytree(DOCS, folder / 'docs', ignore=leave)
  return folder


def _build(checkout):
  command = [sys.executable, '-m', 'sphinx', '-W', '--keep-going', '-n', '-q']
  command += ['-b', 'html', 'docs', 'site']
  return subprocess.run(
    command, cwd=checkout, capture_output=True, text=True, timeout=300
  )


@pytest.fixture(scope='module')
def site(checkout):
  done = _build(checkout)
  assert done.returncode == 0, done.stderr
  return checkout / 'site'


@pytest.mark.fence
def test_the_site_has_every_public_name(site, names):
  content = (site / 'objects.inv').read_bytes().split(b'\n', 4)[4]
  listed = zlib.decompress(content).decode().splitlines()
  found = {line.split(' ')[0] for line in listed}
  assert set(names.entries()) - found == set()
  # Keys of a spec are attributes with a place of their own.
  assert 'sel_jax.entropy.EntropySpec.bandwidth' in found


@pytest.mark.fence
def test_the_site_loads_nothing_from_elsewhere(site):
  loads = re.compile(
    r'<(?:script|img|iframe|source)[^>]+src="(?:https?:)?//[^"]*"'
    r'|<link[^>]+rel="(?:stylesheet|preload|icon)"[^>]+href="(?:https?:)?//'
    r'|<link[^>]+href="(?:https?:)?//[^"]*"[^>]+rel="stylesheet"'
  )
  assert loads.search('<script async src="https://example.org/a.js">')
  pages = list(site.rglob('*.html'))
  assert len(pages) > 40
  for page in pages:
    assert not loads.findall(page.read_text()), page.name
  for style in site.rglob('*.css'):
    assert not re.search(r'(@import|url\()\s*["\']?https?:', style.read_text())


@pytest.mark.fence
def test_a_name_of_ours_that_leads_nowhere_breaks_the_build(site, checkout):
  assert site.exists()
  page = checkout / 'docs' / 'broken.md'
  page.write_text('---\norphan: true\n---\n# Broken\n\n'
                  '{py:func}`sel_jax.entropy.no_such_loss` '
                  '{py:class}`jax.NoSuchArray`\n')  # fmt: skip
  try:
    done = _build(checkout)
  finally:
    page.unlink()
  assert done.returncode != 0
  assert 'broken.md:6' in done.stderr
  assert 'sel_jax.entropy.no_such_loss' in done.stderr
  assert 'NoSuchArray' not in done.stderr  # foreign names have no pages here


def test_the_limits_are_those_of_the_page_of_security():
  page = (DOCS / 'security.md').read_text()
  assert limits.MEGAPIXELS == 100 and '| 100 million |' in page
  assert f'takes many | {check.MOST:,} |' in page
  demo = (DOCS.parent / 'sel_jax' / 'commands' / 'demo.py').read_text()
  assert "max_file_size='256mb'" in demo and '| 256 MB |' in page
