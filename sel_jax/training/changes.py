"""What may be changed in a run that goes on.

Contract: a key belongs to one of three kinds. What changes nothing that is
learned is free; a longer run or another learning rate is an ordinary wish,
which is said; anything else would make one model out of two experiments, and
asks for a word of its own.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any

from sel_jax.errors import InputError
from sel_jax.settings import Settings

# Keys, or whole sections.
FREE = (
  'data.root',
  'data.name',
  'data.cache',
  'data.cache_dir',
  'data.threads',
  'data.workers',
  'eval',
  'parallel',
  'train.log_every',
  'train.eval_every',
  'train.save_every',
  'train.keep',
  'train.loggers',
)
WISHES = (
  'data.skip_broken',
  'optim.lr',
  'optim.final_lr',
  'optim.gamma',
  'optim.milestones',
  'optim.schedule',
  'optim.warmup',
  'train.skip_nonfinite',
  'train.steps',
)

# (old, new) of a key.
Change = tuple[Any, Any]


@dataclasses.dataclass(frozen=True)
class Changes:
  """What differs between a stored configuration and a new one.

  Attributes:
    learned: key -> (old, new) of what decides what is learned.
    wishes: the same of how long and how fast.
  """

  learned: Mapping[str, Change]
  wishes: Mapping[str, Change]


def _keys(settings: Settings) -> dict[str, Any]:
  """'section.key' -> value."""
  found = {}
  for name, value in settings.to_dict().items():
    part = value if isinstance(value, Mapping) else {'': value}
    found |= {f'{name}.{key}'.rstrip('.'): v for key, v in part.items()}
  return found


def _is_among(name: str, kind: tuple[str, ...]) -> bool:
  return name in kind or name.partition('.')[0] in kind


def find(stored: Settings, wanted: Settings) -> Changes:
  """Compares two configurations; keys that only one of them has follow others.

  Args:
    stored: what a run was trained with.
    wanted: what it should go on with.
  """
  old, new = _keys(stored), _keys(wanted)
  changed = {
    name: (old[name], value)
    for name, value in new.items()
    if name in old and old[name] != value and not _is_among(name, FREE)
  }
  wishes = {n: c for n, c in changed.items() if _is_among(n, WISHES)}
  learned = {n: c for n, c in changed.items() if n not in wishes}
  return Changes(learned, wishes)


def told(changes: Mapping[str, Change]) -> str:
  """'config.train.steps=800 (was 400), ...'."""
  return ', '.join(
    f'config.{name}={new!r} (was {old!r})'
    for name, (old, new) in changes.items()
  )


def refuse(changes: Changes, place: object, step: int) -> None:
  """Stops a run that would go on to learn something else.

  Args:
    changes: from `find`.
    place: the run's folder.
    step: updates it has done.

  Raises:
    InputError: naming each key with both values.
  """
  if changes.learned:
    raise InputError(
      f'{place}: was trained for {step:,} updates with other settings, now '
      f'{told(changes.learned)}; add --allow-change to go on with the new '
      'ones, leave out --config to go on with the old ones, or use another '
      '--workdir'
    )
