"""Tables of an ablation, made from its figures where a page shows them.

    ```{ablation} bandwidth
    :over: L1
    ```

shows `ablations/bandwidth.json`: its command, means, and gains over the first
variant, or over those that are named, each beside the variants that begin with
its name.

Contract: figures come from the file alone, so a page cannot say others.
"""

from pathlib import Path
from typing import Any
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from sel_jax.ablation import report
from sel_jax.ablation import Summary
from sel_jax.evaluation import text_report


class Ablation(SphinxDirective):
  """The directive."""

  required_arguments = 1
  option_spec: ClassVar = {'over': directives.unchanged}

  def run(self) -> list[nodes.Node]:
    """Means and gains as tables, parsed as the page is."""
    path = Path(self.env.srcdir, 'ablations', f'{self.arguments[0]}.json')
    self.env.note_dependency(str(path))
    given = self.options.get('over', '')
    text = tables(
      Summary.read(path),
      [name.strip() for name in given.split(',') if name.strip()],
    )
    return self.parse_text_to_nodes(StringList(text.splitlines(), str(path)))


def tables(found: Summary, over: list[str]) -> str:
  """What a page shows of an ablation, as Markdown."""
  rows, names = found.results, found.metrics
  first = rows[0]['variant']
  head = f'```bash\n{found.command}\n```'
  gains = [report.gains(_beside(rows, name), names) for name in over or [first]]
  # A mark at the beginning of a line would make a list of it.
  notes = [f'\\{text}' for text in text_report.notes([dict.fromkeys(names)])]
  shown = [_unbroken(table) for table in (report.means(rows, names), *gains)]
  return '\n\n'.join([head, *shown, *notes])


def _unbroken(table: str) -> str:
  """With figures that stay on one line, and their intervals too."""
  space = '\N{NO-BREAK SPACE}'
  return table.replace(' ± ', f'{space}±{space}').replace(', +', f',{space}+')


def _beside(rows: list[dict[str, Any]], base: str) -> list[dict[str, Any]]:
  """Runs of a variant, then of those whose names begin with its own."""
  own = [row for row in rows if row['variant'] == base]
  added = [row for row in rows if row['variant'].startswith(f'{base} + ')]
  return own + (added or [row for row in rows if row['variant'] != base])


def setup(app: Any) -> dict[str, bool]:
  """Adds the directive."""
  app.add_directive('ablation', Ablation)
  return {'parallel_read_safe': True}
