"""Errors that a person can act on.

Contract: the message is one sentence that names the path, file or key and the
remedy; command lines print it and exit with status 2, without a traceback.
"""

import re

# Longest part of a sentence that quotes what was given.
_LONGEST = 200


def short(text: str) -> str:
  """The text as a sentence quotes it: if it is long, its beginning and end."""
  half = _LONGEST // 2
  return text if len(text) <= _LONGEST else f'{text[:half]}...{text[-half:]}'


def line(text: object) -> str:
  """The text on one line, as a terminal shows it and never obeys it.

  Names of files may hold what moves a cursor, or turns the rest around.
  """
  words = re.sub(r'\s+', ' ', str(text))
  shown = (
    one if one.isprintable() else one.encode('unicode_escape').decode('ascii')
    for one in words
  )
  return ''.join(shown)


class InputError(ValueError):
  """Something the user gave is missing, broken or inconsistent."""


class SettingError(InputError):
  """A key of a configuration has a value that does not fit.

  Attributes:
    key: the key, within its section.
    value: what it was given; None for a key that is unknown.
    reason: what is wrong with it, and the remedy.
  """

  def __init__(self, key: str, value: object, reason: str, owner: str = ''):
    """The message names the owner, if there is one."""
    self.key, self.value, self.reason = key, value, reason
    given = '' if value is None else f'={short(repr(value))}'
    name = f'{owner}{"." * bool(owner)}{short(key)}'
    super().__init__(f'{name}{given}: {reason}')

  def of(self, owner: str) -> 'SettingError':
    """The same error with the name of the section, or class, before its key."""
    return SettingError(self.key, self.value, self.reason, owner)


class DamagedCheckpointError(InputError):
  """A checkpoint that is incomplete or whose bytes have changed."""


class NonFiniteLossError(ArithmeticError):
  """The loss became NaN or infinite; names the step and the term."""


class StuckProcessError(RuntimeError):
  """Another process did not arrive at a barrier in time."""
