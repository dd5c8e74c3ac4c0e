"""The part of a report that lays any two pictures of a photograph side by side.

Contract: all pictures of a photograph are in its card once; what comes from
outside is escaped.
"""

from collections.abc import Mapping
from collections.abc import Sequence
import html

from sel_jax.evaluation import shots as pictures
from sel_jax.evaluation import text_report
from sel_jax.evaluation.shots import Shot

STYLE = """
.stack { position: relative; line-height: 0; max-width: 720px; --cut: 50%; }
.stack img { width: 100%; border-radius: 4px; display: none; }
.stack img.right { display: block; position: absolute; inset: 0;
  clip-path: inset(0 0 0 var(--cut)); }
.stack img.left { display: block; position: static; clip-path: none; }
.stack input { position: absolute; inset: 0; width: 100%; height: 100%;
  opacity: 0; cursor: ew-resize; margin: 0; }
.stack::after { content: ''; position: absolute; top: 0; bottom: 0;
  left: var(--cut); width: 2px; background: #fff; pointer-events: none; }
.sides { display: flex; justify-content: space-between; gap: 1rem;
  max-width: 720px; margin: 0 0 .5rem; font-size: .9rem; }
.sides label { flex: 1; min-width: 0; }
select { font: inherit; width: 100%; color: inherit;
  background: var(--soft); border: 1px solid var(--line); border-radius: 4px; }
"""

SCRIPT = """
for (const card of document.querySelectorAll('.photograph')) {
  const stack = card.querySelector('.stack');
  const images = stack.querySelectorAll('img');
  stack.querySelector('input').addEventListener('input', e =>
    stack.style.setProperty('--cut', e.target.value + '%'));
  for (const side of card.querySelectorAll('select'))
    side.addEventListener('change', () => images.forEach((image, n) =>
      image.classList.toggle(side.name, n == side.value)));
}
"""


def cards(
  entries: Sequence[text_report.Entry],
  shots: Mapping[str, Mapping[str, Shot]],
) -> str:
  """A card for each photograph, in order.

  Args:
    entries: what was measured, all on the same photographs.
    shots: entry's name -> photograph's name -> its pictures.

  Returns:
    HTML; nothing if there are no pictures.
  """
  found = []
  for n, row in enumerate(entries[0].rows):
    mine = [e for e in entries if row['name'] in shots.get(e.name, {})]
    if mine:
      of = {e.name: shots[e.name][row['name']] for e in mine}
      found.append(_card(str(row['name']), of, _figures(entries, n)))
  return ''.join(found)


def _card(name: str, of: Mapping[str, Shot], figures: str) -> str:
  title = html.escape(name)
  shown = {'low': next(iter(of.values())).low}
  shown |= {entry: shot.restored for entry, shot in of.items()}
  sides = {'left': 0, 'right': 1}
  images = ''.join(
    f'<img class="{" ".join(s for s, at in sides.items() if at == n)}" '
    f'src="{pictures.uri(encoded)}" alt="{title}: {html.escape(entry)}">'
    for n, (entry, encoded) in enumerate(shown.items())
  )
  choices = ''.join(
    f'<label>{side} <select name="{side}">{_options(shown, at)}</select>'
    '</label>'
    for side, at in sides.items()
  )
  return f"""<div class="card photograph"><h4>{title}</h4>
<p class="sides">{choices}</p><div class="stack">{images}
<input type="range" value="50" aria-label="where to cut"></div>
{figures}</div>"""


def _options(shown: Mapping[str, bytes], chosen: int) -> str:
  return ''.join(
    f'<option value="{n}"{" selected" * (n == chosen)}>{html.escape(entry)}'
    '</option>'
    for n, entry in enumerate(shown)
  )


def _figures(entries: Sequence[text_report.Entry], index: int) -> str:
  """What was measured of one photograph, a line an entry."""
  columns = text_report.columns(text_report.merged(entries))
  columns.pop('seconds', None)
  head = ''.join(f'<th>{title}</th>' for title, _ in columns.values())
  lines = []
  for entry in entries:
    row = entry.rows[index]
    cells = ''.join(
      f'<td>{format(row[key], form) if key in row else ""}</td>'
      for key, (_, form) in columns.items()
    )
    lines.append(f'<tr><td>{html.escape(entry.name)}</td>{cells}</tr>')
  return f'<table><tr><th></th>{head}</tr>{"".join(lines)}</table>'
