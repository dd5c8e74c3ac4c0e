"""Every key of a configuration as text, which no library is loaded to read.

Contract: `make settings` writes it, and a test holds it to the fields. It knows
no keys that parts of one's own add.
"""

from collections.abc import Mapping
from importlib import resources
import json
from pathlib import Path
import sys
import types
import typing
from typing import Any

import ml_collections

from sel_jax import fields
from sel_jax import imports

# Seconds in which a clone, or pip, has written the whole package.
_INSTALLATION = 60
# Section of an ablation that is a whole configuration.
_BASE = 'base.'


def path() -> Path:
  """The file: 'section.key' -> `as_json`, of an ablation and of its base."""
  return Path(str(resources.files('sel_jax'))) / 'stored_keys.json'


def hold() -> bool:
  """Whether these are all keys, and what is stored of the commands still holds.

  Not where parts of one's own were imported, nor where the package was edited
  since: the fields tell then, later but rightly, until `make settings`.
  """
  if imports.loaded():
    return False
  stored = path().stat().st_mtime
  changed = (file.stat().st_mtime for file in path().parent.rglob('*.py'))
  return all(time < stored + _INSTALLATION for time in changed)


def as_json(one: fields.Described) -> dict[str, Any]:
  """A key as it is stored, without its meaning."""
  return {
    'type': one.hint.__name__ if isinstance(one.hint, type) else str(one.hint),
    'default': one.default,
    'limits': dict(one.key.limits),
    'choices': one.key.names(),
  }


def read(command: str) -> dict[str, fields.Described]:
  """'section.key' -> what its values may be, without its meaning.

  Args:
    command: train, or ablate, whose keys are those of a plan and its base.
  """
  rows = json.loads(path().read_text())
  if command == 'train':
    rows = {
      name.removeprefix(_BASE): row
      for name, row in rows.items()
      if name.startswith(_BASE)
    }
  holder = types.SimpleNamespace(
    __annotations__={name: row['type'] for name, row in rows.items()}
  )
  hints = typing.get_type_hints(holder, {'typing': typing})
  found = {}
  for name, row in rows.items():
    default = row['default']
    default = tuple(default) if isinstance(default, list) else default
    entry = fields.Key('', row['limits'], row['choices'])
    last = name.rpartition('.')[2]
    found[name] = fields.Described(last, hints[name], default, entry)
  return found


def nested(known: Mapping[str, fields.Described]) -> ml_collections.ConfigDict:
  """A configuration of every key at its default."""
  values: dict[str, Any] = {}
  for name, one in known.items():
    *sections, last = name.split('.')
    holder = values
    for section in sections:
      holder = holder.setdefault(section, {})
    holder[last] = one.default
  return ml_collections.ConfigDict(values)


def default_config() -> ml_collections.ConfigDict:
  """Every key at its default: what configurations start from.

  As stored, if that holds; where JAX is loaded, and so may be parts of one's
  own, as the fields say.
  """
  if 'jax' not in sys.modules and hold():
    return nested(read('train'))

  from sel_jax import settings

  return nested(settings.every_key())
