"""What checkpoints are ranked by, as it lies on disk.

Contract: reads a folder as the checkpoint manager lays it out, and nothing
else; a damaged byte is noticed.
"""

from collections.abc import Mapping
import json
from pathlib import Path
import zlib

# Higher is better; before, it was the PSNR.
SCORE = 'score'
_SCORE_OF_BEFORE = 'psnr'
# Folder of a checkpoint, and its file.
METRICS = 'metrics'


class DamagedScoreError(ValueError):
  """Figures of a validation that are incomplete or whose bytes have changed."""


def score_of(metrics: Mapping[str, float]) -> float:
  """The figure that a validation is ranked by.

  Args:
    metrics: its figures.
  """
  return float(metrics[SCORE if SCORE in metrics else _SCORE_OF_BEFORE])


def checksum(metrics: Mapping[str, float]) -> int:
  """CRC-32 over figures as JSON holds them.

  Args:
    metrics: name -> figure.
  """
  return zlib.crc32(json.dumps(dict(metrics), sort_keys=True).encode())


def read(checkpoint: Path) -> float | None:
  """The score of a checkpoint, None if there was no validation.

  Args:
    checkpoint: its folder.

  Raises:
    DamagedScoreError: if its figures are damaged.
  """
  path = checkpoint / METRICS / METRICS
  if not path.exists():
    return None
  try:
    found = json.loads(path.read_text())
    score = score_of(found)
    stored = _checksums(checkpoint).get(METRICS)
    if stored is not None and stored != checksum(found):
      raise ValueError('their checksum does not match')
  except (OSError, ValueError, KeyError, TypeError) as error:
    raise DamagedScoreError(f'{path}: damaged ({error})') from error
  return score


def _checksums(checkpoint: Path) -> Mapping[str, int]:
  """Those that it notes; none if that is damaged, which others notice."""
  try:
    text = (checkpoint / 'meta' / 'metadata').read_text()
    return dict(json.loads(text)['checksums'])
  except (OSError, ValueError, KeyError, TypeError):
    return {}
