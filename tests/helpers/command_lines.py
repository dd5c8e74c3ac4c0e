"""Command lines that pages, headers and docstrings show, one by one.

Contract: what stands in a code block, fenced or indented, or in a paragraph of
a docstring, with continuations joined and comments cut; prose is left alone.
"""

import ast
from collections.abc import Iterator
import dataclasses
import itertools
from pathlib import Path
import re
import shlex
import textwrap

import yaml

# A block whose first line starts so is for a shell, whatever its fence says.
SHELL = [
  'cd',
  'docker',
  'export',
  'for',
  'gcloud',
  'git',
  'kubectl',
  'make',
  'mpirun',
  'pip',
  'python',
  'sbatch',
  'sel-jax',
  'source',
  'srun',
  'tensorboard',
]
LANGUAGES = ('bash', 'sh', 'shell', 'console')
_SEPARATORS = {'&&', '||', ';', '|', '&'}
_FENCE = re.compile(r'\s*(`{3,})\s*(.*)')


@dataclasses.dataclass(frozen=True)
class Block:
  """Lines of a page that may be for a shell.

  Attributes:
    page: the file.
    number: of its first line.
    language: as the fence says; '' without one.
    text: the lines.
  """

  page: Path
  number: int
  language: str
  text: str

  @property
  def is_shell(self) -> bool:
    """Whether a shell takes it."""
    lines = [line.strip() for line in self.text.splitlines() if line.strip()]
    lines = [line for line in lines if not re.match(r'#(?!!)', line)]
    start = lines[0] if lines else ''
    known = start.startswith('#!/') or re.split(r'\s', start)[0] in SHELL
    return self.language in LANGUAGES or (
      self.language in ('', 'text') and known
    )


@dataclasses.dataclass(frozen=True)
class Command:
  """One simple command.

  Attributes:
    page: the file that shows it.
    number: of the line.
    words: what a shell makes of it.
    within: the first words of what starts it, such as 'srun'.
  """

  page: Path
  number: int
  words: tuple[str, ...]
  within: tuple[str, ...] = ()

  def __str__(self) -> str:
    return f'{self.page}, line {self.number}: {shlex.join(self.words)}'

  @property
  def program(self) -> str:
    """'experiments.train' where Python or sel-jax starts it, else ''."""
    first, *rest = self.words
    if first == 'sel-jax' and rest:
      return f'experiments.{rest[0].replace("-", "_")}'
    if Path(first).name in ('python', 'python3') and rest[:1] == ['-m']:
      return rest[1]
    return ''

  @property
  def arguments(self) -> tuple[str, ...]:
    """What follows the program's name."""
    return self.words[2 if self.words[0] == 'sel-jax' else 3 :]


def blocks_of_page(page: Path) -> Iterator[Block]:
  """Code blocks of a Markdown page; a directive's text is looked into."""
  lines = page.read_text().splitlines()
  yield from _blocks(page, list(enumerate(lines, 1)))


def _blocks(page: Path, lines: list[tuple[int, str]]) -> Iterator[Block]:
  at, blank = 0, True
  while at < len(lines):
    number, line = lines[at]
    if fence := _FENCE.fullmatch(line):
      end = _closing(lines, at, fence[1])
      inner, info = lines[at + 1 : end], fence[2].strip()
      at = end + 1
      if info.startswith('{') and not info.startswith(('{code', '{eval')):
        yield from _blocks(page, inner)
        continue
      language = re.sub(r'\{code(-block)?\}\s*', '', info)
    elif blank and line.startswith('    '):
      inner = list(
        itertools.takewhile(
          lambda x: x[1].startswith('    ') or not x[1].strip(), lines[at:]
        )
      )
      at += len(inner)
      language = ''
    else:
      blank = not line.strip()
      at += 1
      continue
    text = textwrap.dedent('\n'.join(line for _, line in inner))
    yield Block(page, number + bool(fence), language, text)
    blank = True


def _closing(lines: list[tuple[int, str]], at: int, ticks: str) -> int:
  for end in range(at + 1, len(lines)):
    found = _FENCE.fullmatch(lines[end][1])
    if found and len(found[1]) >= len(ticks) and not found[2]:
      return end
  raise ValueError(f'line {lines[at][0]}: the fence is not closed')


def blocks_of_docstring(path: Path) -> Iterator[Block]:
  """Paragraphs of a module's docstring that start with a command."""
  source = path.read_text()
  doc = ast.get_docstring(ast.parse(source)) or ''
  for paragraph in re.split(r'\n\s*\n', doc):
    text = textwrap.dedent(re.sub(r'^Run:', '    ', paragraph.strip('\n')))
    block = Block(path, 0, '', text)
    first = text.split()[:1]
    if block.is_shell and first[0] in ('python', 'sel-jax', 'make'):
      start = text.strip().splitlines()[0].strip().rstrip('\\')[:50]
      number = source[: source.index(start)].count('\n') + 1
      yield dataclasses.replace(block, number=number)


def _joined(block: Block) -> Iterator[tuple[int, list[str]]]:
  """Number and words of each whole line, open quotes and all."""
  waiting, start = '', block.number
  for number, line in enumerate(block.text.splitlines(), block.number):
    start = start if waiting else number
    waiting += line
    if waiting.endswith('\\'):
      waiting = waiting[:-1]
      continue
    lexer = shlex.shlex(waiting, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
      words = list(lexer)
    except ValueError:  # a quotation goes on
      waiting += '\n'
      continue
    waiting = ''
    if words:
      yield start, words
  if waiting:
    raise ValueError(f'{block.page}, line {start}: {waiting!r} has no end')


def _simple(words: list[str]) -> Iterator[list[str]]:
  """Words between `&&`, `|` and so on; a loop stays whole."""
  if words[0] == 'for':
    yield words
    return
  for is_mark, part in itertools.groupby(words, _SEPARATORS.__contains__):
    if not is_mark:
      yield list(itertools.takewhile(lambda word: word[0] not in '<>', part))


def _unwrapped(block: Block, number: int, words: list[str], within=()):
  """A command, or those that it starts, such as after srun."""
  for at, word in enumerate(words):
    starts = word == 'sel-jax' or word.endswith('python')
    if starts and words[0] != 'pip':
      outer = (*within, *words[:1]) if at else within
      yield Command(block.page, number, tuple(words[at:]), outer)
      return
    if 'python -m ' in word:
      text = word.partition('=')[2] if word.startswith('--') else word
      inner = dataclasses.replace(block, text=text, number=number)
      yield from commands_of(inner, (*within, words[0]))
      return
  yield Command(block.page, number, tuple(words), within)


def commands_of(block: Block, within: tuple[str, ...] = ()):
  """Simple commands of a block for a shell."""
  for number, words in _joined(block):
    for simple in _simple(words):
      yield from _unwrapped(block, number, simple, within)


def _in_yaml(block: Block) -> Iterator[Block]:
  """Texts of a YAML block that start Python."""

  def walk(node):
    if isinstance(node, dict):
      node = list(node.values())
    if isinstance(node, list):
      for child in node:
        yield from walk(child)
    elif isinstance(node, str) and 'python -m ' in node:
      yield node

  for document in yaml.safe_load_all(block.text):
    for text in walk(document):
      yield dataclasses.replace(block, language='sh', text=text)


def commands_in(path: Path) -> Iterator[Command]:
  """All commands that a page, or the docstring of a module, shows."""
  markdown = path.suffix == '.md'
  for block in blocks_of_page(path) if markdown else blocks_of_docstring(path):
    if block.language == 'yaml':
      for inner in _in_yaml(block):
        yield from commands_of(inner)
    elif block.is_shell:
      yield from commands_of(block)
