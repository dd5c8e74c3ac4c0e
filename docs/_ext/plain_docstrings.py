"""Docstrings are plain text: their equations, stars and bars as they stand.

Contract: makes reStructuredText of a docstring before Napoleon reads its
sections. An indented block is shown as it is, a name between backquotes becomes
a link if it has a page, and nothing else is markup.
"""

import re
from types import ModuleType
from typing import Any

import public_names

_SECTION = re.compile(r'(Args|Attributes|Raises|Returns|Yields):$')
# Sections of prose: Napoleon would read a type before the first colon.
_PROSE = {'Returns:': ':returns:', 'Yields:': ':yields:'}
_SPAN = re.compile(r'`+([^`]+)`+')
_PAPER = re.compile(r'arXiv\s(\d{4}\.\d{4,5})')
# What reStructuredText would read as markup: an underscore ends a reference.
_MARKUP = re.compile(r'[\\*|]|_(?!\w)')


def setup(app: Any) -> dict[str, bool]:
  """Comes before Napoleon, whose priority is 500."""
  app.connect('autodoc-process-docstring', _process, priority=400)
  return {'parallel_read_safe': True}


def _process(app, what, name, obj, options, lines: list[str]) -> None:
  del app, options
  made = to_rst(lines, public_names.module_of(obj, name))
  # On its first line Napoleon would look for a type: an empty comment.
  lines[:] = ['..', '', *made] if what in ('attribute', 'property') else made


def to_rst(lines: list[str], module: ModuleType | None) -> list[str]:
  """A docstring as reStructuredText with Google's sections left to Napoleon.

  Args:
    lines: the docstring without its common indentation.
    module: where names between backquotes are looked up.
  """
  made: list[str] = []
  within = False
  for block in _blocks(lines):
    if not block[0].startswith(' '):
      within = bool(_SECTION.match(block[0]))
    if not within and any(line.startswith(' ') for line in block):
      made += ['::', '', *('  ' + line for line in block)]
    else:
      text = inline('\n'.join(block), module).splitlines()
      made += [_PROSE.get(text[0], text[0]), *text[1:]]
    made.append('')
  return made


def _blocks(lines: list[str]) -> list[list[str]]:
  """Lines between empty ones."""
  blocks: list[list[str]] = [[]]
  for line in lines:
    if line.strip():
      blocks[-1].append(line)
    elif blocks[-1]:
      blocks.append([])
  return [block for block in blocks if block]


def inline(text: str, module: ModuleType | None = None) -> str:
  """Text with its names as links or code, its papers as links."""
  made, end = [], 0
  for span in _SPAN.finditer(text):
    made += [_escaped(text[end : span.start()]), _code(span[1], module)]
    end = span.end()
  return ''.join([*made, _escaped(text[end:])])


def _escaped(text: str) -> str:
  plain = _MARKUP.sub(lambda found: '\\' + found[0], text)
  return _PAPER.sub(r'`arXiv \1 <https://arxiv.org/abs/\1>`__', plain)


def _code(text: str, module: ModuleType | None) -> str:
  name = ' '.join(text.split())
  target = public_names.find(name, module)
  return f':py:obj:`{name} <{target}>`' if target else f'``{name}``'
