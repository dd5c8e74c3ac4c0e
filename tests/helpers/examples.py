"""The Python blocks of a page, each under the heading or tab that it stands in.

Contract: reads, runs nothing; the text is as it stands.
"""

from pathlib import Path
import re

from helpers.command_lines import blocks_of_page

_TITLE = re.compile(r'(?:#+ |:+\{tab-item\} )(.*)')


def examples_of(page: Path) -> dict[str, str]:
  """Title -> text of the one Python block below it."""
  lines = page.read_text().splitlines()
  found: dict[str, str] = {}
  for block in blocks_of_page(page):
    if block.language != 'python':
      continue
    above = map(_TITLE.fullmatch, reversed(lines[: block.number - 1]))
    title = next(match[1] for match in above if match)
    if title in found:
      raise ValueError(f'{page.name}: two Python blocks below {title!r}')
    found[title] = block.text
  return found


def run_example(text: str) -> dict:
  """Runs a block as a program; gives the names that it leaves."""
  names: dict = {'__name__': 'example'}
  exec(compile(text, 'example', 'exec'), names)
  return names
