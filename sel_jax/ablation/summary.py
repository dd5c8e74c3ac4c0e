"""The figures of an ablation in a small file, to be kept and shown.

Contract: what is read summarizes, tabulates and plots as the results that were
written; settings are left out, for the command that made them stands first.
"""

from collections.abc import Sequence
import dataclasses
import json
from pathlib import Path
from typing import Any

from sel_jax import files
from sel_jax.ablation.trials import figure
from sel_jax.errors import InputError

_DIGITS = 5


@dataclasses.dataclass(frozen=True)
class Summary:
  """An ablation's figures.

  Attributes:
    command: what made them, without the folders of data and results.
    split: what was measured on.
    metrics: keys of figures, GT-mean ones by their suffix.
    results: a dict a run, as `trials.run` yields them but for the settings.
  """

  command: str
  split: str
  metrics: tuple[str, ...]
  results: list[dict[str, Any]]

  @classmethod
  def read(cls, path: str | Path) -> 'Summary':
    """Reads what `write` wrote.

    Raises:
      InputError: if there is no such file, or it is another one.
    """
    try:
      found = json.loads(Path(path).read_text())
      results = [_whole(run, found['metrics']) for run in found['runs']]
      return cls(
        found['command'], found['split'], tuple(found['metrics']), results
      )
    except OSError as error:
      raise InputError(f'{path}: {error.strerror}') from error
    except (ValueError, KeyError, TypeError) as error:
      raise InputError(
        f'{path}: not the summary of an ablation ({error})'
      ) from error

  def write(self, path: str | Path) -> None:
    """Writes a line a run, replacing the file as a whole."""
    runs = [_compact(run, self.metrics) for run in self.results]
    head = {
      'command': self.command,
      'split': self.split,
      'metrics': self.metrics,
    }
    lines = ',\n'.join(json.dumps(run) for run in runs)
    text = f'{json.dumps(head)[:-1]}, "runs": [\n{lines}\n]}}\n'
    with files.replacing(Path(path)) as part:
      part.write_text(text)


def _compact(run: dict[str, Any], metrics: Sequence[str]) -> dict[str, Any]:
  """Figures by metric instead of by image."""
  short = {
    key: [
      None if (value := figure(row, key)) is None else round(value, _DIGITS)
      for row in run['images']
    ]
    for key in metrics
  }
  names, seconds = [row['name'] for row in run['images']], run['seconds']
  return {
    'variant': run['variant'],
    'seed': run['seed'],
    'steps': run['steps'],
    'seconds': None if seconds is None else round(seconds, 1),
    'images': names,
    **short,
  }


def _whole(run: dict[str, Any], metrics: Sequence[str]) -> dict[str, Any]:
  values = zip(*(run[key] for key in metrics), strict=True)
  rows = [
    {'name': name, **dict(zip(metrics, found, strict=True))}
    for name, found in zip(run['images'], values, strict=True)
  ]
  return {key: run[key] for key in ('variant', 'seed', 'steps', 'seconds')} | {
    'images': rows
  }
