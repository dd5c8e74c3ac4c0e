"""Decisions name the files that they bind, and what they name is there.

A decision is a section of a page of docs/decisions. Its paragraph 'Where' names
files and, beside them, functions and keys: each of these stands in one of the
files.
"""

from pathlib import Path
import re

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / 'docs' / 'decisions'
INDEX = FOLDER / 'index.md'
PAGES = sorted(set(FOLDER.glob('*.md')) - {INDEX})

# A file or folder, with the preset of a configuration behind it or not.
_PATH = re.compile(r'([\w.-]+(?:/[\w.-]+)*/?)(?::\w+)?')
_ENDINGS = ('.py', '.md', '.toml', '.txt', '.npz', '.safetensors')
_NAME = re.compile(r'[A-Za-z_]\w+(?:\.\w+)*')


def sections(text: str) -> dict[str, str]:
  """Heading of each decision of a page -> its text."""
  parts = re.split(r'^## (.+)$', text, flags=re.MULTILINE)[1:]
  return dict(zip(parts[::2], parts[1::2], strict=True))


def _spans(text: str) -> list[str]:
  return re.findall(r'`([^`\n]+)`', text)


def paths(text: str) -> list[str]:
  """What the code spans of a text name in the repository."""
  found = [m[1] for span in _spans(text) if (m := _PATH.fullmatch(span))]
  return [
    name
    for name in found
    if '/' in name or name.endswith(_ENDINGS) or name == 'Makefile'
  ]


def names(text: str) -> list[str]:
  """Names of code in the paragraph 'Where' of a decision, part by part."""
  where = re.search(r'\*\*Where\.\*\*(.*?)(?=\n\*\*|\Z)', text, re.DOTALL)
  found = [] if where is None else _spans(where[1])
  whole = [s for s in found if _NAME.fullmatch(s) and s not in paths(text)]
  return [part for name in whole for part in name.split('.')]


def _code(path: Path) -> str:
  files = sorted(path.glob('*.py')) if path.is_dir() else [path]
  return '\n'.join(file.read_text(errors='replace') for file in files)


def wrong(text: str) -> list[str]:
  """What is wrong with the text of a decision."""
  found = paths(text)
  missing = [name for name in found if not (ROOT / name).exists()]
  if missing or not found:
    return [f'{name}: no such file' for name in missing] or ['names no file']
  code = '\n'.join(_code(ROOT / name) for name in dict.fromkeys(found))
  words = set(re.findall(r'\w+', code))
  gone = sorted(set(names(text)) - words)
  return [f'{name}: in none of the files' for name in gone]


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.stem)
def test_every_decision_names_files_that_are_there(page):
  found = sections(page.read_text())
  assert len(found) > 1
  assert not {head: bad for head, text in found.items() if (bad := wrong(text))}


def test_the_index_lists_every_page_once():
  text = INDEX.read_text()
  listed = re.findall(r'^- \[.+?\]\((.+?)\.md\)', text, flags=re.MULTILINE)
  tree = re.search(r'```\{toctree\}\n(?::\w+:\n)*\n(.*?)```', text, re.DOTALL)
  assert listed == tree[1].split()
  assert sorted(listed) == [page.stem for page in PAGES]


@pytest.mark.parametrize(
  ('text', 'expected'),
  [
    ('**Where.** `clip` in `sel_jax/optimizers.py`.', []),
    ('**Where.** `sel_jax/models/`, for `configs/lol.py:small`.', []),
    ('**Where.** By `-sum p ln q` and `eval.pool`.', ['names no file']),
    (
      'As in `sel_jax/nowhere.py`, `sel_jax/errors.py`.',
      ['sel_jax/nowhere.py: no such file'],
    ),
    (
      '**Where.** `Settings.gone` in\n`sel_jax/errors.py`.\n\n**Why.** `xyz`.',
      ['Settings: in none of the files', 'gone: in none of the files'],
    ),
  ],
)
def test_what_is_wrong_is_named(text, expected):
  assert wrong(text) == expected
