"""The keys of specs as people read them: tables in Markdown.

Contract: text alone, made from the descriptions; nothing is written.
"""

from collections.abc import Mapping

from sel_jax.fields.describe import Described
from sel_jax.fields.describe import described


def table(specs: Mapping[str, type]) -> str:
  """A table per spec: name, default, range and meaning of each key.

  Args:
    specs: heading -> spec.
  """
  lines: list[str] = []
  for heading, cls in specs.items():
    lines += [f'## `{heading}`', '', '| key | default | range | meaning |']
    lines.append('| --- | --- | --- | --- |')
    lines += [_line(one) for one in described(cls).values()]
    lines.append('')
  return '\n'.join(lines).rstrip() + '\n'


def _line(one: Described) -> str:
  cells = (f'`{one.name}`', f'`{one.default!r}`', one.range(), one.meaning())
  return f'| {" | ".join(cells)} |'
