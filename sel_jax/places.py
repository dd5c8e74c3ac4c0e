"""Where trained weights lie, by their names alone.

Contract: looks at names, opens nothing and imports nothing that takes time: a
wrong path is told before a library is loaded.
"""

from importlib import resources
from pathlib import Path

from sel_jax.errors import InputError

# Name of the model that comes with the package.
SHIPPED = 'shipped'
# Endings of files of weights: our own form, and PyTorch's.
PORTABLE = '.safetensors'
TORCH = frozenset(('.pth', '.pt', '.ckpt'))
# Folder of a run that holds its checkpoints, each named by its step.
CHECKPOINTS = 'checkpoints'


def find(path: str | Path | None) -> Path:
  """A file of weights or the folder of a run, which is there.

  Args:
    path: as a person gives it; None and 'shipped' are the package's own model.

  Raises:
    InputError: if there is none.
  """
  if path is None or str(path) == SHIPPED:
    return Path(str(resources.files('sel_jax'))) / f'weights/lol{PORTABLE}'
  path = Path(path)
  if path.suffix not in TORCH | {PORTABLE}:
    ensure_run(path)
  elif not path.is_file():
    raise InputError(f'{path}: no such file; check the path')
  return path


def ensure_run(workdir: str | Path) -> None:
  """Checks that a folder is that of a run.

  Raises:
    InputError: if there is no checkpoint in it.
  """
  folder = Path(workdir) / CHECKPOINTS
  if not any(path.name.isdigit() for path in folder.glob('*')):
    raise InputError(
      f'{workdir}: no checkpoint in it; give the --workdir of a training run'
    )
