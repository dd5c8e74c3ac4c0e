"""One rule for the spelling of flags, in every command."""

import importlib
import re

import pytest

from sel_jax import fields
from sel_jax.commands import __main__
from sel_jax.commands import command_line
from sel_jax.commands import flags
from sel_jax.errors import InputError
from sel_jax.eval_section import EvalSpec
from sel_jax.fields import key


def _parser():
  parser = command_line.parser('A command.')
  parser.add_argument('--two-words')
  parser.switch('--fast', help='or slow')
  return parser


@pytest.mark.parametrize(
  'words',
  [
    ['--two-words=x_y'],
    ['--two-words', 'x_y'],
    ['--two_words=x_y'],
    ['--two_words', 'x_y'],
  ],
)
def test_values_follow_or_are_joined_and_underscores_will_do(words):
  assert _parser().parse_flags(words).two_words == 'x_y'


def test_switches_are_negated_in_one_way():
  assert _parser().parse_flags([]).fast is False
  assert _parser().parse_flags(['--fast']).fast is True
  assert _parser().parse_flags(['--fast', '--no-fast']).fast is False


def test_keys_of_a_configuration_keep_their_names():
  args, keys = _parser().parse(
    ['--config.a.b_c=1=2', '--two_words=x', '--config.d', '3']
  )
  assert keys == {'a.b_c': '1=2', 'd': '3'} and args.two_words == 'x'
  with pytest.raises(InputError, match='--config.d: give a value'):
    _parser().parse(['--config.d', '--fast'])
  with pytest.raises(InputError, match='--config.a is no flag'):
    _parser().parse_flags(['--config.a=1'])


@pytest.mark.parametrize(
  ('word', 'message'),
  [
    ('--two-word=x', "--two-word is no flag; did you mean '--two-words'"),
    ('--nofast', "--nofast is no flag; did you mean '--no-fast'"),
    ('x', "'x' is no flag; see"),
    ('--two-words', 'argument --two-words: expected one argument'),
  ],
)
def test_what_is_no_flag_is_told_with_the_nearest(word, message):
  with pytest.raises(InputError, match=re.escape(message)):
    _parser().parse_flags([word])


@pytest.mark.parametrize('name', __main__.COMMANDS)
def test_every_command_obeys_the_rule(name, monkeypatch, capsys):
  main = importlib.import_module(
    f'sel_jax.commands.{name.replace("-", "_")}'
  ).main
  monkeypatch.setattr('sys.argv', [f'sel-jax {name}', '--help'])
  with pytest.raises(SystemExit) as info:
    main()
  assert info.value.code == 0
  text = capsys.readouterr().out
  options = text.partition('keys of the configuration')[0]
  shown = set(
    re.findall(r'(?<![\w-])--[\w-]+', options.partition('options:')[2])
  )
  assert {'--version', '--dry-run', '--no-dry-run'} <= shown
  assert not [flag for flag in shown if '_' in flag]
  assert text.startswith(f'usage: sel-jax {name}')


def test_a_report_of_a_bug_has_versions_and_devices(capsys):
  with pytest.raises(SystemExit):
    _parser().parse_flags(['--version'])
  text = capsys.readouterr().out
  for part in (
    'sel_jax 0.',
    'Python 3.',
    'jax 0.',
    'flax 0.',
    'devices: 1 x cpu',
  ):
    assert part in text


def test_a_key_of_the_sampler_is_a_flag_by_its_description_alone(monkeypatch):
  @fields.spec
  class Longer(EvalSpec):
    glow: float = key('how bright it shines', default=0.5, ge=0)
    hidden: int = key('not a flag', default=0, ge=0, flag=False)

  monkeypatch.setattr(flags, 'EvalSpec', Longer)
  parser = command_line.parser('A command.')
  flags.add_model(parser)
  assert parser.parse_flags(['--glow=0.25']).glow == 0.25
  assert parser.parse_flags([]).glow is None
  assert 'how bright it shines' in parser.format_help()
  with pytest.raises(InputError, match='--hidden is no flag'):
    parser.parse_flags(['--hidden=1'])
