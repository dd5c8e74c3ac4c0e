"""The names that users import, and where their entries stand.

Contract: a public name is what the package of a room re-exports, or what a
module at the top defines. Annotations name the module that defines a class;
references to it lead to its public name.
"""

import importlib
import inspect
import pkgutil
import re
import sys
from types import ModuleType
from typing import Any

import sel_jax

# Command lines have pages of their own; experiments are files to edit.
_OTHER = ('commands', 'configs')


def rooms() -> list[ModuleType]:
  """Every package and module at the top, in order."""
  found = pkgutil.iter_modules(sel_jax.__path__)
  return [
    importlib.import_module(f'sel_jax.{one.name}')
    for one in found
    if one.name not in _OTHER
  ]


def public(room: ModuleType) -> dict[str, Any]:
  """Name -> value of what a room offers."""
  names = getattr(room, '__all__', None) or list(vars(room))
  values = {name: getattr(room, name) for name in names}
  return {name: v for name, v in values.items() if _is_public(room, name, v)}


def _is_public(room: ModuleType, name: str, value: Any) -> bool:
  if name.startswith('_') or inspect.ismodule(value):
    return False
  if inspect.isclass(value) or inspect.isfunction(value):
    home = value.__module__
    return home == room.__name__ or (_is_package(room) and _is_ours(home))
  # Constants, in capitals, do not know where they were defined.
  return name.isupper() and (_is_package(room) or _assigned(room, name))


def _assigned(module: ModuleType, name: str) -> bool:
  source = inspect.getsource(module)
  return bool(re.search(rf'^{name}(: .*)? = ', source, re.MULTILINE))


def _is_package(module: ModuleType) -> bool:
  return hasattr(module, '__path__')


def _is_ours(module: str) -> bool:
  return module.partition('.')[0] == sel_jax.__name__


def entries() -> list[str]:
  """Every public name in full, such as 'sel_jax.entropy.EntropySpec'."""
  return [
    f'{room.__name__}.{name}' for room in rooms() for name in public(room)
  ]


def _identity(value: Any) -> Any:
  if inspect.isclass(value) or inspect.isfunction(value):
    return value.__module__, value.__qualname__
  return id(value)


def _homes() -> dict[Any, str]:
  """What identifies a value -> its public name."""
  homes: dict[Any, str] = {}
  for room in rooms():
    for name, value in public(room).items():
      homes.setdefault(_identity(value), f'{room.__name__}.{name}')
  return homes


_HOMES = _homes()


def module_of(obj: Any, name: str) -> ModuleType | None:
  """The module that defines an object, or the one in its full name."""
  parts = name.split('.')
  names = ['.'.join(parts[:n]) for n in range(len(parts), 0, -1)]
  for one in (getattr(obj, '__module__', None), *names):
    if one in sys.modules:
      return sys.modules[one]
  return None


def find(name: str, module: ModuleType | None) -> str | None:
  """The public name of what `name` stands for in a module; None if none."""
  value: Any = module
  for part in name.split('.'):
    value = getattr(value, part, None)
  return _HOMES.get(_identity(value)) if value is not None else None


def setup(app: Any) -> dict[str, bool]:
  """Resolves a class by the module that defines it."""
  app.connect('missing-reference', _resolve)
  return {'parallel_read_safe': True}


def _resolve(app, env, node, contnode):
  target = node.get('reftarget', '')
  home = tuple(target.rpartition('.')[::2])
  if node.get('refdomain') != 'py' or home not in _HOMES:
    return None
  domain = env.get_domain('py')
  return domain.resolve_xref(
    env, node['refdoc'], app.builder, 'obj', _HOMES[home], node, contnode
  )
