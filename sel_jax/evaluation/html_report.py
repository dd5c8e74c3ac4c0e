"""A report as one HTML file: tables, before and after, entropy maps.

Contract: self-contained, images and script inside, nothing is loaded from
anywhere; everything that comes from outside is escaped.
"""

from collections.abc import Sequence
import functools
import html
import math
from pathlib import Path

import cv2
import jax
import numpy as np

from sel_jax import entropy
from sel_jax import files
from sel_jax.evaluation import metrics
from sel_jax.evaluation import shots as pictures
from sel_jax.evaluation import sliders
from sel_jax.evaluation import text_report
from sel_jax.evaluation.shots import Shot

# Images of each kind, best and worst, that a report shows of an entry.
SHOWN = 3
_BINS = 64
_MAP_LEVELS = 16

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; padding: 0 1rem;
  max-width: 1180px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums;
  font-size: .9rem; display: block; overflow-x: auto; margin: 1rem 0; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--line);
  text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
td small { opacity: .7; display: block; }
.best { font-weight: 700; }
.card { border: 1px solid var(--line); border-radius: 8px; padding: 1rem;
  margin: 1rem 0; }
.row { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start; }
.pair { position: relative; flex: 2 1 420px; line-height: 0; --cut: 50%; }
.pair img { width: 100%; border-radius: 4px; }
.pair img + img { position: absolute; inset: 0;
  clip-path: inset(0 0 0 var(--cut)); }
.pair input { position: absolute; inset: 0; width: 100%; height: 100%;
  opacity: 0; cursor: ew-resize; margin: 0; }
.pair::after { content: ''; position: absolute; top: 0; bottom: 0;
  left: var(--cut); width: 2px; background: #fff; pointer-events: none; }
figure { margin: 0; flex: 1 1 180px; max-width: 340px; }
figure img, figure svg { width: 100%; border-radius: 4px; }
figcaption, .note { font-size: .85rem; opacity: .8; }
button { font: inherit; padding: .1rem .6rem; border: 1px solid var(--line);
  border-radius: 4px; background: var(--soft); color: inherit; }
button[aria-pressed=true] { font-weight: 700; }
"""

_SCRIPT = """
for (const pair of document.querySelectorAll('.pair')) {
  pair.querySelector('input').addEventListener('input', e =>
    pair.style.setProperty('--cut', e.target.value + '%'));
  const left = pair.querySelector('img');
  for (const button of pair.parentNode.parentNode.querySelectorAll('button')) {
    button.addEventListener('click', () => {
      left.src = pair.dataset[button.dataset.show];
      for (const other of button.parentNode.children)
        other.setAttribute('aria-pressed', other === button);
    });
  }
}
"""


@functools.cache
def _map_function():
  spec = entropy.EntropySpec(
    levels=_MAP_LEVELS, value_range=(0.0, 1.0), neighbor_weights='uniform'
  )
  return jax.jit(functools.partial(entropy.entropy_map, spec=spec))


def _entropy_maps(shots: Sequence[np.ndarray]) -> list[bytes]:
  """Spatial entropy, mean of the channels, coloured on one scale."""
  maps = [
    np.asarray(_map_function()(image[None].astype(np.float32) / 255))[0].mean(2)
    for image in shots
  ]
  low = min(m.min() for m in maps)
  span = max(max(m.max() for m in maps) - low, 1e-6)
  levels = [(255 * (m - low) / span).astype(np.uint8) for m in maps]
  colored = [cv2.applyColorMap(m, cv2.COLORMAP_VIRIDIS) for m in levels]
  return [pictures.jpeg(np.ascontiguousarray(m[:, :, ::-1])) for m in colored]


def _histogram(shots: dict[str, np.ndarray]) -> str:
  """Luminance histograms as an SVG with a legend."""
  colors = {'low': '#888', 'restored': '#2563eb', 'clean': '#ea580c'}
  lines = []
  for n, (name, image) in enumerate(shots.items()):
    gray = image @ np.array([0.299, 0.587, 0.114])
    counts, _ = np.histogram(gray, _BINS, (0, 256))
    heights = np.sqrt(counts / counts.max())  # the dark peak hides the rest
    points = ' '.join(
      f'{4 * i + 2},{100 - 90 * h:.1f}' for i, h in enumerate(heights)
    )
    color = colors[name]
    lines.append(
      f'<polyline points="{points}" fill="none" stroke="{color}" '
      f'stroke-width="2"/><text x="{170}" y="{14 + 14 * n}" font-size="12" '
      f'fill="{color}">{name}</text>'
    )
  return (
    f'<svg viewBox="0 0 {4 * _BINS} 104" role="img" aria-label="histograms of '
    f'luminance">{"".join(lines)}<path d="M0 100H{4 * _BINS}" '
    'stroke="#8888"/></svg>'
  )


def _better(key: str, values: Sequence[float]) -> float | None:
  """The best of some figures; None where there is none, or of one entry."""
  finite = [value for value in values if math.isfinite(value)]
  name = text_report.plain(key)
  metric = metrics.known().get(name)
  if len(values) < 2 or not finite or metric is None or metric.higher is None:
    return None
  return max(finite) if metric.higher else min(finite)


def _summary_table(entries: Sequence[text_report.Entry]) -> str:
  shown = text_report.columns(text_report.merged(entries))
  summaries = [text_report.summarize(entry.rows) for entry in entries]
  head = ''.join(f'<th>{title}</th>' for title, _ in shown.values())
  rows = []
  for entry, summary in zip(entries, summaries, strict=True):
    cells = []
    for key, (_, form) in shown.items():
      if key not in summary:
        cells.append('<td></td>')
        continue
      part = summary[key]
      means = [other[key]['mean'] for other in summaries if key in other]
      best = _better(key, means)
      mark = ' class="best"' if part['mean'] == best else ''
      cells.append(
        f'<td{mark}>{format(part["mean"], form)}<small>'
        f'{format(part["low"], form)} to {format(part["high"], form)}'
        '</small></td>'
      )
    name = html.escape(entry.name)
    rows.append(f'<tr><td>{name}</td>{"".join(cells)}</tr>')
  return f'<table><tr><th></th>{head}</tr>{"".join(rows)}</table>'


def _image_table(entry: text_report.Entry) -> str:
  shown = text_report.columns(entry.rows)
  head = ''.join(f'<th>{title}</th>' for title, _ in shown.values())
  rows = [
    f'<tr><td>{html.escape(str(row["name"]))}</td>'
    + ''.join(
      f'<td>{format(row[k], form)}</td>' for k, (_, form) in shown.items()
    )
    + '</tr>'
    for row in entry.rows
  ]
  return f'<table><tr><th>image</th>{head}</tr>{"".join(rows)}</table>'


def _card(row: dict, shot: Shot) -> str:
  """One image: slider, histograms, entropy maps."""
  encoded = {
    'low': shot.low,
    'restored': shot.restored,
    'clean': shot.clean or shot.low,
  }
  pixels = {side: pictures.decoded(jpeg) for side, jpeg in encoded.items()}
  low, restored, clean = map(pictures.uri, encoded.values())
  maps = map(pictures.uri, _entropy_maps([pixels['restored'], pixels['clean']]))
  figures = ', '.join(
    f'{title} {format(row[key], form)}'
    for key, (title, form) in text_report.columns([row]).items()
    if key != 'seconds'
  )
  name = html.escape(str(row['name']))
  return f"""<div class="card"><h4>{name}</h4><p class="note">{figures}</p>
<p><button data-show="clean" aria-pressed="true">clean | restored</button>
<button data-show="low" aria-pressed="false">low | restored</button></p>
<div class="row"><div class="pair" data-clean="{clean}"
 data-low="{low}"><img src="{clean}" alt="{name}: left">
<img src="{restored}" alt="{name}: restored">
<input type="range" value="50" aria-label="where to cut"></div>
<figure>{_histogram(pixels)}<figcaption>luminance, root of the counts
</figcaption></figure>
<figure><img src="{next(maps)}" alt="entropy of the output"><figcaption>
spatial entropy, restored</figcaption></figure>
<figure><img src="{next(maps)}" alt="entropy of the clean image"><figcaption>
spatial entropy, clean; one scale</figcaption></figure></div></div>"""


def _pictures(entry: text_report.Entry, shots: dict[str, Shot]) -> str:
  """The worst and the best images by PSNR."""
  ranked = sorted(
    (row for row in entry.rows if row['name'] in shots),
    key=lambda row: row['psnr'],
  )
  count = min(SHOWN, (len(ranked) + 1) // 2)
  parts = {'Worst': ranked[:count], 'Best': ranked[::-1][: len(ranked) - count]}
  return ''.join(
    f'<h3>{word} by PSNR</h3>'
    + ''.join(_card(row, shots[row['name']]) for row in rows[:count])
    for word, rows in parts.items()
    if rows
  )


def write_html(
  path: str | Path,
  entries: Sequence[text_report.Entry],
  shots: dict[str, dict[str, Shot]],
) -> None:
  """Writes the report, whole or not at all.

  Args:
    path: where the file goes.
    entries: what was measured; 'psnr' is among the figures where there were
      clean images.
    shots: entry's name -> image's name -> its pictures.

  Raises:
    InputError: if the file cannot be written.
  """
  parts = ['<h1>Evaluation</h1>', _summary_table(entries)]
  marks = ''.join(
    f' {text}.' for text in text_report.notes(text_report.merged(entries))
  )
  parts.append(
    '<p class="note">Mean over images, below it the 95 % bootstrap interval of '
    f'the mean.{marks}</p>'
  )
  paired = 'psnr' in text_report.columns(text_report.merged(entries))
  if not paired:
    parts.append(f'<h2>Photographs</h2>{sliders.cards(entries, shots)}')
  for entry in entries:
    parts.append(
      f'<h2>{html.escape(entry.name)}</h2>'
      f'<p class="note">{html.escape(entry.heading())}</p>'
      f'<details><summary>Every image</summary>{_image_table(entry)}</details>'
    )
    if paired:
      parts.append(_pictures(entry, shots.get(entry.name, {})))
  page = (
    '<!doctype html><html lang="en"><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width">'
    f'<title>Evaluation</title><style>{_STYLE}{sliders.STYLE}</style><body>'
    f'{"".join(parts)}<script>{_SCRIPT}{sliders.SCRIPT}</script></body></html>\n'
  )
  with files.replacing(path) as part:
    part.write_text(page)
