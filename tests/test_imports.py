"""The law of the house: imports point downward, and in no circle.

`FLOORS` is the list; change it where it is wrong, in the same commit as the
import that it would forbid.
"""

import ast
from collections.abc import Iterator
import dataclasses
from pathlib import Path
import subprocess
import sys

import pytest

ROOT = Path(__file__).parents[1]

# From the top. Rooms of one floor do not import one another.
FLOORS = (
  ('notebooks',),
  ('benchmarks',),
  ('experiments',),
  ('sel_jax.commands',),
  ('sel_jax.ablation',),
  ('sel_jax.training',),
  ('sel_jax.inference',),
  ('sel_jax.evaluation',),
  (
    'sel_jax.interop',
    'sel_jax.checkpoints',
    'sel_jax.build',
    'sel_jax.configs',
  ),
  ('sel_jax.stored_keys',),
  ('sel_jax.method', 'sel_jax.settings'),
  ('sel_jax.rules',),
  ('sel_jax.sections', 'sel_jax.eval_section'),
  ('sel_jax.data',),
  (
    'sel_jax.entropy',
    'sel_jax.losses',
    'sel_jax.diffusion',
    'sel_jax.models',
    'sel_jax.images',
    'sel_jax.optimizers',
    'sel_jax.programs',
  ),
  (
    'sel_jax.fields',
    'sel_jax.files',
    'sel_jax.imports',
    'sel_jax.limits',
    'sel_jax.memory',
    'sel_jax.places',
    'sel_jax.allocator',
    'sel_jax.detail',
  ),
  ('sel_jax.arrays', 'sel_jax.leases', 'sel_jax.scores', 'sel_jax.trees'),
  ('sel_jax.errors',),
)
FLOOR = {room: n for n, rooms in enumerate(FLOORS) for room in rooms}

# Rooms of pure functions, and what they must do without.
PURE = ('entropy', 'losses', 'diffusion', 'models')
IMPURE = {
  'os', 'io', 'pathlib', 'json', 'logging', 'ml_collections', 'cv2', 'PIL',
  'tqdm', 'tempfile', 'subprocess', 'absl', 'sel_jax.files',
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Import:
  """One import: the file and line, who imports, and what."""

  where: str
  importer: str
  imported: str


def _modules() -> dict[str, Path]:
  """Module -> its file; configs/ is `sel_jax.configs`."""
  found = {}
  for top in ('sel_jax', 'experiments', 'benchmarks', 'notebooks'):
    for path in sorted((ROOT / top).rglob('*.py')):
      parts = list(path.relative_to(ROOT).with_suffix('').parts)
      if parts[-1] == '__init__':
        parts.pop()
      found['.'.join(parts)] = path
  for path in sorted((ROOT / 'configs').glob('*.py')):
    if path.stem != '__init__':
      found[f'sel_jax.configs.{path.stem}'] = path
  return found


MODULES = _modules()


def imports_of(module: str, path: Path, text: str) -> Iterator[Import]:
  """Every import of a module, those inside functions too."""
  for node in ast.walk(ast.parse(text)):
    names = []
    if isinstance(node, ast.Import):
      names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
      assert not node.level, f'{path}:{node.lineno}: relative import'
      inner = [f'{node.module}.{alias.name}' for alias in node.names]
      names = [n if n in MODULES else node.module for n in inner]
    for name in names:
      shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
      yield Import(f'{shown}:{node.lineno}', module, name)


def _every_import() -> list[Import]:
  return [
    one
    for module, path in MODULES.items()
    for one in imports_of(module, path, path.read_text())
  ]


def room_of(module: str) -> str | None:
  """The room of `FLOORS` that a module stands in; None outside the house."""
  parts = module.split('.')
  for length in range(len(parts), 0, -1):
    if (name := '.'.join(parts[:length])) in FLOOR:
      return name
  return None


def broken(one: Import) -> str | None:
  """What is wrong with an import, if anything."""
  mine, other = room_of(one.importer), room_of(one.imported)
  if mine is None or other is None or mine == other:
    return None
  if FLOOR[mine] < FLOOR[other]:
    return None
  how = 'above it' if FLOOR[mine] > FLOOR[other] else 'on its own floor'
  return (
    f'{one.where}: {mine} imports {one.imported}, which is {how}; move what '
    'both need to a lower floor'
  )


def test_every_module_stands_on_a_floor():
  homeless = [m for m in MODULES if room_of(m) is None and m != 'sel_jax']
  assert not homeless


def test_imports_point_downward():
  assert not list(filter(None, map(broken, _every_import())))


def test_the_law_names_the_file_and_the_line():
  path = ROOT / 'sel_jax' / 'entropy' / 'bad.py'
  text = 'import jax\n\ndef f():\n  from sel_jax.training import loop\n'
  (found,) = filter(
    None, map(broken, imports_of('sel_jax.entropy.bad', path, text))
  )
  assert found.startswith(
    'sel_jax/entropy/bad.py:4: sel_jax.entropy imports sel_jax.training.loop, '
    'which is above it'
  )
  text = 'from sel_jax.models import layers\n'
  (found,) = filter(
    None, map(broken, imports_of('sel_jax.entropy.bad', path, text))
  )
  assert 'on its own floor' in found


def _graph() -> dict[str, set[str]]:
  graph: dict[str, set[str]] = {module: set() for module in MODULES}
  for one in _every_import():
    if one.imported in MODULES and one.imported != one.importer:
      graph[one.importer].add(one.imported)
  return graph


def test_no_module_imports_itself_by_a_detour():
  graph = _graph()
  done: set[str] = set()

  def walk(module: str, path: tuple[str, ...]) -> None:
    assert module not in path, ' -> '.join((*path, module))
    if module in done:
      return
    for other in sorted(graph[module]):
      walk(other, (*path, module))
    done.add(module)

  for module in graph:
    walk(module, ())


def test_rooms_of_pure_functions_do_nothing_else():
  rooms = tuple(f'sel_jax.{room}' for room in PURE)
  found = [
    f'{one.where}: imports {one.imported}'
    for one in _every_import()
    if room_of(one.importer) in rooms
    and (one.imported in IMPURE or one.imported.split('.')[0] in IMPURE)
  ]
  assert not found


LIGHT = {
  'sel_jax': {'jax', 'numpy'},
  'sel_jax.entropy': {'flax', 'optax', 'orbax', 'cv2', 'PIL', 'ml_collections'},
  'sel_jax.method': {'cv2', 'ml_collections', 'orbax', 'sel_jax.data'},
  'sel_jax.training.step': {
    'cv2', 'ml_collections', 'orbax', 'grain', 'sel_jax.data',
    'sel_jax.settings',
  },
  'sel_jax.settings': {'grain', 'orbax', 'tensorflow_datasets', 'skimage'},
  'sel_jax.commands.enhance': {
    'grain', 'orbax', 'sel_jax.training', 'sel_jax.inference',
  },
}  # fmt: skip


@pytest.mark.parametrize('module', LIGHT)
def test_what_a_module_does_not_load(module):
  code = (
    f'import sys, {module}; '
    f'print(*sorted({LIGHT[module]!r} & set(sys.modules)))'
  )
  done = subprocess.run(
    [sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT
  )
  assert done.returncode == 0, done.stderr
  assert done.stdout.strip() == ''
