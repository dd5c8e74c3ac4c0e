"""Tests of the commands."""

import os

import pytest

from sel_jax import imports
from sel_jax import stored_keys


@pytest.fixture(autouse=True)
def stored_anew(monkeypatch):
  """What is stored of the commands holds, as after `make settings`."""
  os.utime(stored_keys.path())
  monkeypatch.setattr(imports, '_loaded', set())
