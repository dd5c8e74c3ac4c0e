"""The notebooks as pages: copied beside them with their stored outputs.

Contract: copies files, runs nothing. Pictures of the outputs are written as
NAME-1.png, NAME-2.png ..., for pages that show one of them.
"""

import base64
import json
from pathlib import Path


def copy(source: Path, destination: Path) -> None:
  """Copies every notebook and its pictures; what has not changed stays.

  Args:
    source: folder of the .ipynb files.
    destination: folder for the copies.
  """
  destination.mkdir(exist_ok=True)
  for notebook in sorted(source.glob('*.ipynb')):
    content = notebook.read_bytes()
    _write(destination / notebook.name, content)
    for n, picture in enumerate(pictures(content), 1):
      _write(destination / f'{notebook.stem}-{n}.png', picture)


def pictures(content: bytes) -> list[bytes]:
  """The PNG pictures among the outputs, in their order."""
  return [
    base64.b64decode(output['data']['image/png'])
    for cell in json.loads(content)['cells']
    for output in cell.get('outputs', ())
    if 'image/png' in output.get('data', {})
  ]


def _write(path: Path, content: bytes) -> None:
  # A new time of writing would make Sphinx read the page again.
  if not path.exists() or path.read_bytes() != content:
    path.write_bytes(content)
