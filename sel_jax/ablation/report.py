"""An ablation's results as a table and a picture.

Contract: every mean has its spread over the seeds; the gain is paired, image by
image, over the first variant, and has its interval.
"""

from collections.abc import Callable
from collections.abc import Sequence
import csv as csv_module
import html
import io
import math

from sel_jax.ablation import trials
from sel_jax.evaluation import text_report

_ROW = 34
_LEFT = 210
_WIDTH = 760


def table(results: Sequence[dict], names: Sequence[str]) -> str:
  """Means, and gains over the first variant, as Markdown.

  Args:
    results: from `trials.run`.
    names: keys of figures, GT-mean ones by their suffix.
  """
  parts = [means(results, names)]
  if len({result['variant'] for result in results}) > 1:
    parts += [gains(results, names), p_values(results, names)]
  parts += text_report.notes([dict.fromkeys(names)])
  return '\n\n'.join(parts)


def means(results: Sequence[dict], names: Sequence[str]) -> str:
  """A line a variant: mean and deviation of the seeds, as Markdown.

  Updates and seconds are those of training, means over the seeds; runs that
  were stopped and went on have no seconds, and without any that column goes.

  Args:
    results: from `trials.run`.
    names: keys of figures.
  """
  titles = [text_report.column(name)[0] for name in names]
  costs = {'updates': 'steps', 'seconds': 'seconds'}
  if all(result['seconds'] is None for result in results):
    del costs['seconds']
  rows = [['variant', 'seeds', 'images', *costs, *titles]]
  for found in _by_variant(results, names):
    variant, seeds = found[0]['variant'], found[0]['seeds']
    cost = [_cost(results, variant, key) for key in costs.values()]
    counts = [str(seeds), str(found[0]['images'])]
    rows.append([variant, *counts, *cost, *_cells(_mean, found, names)])
  return _markdown(rows)


def gains(results: Sequence[dict], names: Sequence[str]) -> str:
  """A line a variant but the first: its gain over that one, as Markdown.

  Args:
    results: from `trials.run`.
    names: keys of figures.
  """
  return _over_first(results, names, 'gain over {} [95 %]', _gain)


def p_values(results: Sequence[dict], names: Sequence[str]) -> str:
  """A line a variant but the first: p of its gain over that one, as Markdown.

  Of Wilcoxon's signed-rank test over images, of means over seeds; not corrected
  for the number of lines.

  Args:
    results: from `trials.run`.
    names: keys of figures.
  """
  return _over_first(results, names, 'p of the gain over {}', _p)


def _over_first(
  results: Sequence[dict],
  names: Sequence[str],
  heading: str,
  form: Callable[[dict, str], str],
) -> str:
  """A line a variant but the first, whose name goes into the heading."""
  titles = [text_report.column(name)[0] for name in names]
  first, *others = _by_variant(results, names)
  rows = [[heading.format(first[0]['variant']), *titles]]
  for found in others:
    rows.append([found[0]['variant'], *_cells(form, found, names)])
  return _markdown(rows)


def latex(results: Sequence[dict], names: Sequence[str]) -> str:
  """The means as a LaTeX table, for the package booktabs.

  Args:
    results: from `trials.run`.
    names: keys of figures.
  """
  titles = [text_report.column(name)[0] for name in names]
  rows = [['variant', *titles]]
  for found in _by_variant(results, names):
    rows.append([found[0]['variant'], *_cells(_mean, found, names)])
  head, *body = (' & '.join(map(_in_latex, row)) + r' \\' for row in rows)
  columns = 'l' + 'r' * len(names)
  lines = [
    rf'\begin{{tabular}}{{{columns}}}', r'\toprule', head, r'\midrule',
    *body, r'\bottomrule', r'\end{tabular}', '',
  ]  # fmt: skip
  return '\n'.join(lines)


def _in_latex(text: str) -> str:
  for sign in '&%$#_{}':
    text = text.replace(sign, rf'\{sign}')
  return text.replace('±', r'$\pm$')


def csv(results: Sequence[dict], names: Sequence[str]) -> str:
  """A line for each variant, seed and image, as CSV.

  Args:
    results: from `trials.run`.
    names: keys of figures.
  """
  lines = io.StringIO()
  writer = csv_module.writer(lines, lineterminator='\n')
  writer.writerow(['variant', 'seed', 'image', *names])
  for result in results:
    for row in result['images']:
      values = [trials.figure(row, name) for name in names]
      writer.writerow([result['variant'], result['seed'], row['name'], *values])
  return lines.getvalue()


def _by_variant(
  results: Sequence[dict], names: Sequence[str]
) -> list[tuple[dict, ...]]:
  """Summaries of each variant, one for each figure."""
  summaries = [trials.summarize(results, name) for name in names]
  return list(zip(*summaries, strict=True))


def _cells(
  form: Callable[[dict, str], str],
  found: Sequence[dict],
  names: Sequence[str],
) -> list[str]:
  return [
    form(part, text_report.column(name)[1])
    for part, name in zip(found, names, strict=True)
  ]


def _cost(results: Sequence[dict], variant: str, key: str) -> str:
  """Mean over the runs of a variant that have this figure."""
  runs = [result[key] for result in results if result['variant'] == variant]
  known = [value for value in runs if value is not None]
  return f'{sum(known) / len(known):,.0f}' if known else ''


def _mean(part: dict, form: str) -> str:
  spread = f' ± {part["std"]:{form}}' if part['seeds'] > 1 else ''
  return f'{part["mean"]:{form}}{spread}'


def _gain(part: dict, form: str) -> str:
  if math.isnan(part['gain']):
    return ''  # no seed in common with the baseline, or no figure
  ends = f'{part["gain_low"]:+{form}}, {part["gain_high"]:+{form}}'
  return f'{part["gain"]:+{form}} [{ends}]'


def _p(part: dict, form: str) -> str:
  del form  # that of the figure
  return '' if math.isnan(part['p']) else f'{part["p"]:.3f}'


def _markdown(rows: Sequence[Sequence[str]]) -> str:
  head, *body = rows
  lines = [head, ['---'] * len(head), *body]
  return '\n'.join('| ' + ' | '.join(line) + ' |' for line in lines)


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
