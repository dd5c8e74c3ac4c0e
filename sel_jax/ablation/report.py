"""An ablation's results as a table and a picture.

Contract: every mean has its spread over the seeds; the gain is paired, image by
image, over the first variant, and has its interval.
"""

from collections.abc import Sequence
import html

from sel_jax.ablation import trials
from sel_jax.evaluation import text_report

_ROW = 34
_LEFT = 210
_WIDTH = 760


def table(results: Sequence[dict], names: Sequence[str]) -> str:
  """Two Markdown tables, a line a variant: means, and gains over the first.

  Updates and seconds are those of training, means over the seeds.

  Args:
    results: from `trials.run`.
    names: keys of figures, GT-mean ones by their suffix.
  """
  summaries = {name: trials.summarize(results, name) for name in names}
  columns = {name: text_report.column(name) for name in names}
  titles = [title for title, _ in columns.values()]
  means = [['variant', 'seeds', 'updates', 'seconds', *titles]]
  first, *others = rows = summaries[names[0]]
  gains = [[f'gain over {first["variant"]} [95 %]', *titles]]
  for index, row in enumerate(rows):
    costs = [
      _cost(results, row['variant'], key) for key in ('steps', 'seconds')
    ]
    found = {name: summaries[name][index] for name in names}
    cells = [_mean(found[name], form) for name, (_, form) in columns.items()]
    means.append([row['variant'], str(row['seeds']), *costs, *cells])
    cells = [_gain(found[name], form) for name, (_, form) in columns.items()]
    gains.append([row['variant'], *cells])
  lines = _markdown(means)
  if others:
    lines += ['', *_markdown([gains[0], *gains[2:]])]
  if any(name.endswith(text_report.GT_MEAN) for name in names):
    lines += ['', text_report.NOTE.replace('*', r'\*')]
  return '\n'.join(lines)


def _cost(results: Sequence[dict], variant: str, key: str) -> str:
  """Mean over the runs of a variant."""
  runs = [result[key] for result in results if result['variant'] == variant]
  return f'{sum(runs) / len(runs):,.0f}'


def _mean(part: dict, form: str) -> str:
  spread = f' ± {part["std"]:{form}}' if part['seeds'] > 1 else ''
  return f'{part["mean"]:{form}}{spread}'


def _gain(part: dict, form: str) -> str:
  ends = f'{part["gain_low"]:+{form}}, {part["gain_high"]:+{form}}'
  return f'{part["gain"]:+{form}} [{ends}]'


def _markdown(rows: Sequence[Sequence[str]]) -> list[str]:
  head, *body = rows
  lines = [head, ['---'] * len(head), *body]
  return ['| ' + ' | '.join(line) + ' |' for line in lines]


def plot(results: Sequence[dict], name: str) -> str:
  """SVG: each variant's mean with its interval, and each seed as a dot.

  Args:
    results: from `trials.run`.
    name: the metric's name.
  """
  rows = trials.summarize(results, name)
  seeds = {
    row['variant']: [
      trials.summarize([r], name)[0]['mean']
      for r in results
      if r['variant'] == row['variant']
    ]
    for row in rows
  }
  values = [row[end] for row in rows for end in ('low', 'high')]
  values += [value for dots in seeds.values() for value in dots]
  low, high = min(values), max(values)
  span = (high - low) or 1.0

  def x(value):
    return _LEFT + (value - low) / span * (_WIDTH - _LEFT - 40) + 10

  title, form = text_report.column(name)
  height = _ROW * len(rows) + 56
  parts = []
  for tick in range(5):
    value = low + span * tick / 4
    parts.append(
      f'<path d="M{x(value):.1f} 24V{height - 24}" stroke="#8884"/>'
      f'<text x="{x(value):.1f}" y="{height - 8}" text-anchor="middle">'
      f'{value:{form}}</text>'
    )
  for index, row in enumerate(rows):
    y = 40 + _ROW * index
    label = html.escape(row['variant'])
    parts.append(
      f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{label}</text>'
      f'<path d="M{x(row["low"]):.1f} {y}H{x(row["high"]):.1f}" '
      'stroke="#2563eb" stroke-width="2"/>'
      f'<circle cx="{x(row["mean"]):.1f}" cy="{y}" r="5" fill="#2563eb"/>'
    )
    parts += [
      f'<circle cx="{x(dot):.1f}" cy="{y + 9}" r="2.5" fill="#ea580c"/>'
      for dot in seeds[row['variant']]
    ]
  title = f'{title}: mean, 95 % over images; seeds below'
  return (
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
    'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" '
    f'fill="#fff"/><text x="{_LEFT}" y="16">{title}</text>{"".join(parts)}'
    '</svg>\n'
  )
