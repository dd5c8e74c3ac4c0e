"""Errors that a person can act on.

Contract: the message is one sentence that names the path, file or key and the
remedy; command lines print it and exit with status 2, without a traceback.
"""


class InputError(ValueError):
  """Something the user gave is missing, broken or inconsistent."""
