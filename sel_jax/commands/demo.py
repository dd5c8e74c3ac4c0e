"""A page in the browser: drop a photograph, compare, download.

python -m experiments.demo --checkpoint=runs/lol

Works offline. It serves this machine alone unless --host says otherwise; then
anyone who reaches the port can use it, one photograph at a time.
"""

import argparse
import importlib.util
import os
from pathlib import Path
import socket
import tempfile
from typing import Any

from sel_jax import limits
from sel_jax.commands import command_line
from sel_jax.commands import dry_run
from sel_jax.commands import flags
from sel_jax.errors import InputError

_FONTS = ['system-ui', 'sans-serif']


def _require_gradio() -> None:
  """Early: before the model is loaded."""
  if importlib.util.find_spec('gradio') is None:
    raise InputError(
      'the page needs Gradio: pip install "sel-jax[demo]", or -r '
      'requirements-demo.txt'
    )


def _gradio(folder: Path) -> Any:
  """Gradio, with its files in `folder` and its calls home turned off."""
  os.environ['GRADIO_TEMP_DIR'] = str(folder)
  os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'
  os.environ['HF_HUB_OFFLINE'] = '1'
  import gradio

  return gradio


def _refused_port(port: int, error: OSError) -> InputError:
  return InputError(f'--port={port}: not free ({error}); give another')


def _rehearse(args: argparse.Namespace) -> None:
  """Loads the model, tries the port, and says what would be served."""
  enhancer = flags.load(args)
  try:
    socket.create_server((args.host, args.port)).close()
  except OSError as error:
    raise _refused_port(args.port, error) from error
  dry_run.report(
    [
      f'would serve {dry_run.describe(enhancer, args.checkpoint)} at '
      f'http://{args.host}:{args.port}, photographs up to '
      f'{limits.pixels() / 1e6:g} megapixels'
    ]
  )


def parser() -> command_line.Parser:
  """The command's flags."""
  made = command_line.parser(__doc__, command='demo')
  flags.add_model(made)
  made.add_argument('--host', default='127.0.0.1', help='who may reach it')
  made.add_argument('--port', type=int, default=7860, help='where it answers')
  return made


def main() -> None:
  """Entry point; serves until it is interrupted."""
  args = parser().parse_flags()
  _require_gradio()
  if args.dry_run:
    _rehearse(args)
    return
  with tempfile.TemporaryDirectory(prefix='sel_jax_demo_') as folder:
    enhancer, gr = flags.load(args), _gradio(Path(folder))

    from sel_jax.commands import page  # not for --help or a wrong flag

    studio = page.Studio(enhancer, Path(folder))
    shown = page.build_page(studio, gr)
    print(f'http://{args.host}:{args.port}  (Ctrl-C ends it)', flush=True)
    try:
      shown.launch(
        server_name=args.host,
        server_port=args.port,
        max_file_size='256mb',
        footer_links=[],
        theme=gr.themes.Soft(font=_FONTS, font_mono=['monospace']),
        share=False,
        show_error=True,  # what Gradio refuses by itself has a message too
        quiet=True,
        run_history=False,
      )
    except OSError as error:
      raise _refused_port(args.port, error) from error


if __name__ == '__main__':
  command_line.run(main)
