"""The archive that a challenge's server takes: results and a readme.txt.

Contract: results stand at its top, named as the photographs; the readme has the
lines that challenges of NTIRE ask for. It is written whole, or not at all.
"""

from collections.abc import Sequence
from pathlib import Path
import zipfile

from sel_jax import files
from sel_jax.commands import dry_run as rehearsal
from sel_jax.errors import InputError

_README = 'readme.txt'
_TEXT = """runtime per image [s] : {seconds}
CPU[1] / GPU[0] : {cpu:d}
Extra Data [1] / No Extra Data [0] : {extra:d}
Other description : sel_jax, {model}
"""


def check(path: str, *, dry_run: bool) -> None:
  """Early: whether the archive can be written.

  Args:
    path: where to; its folder is made.
    dry_run: make nothing.

  Raises:
    InputError: if its name does not end in .zip, or its folder cannot be made.
  """
  if Path(path).suffix.lower() != '.zip':
    raise InputError(f'--submission={path}: give a name that ends in .zip')
  rehearsal.ensure_directory(Path(path).absolute().parent, dry_run=dry_run)


def write(
  path: Path,
  results: Sequence[Path],
  *,
  seconds: float | None,
  cpu: bool,
  extra: bool,
  model: str,
) -> None:
  """Writes the archive.

  Args:
    path: where to.
    results: the restored photographs.
    seconds: for each, as measured; None where none was restored just now.
    cpu: whether no accelerator was used.
    extra: whether other data than the challenge's trained the model.
    model: a few words on it.

  Raises:
    InputError: if two results have one name, or it cannot be written.
  """
  names: dict[str, Path] = {}
  for result in results:
    other = names.setdefault(result.name, result)
    if other is not result:
      raise InputError(
        f'{path}: {other} and {result} have one name, and a submission has '
        'them side by side; restore one folder'
      )
  taken = 'not measured' if seconds is None else f'{seconds:.2f}'
  text = _TEXT.format(seconds=taken, cpu=cpu, extra=extra, model=model)
  with files.replacing(path) as part, zipfile.ZipFile(part, 'w') as archive:
    for name, result in names.items():
      archive.write(result, name)
    archive.writestr(_README, text)
