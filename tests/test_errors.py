"""What stands in sentences."""

import errno
import os

import pytest

from sel_jax import errors


@pytest.mark.parametrize(
  ('text', 'shown'),
  [
    ('a b', 'a b'),
    ('a\n\tb\u2028c', 'a b c'),
    ('\x1b[2Ja', '\\x1b[2Ja'),
    ('\u202egpj', '\\u202egpj'),
    ('\udcff', '\\udcff'),
    ('e\u0301 \u5199\u771f \U0001f319', 'e\u0301 \u5199\u771f \U0001f319'),
  ],
)
def test_a_terminal_shows_what_it_must_not_obey(text, shown):
  assert errors.line(text) == shown


def test_what_is_long_keeps_its_ends():
  assert errors.short('x' * 200) == 'x' * 200
  assert errors.short('a' + 'x' * 5000 + 'b') == f'a{"x" * 99}...{"x" * 99}b'


@pytest.mark.parametrize(
  ('number', 'sentence'),
  [
    (errno.ENOSPC, 'a.png: the disk is full; make room'),
    (errno.EMFILE, 'a.png: too many files are open; allow more by ulimit -n'),
  ],
)
def test_what_a_system_runs_out_of_is_a_sentence(
  run, monkeypatch, number, sentence
):
  def main():
    raise OSError(number, os.strerror(number), 'a.png')

  monkeypatch.setattr('experiments.train.main', main)
  done = run('train')
  assert done.returncode == 2 and done.stderr == f'error: {sentence}\n'
