"""Keys of a configuration as attributes of the class that has them.

Contract: meaning, default, range and choices come from the fields alone
(`sel_jax.fields.described`); so do the signatures of specs and networks. Types
of arrays are shown as they are written in the code.
"""

import dataclasses
import inspect
import re
from typing import Any

from docutils import nodes
from sphinx import addnodes

from sel_jax import fields

# JAX's arrays or NumPy's of one shape: a union of two types to the interpreter.
_EITHER = re.compile(r"(\w+)\[Array, ('[^']*')\] \| [\w.~]*\1\[ndarray, \2\]")
# What Flax adds to every network.
_FLAX = ('parent', 'name')


def setup(app: Any) -> dict[str, bool]:
  """After Napoleon: what is added here is markup already."""
  app.connect('autodoc-process-docstring', _add_keys, priority=600)
  app.connect('autodoc-process-signature', _sign)
  app.connect('object-description-transform', _shorten)
  app.connect('autodoc-skip-member', _skip)
  return {'parallel_read_safe': True}


def _add_keys(app, what, name, obj, options, lines: list[str]) -> None:
  del app, name, options
  if what == 'class' and dataclasses.is_dataclass(obj):
    for one in fields.described(obj).values():
      lines += _attribute(one)


def _attribute(one: fields.Described) -> list[str]:
  sentences = [f'{_sentence(one.meaning())}.']
  if allowed := one.range():
    sentences.append(f'Range: {allowed}.')
  return [
    '',
    f'.. py:attribute:: {one.name}',
    f'   :type: {inspect.formatannotation(one.hint)}',
    f'   :value: {one.default!r}',
    '',
    *('   ' + _plain(line) for line in sentences),
    '',
  ]


def _sentence(text: str) -> str:
  """A word begins with a capital, a symbol such as a_T does not."""
  first = text.split()[0].strip(',;:')
  return text[0].upper() + text[1:] if first.isalpha() else text


def _plain(text: str) -> str:
  return text.replace('\\', r'\\').replace('*', r'\*').replace('|', r'\|')


def _sign(app, what, name, obj, options, signature, returns):
  """A dataclass by its fields; arrays of any kind by one name."""
  del app, name, options
  if what != 'class' or not dataclasses.is_dataclass(obj):
    return _short(signature), _short(returns)
  shown = [f for f in dataclasses.fields(obj) if f.init and f.name not in _FLAX]
  return f'({", ".join(map(_parameter, shown))})', returns


def _short(text: str | None) -> str | None:
  """Types as they are written, such as Float[Array, 'B H W C']."""
  if text is None:
    return None
  return _EITHER.sub(r'\1[Array, \2]', text.replace('jaxlib._jax.', ''))


def _shorten(app, domain, objtype, content) -> None:
  """The same for the type of a property, which is no signature."""
  del app, domain, objtype
  for node in content.parent.findall(addnodes.desc_annotation):
    text = node.astext()
    if (short := _short(text)) != text:
      node.clear()
      node += nodes.Text(short)


def _parameter(field: dataclasses.Field) -> str:
  if field.default is not dataclasses.MISSING:
    default = field.default
    return f'{field.name}={getattr(default, "__name__", repr(default))}'
  if field.default_factory is not dataclasses.MISSING:
    return f'{field.name}=...'
  return field.name


def _skip(app, what, name, obj, skip, options) -> bool | None:
  """Methods that libraries put into a class, such as `replace`."""
  del app, what, name, options
  function = getattr(obj, 'fget', obj)
  if callable(function):
    function = inspect.unwrap(function)
  home = getattr(function, '__module__', None) or 'sel_jax'
  return True if not home.startswith('sel_jax') else skip or None
