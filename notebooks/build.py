"""Runs the notebooks' sources and writes them with their outputs as .ipynb.

make notebooks
"""

import base64
import io
from pathlib import Path

import jupytext
import nbclient
from PIL import Image

HERE = Path(__file__).parent


def _shrink(data: dict) -> None:
  """Makes a picture small: 96 colours, no wider than 640 pixels."""
  if 'image/png' not in data:
    return
  raw = io.BytesIO(base64.b64decode(data['image/png']))
  picture = Image.open(raw).convert('RGB')
  picture.thumbnail((640, 640), Image.Resampling.LANCZOS)
  small = io.BytesIO()
  picture.quantize(96).save(small, 'PNG', optimize=True)
  data['image/png'] = base64.b64encode(small.getvalue()).decode()


def main() -> None:
  """Every source whose name begins with a number."""
  for source in sorted(HERE.glob('[0-9]_*.py')):
    notebook = jupytext.read(source)
    notebook.metadata['kernelspec'] = {
      'name': 'python3',
      'display_name': 'Python 3',
      'language': 'python',
    }
    nbclient.NotebookClient(
      notebook, timeout=300, resources={'metadata': {'path': str(HERE.parent)}}
    ).execute()
    for cell in notebook.cells:
      cell.metadata.pop('execution', None)
      if cell.cell_type == 'code':  # progress bars are no results
        cell.outputs = [o for o in cell.outputs if o.get('name') != 'stderr']
        for output in cell.outputs:
          _shrink(output.get('data', {}))
    destination = source.with_suffix('.ipynb')
    jupytext.write(notebook, destination, fmt='ipynb')
    print(f'{destination.name}: {destination.stat().st_size / 1000:.0f} kB')


if __name__ == '__main__':
  main()
