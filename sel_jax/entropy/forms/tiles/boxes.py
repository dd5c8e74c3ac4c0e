"""Sums over windows along one axis of a flat tile, and their transpose.

Contract: pure functions of flat planes; the transpose is exact. A window is
made of `partial_sums`, of which a narrower window may be one. What several
loops read is formed once, behind a fence; what one loop reads is given as a
function, which that loop calls.

A span [first, stop) counts from the first pixel of the tile with its halo.

Axes: k a span.
"""

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
import functools

from jax import lax
from jaxtyping import Array
from jaxtyping import Bool
from jaxtyping import Float

from sel_jax.entropy.forms.partial_sums import lengths
from sel_jax.entropy.forms.partial_sums import pieces
from sel_jax.entropy.forms.tiles.fence import apart

Span = tuple[int, int]
# The values over a span: of all rows, or of one.
Read = Callable[..., Float[Array, '... k']]
Plan = dict[int, list[tuple[int, int]]]


def grown(span: Span, by: int) -> Span:
  """A span with as much more on both sides."""
  return span[0] - by, span[1] + by


def _moved(span: Span, by: int) -> Span:
  return span[0] + by, span[1] + by


def reader(values: Float[Array, '... k'], first: int) -> Read:
  """What reads an array whose last axis begins at a place of the tile."""

  def read(span, row=None):
    start, stop = _moved(span, -first)
    if row is None:
      return lax.slice_in_dim(values, start, stop, axis=-1)
    between = values.shape[1:-1]
    found = lax.slice(
      values,
      (row, *(0 for _ in between), start),
      (row + 1, *between, stop),
    )
    return lax.squeeze(found, (0,))

  return read


def formed(always: Bool[Array, ''], read: Read, span: Span) -> Read:
  """The same values, computed once."""
  values = apart(always, functools.partial(read, span))
  return reader(values, span[0])


def plan(windows: Sequence[int]) -> Plan:
  """How sums of longer lengths are made of sums of shorter ones.

  Args:
    windows: sizes.

  Returns:
    Length -> (shorter length, offset) of each part, ascending.
  """
  known = [1]
  made: Plan = {}
  for length in sorted({*windows, *lengths(max(windows))} - {1}):
    made[length] = pieces(length, known)
    known.append(length)
  return made


def _total(terms: Sequence[Float[Array, '... k']]) -> Float[Array, '... k']:
  return sum(terms[1:], terms[0])


def _spread_over(spans: dict[int, Span], length: int, span: Span) -> None:
  """Makes room for one more reader."""
  old = spans.get(length, span)
  spans[length] = min(old[0], span[0]), max(old[1], span[1])


def line_sums(
  always: Bool[Array, ''],
  source: Read,
  spans: Mapping[int, Span],
  step: int,
  *,
  form: bool,
) -> dict[int, Read]:
  """Sums over each window along one axis.

    sum_{|d| <= w / 2} x[k + d * step]

  Args:
    always: see `fence`.
    source: reads x.
    spans: window -> where its sums are wanted.
    step: distance of neighbours on the axis.
    form: whether the sums are formed; otherwise their parts alone are.

  Returns:
    Window -> what reads its sums within that span.
  """
  made = plan(list(spans))
  needs: dict[int, Span] = {}
  for window, span in spans.items():
    _spread_over(needs, window, _moved(span, -(window // 2) * step))
  for length, terms in reversed(made.items()):
    for part, offset in terms:
      _spread_over(needs, part, _moved(needs[length], offset * step))
  reads = {1: source}

  def total(terms, span, row=None):
    return _total(
      [reads[part](_moved(span, at * step), row) for part, at in terms]
    )

  if form and 1 in spans:
    reads[1] = formed(always, source, needs[1])
  for length, terms in made.items():
    reads[length] = functools.partial(total, terms)
    if form or length != max(spans):
      reads[length] = formed(always, reads[length], needs[length])

  def centred(window):
    back = -(window // 2) * step
    return lambda span, row=None: reads[window](_moved(span, back), row)

  return {window: centred(window) for window in spans}


def line_spread(
  always: Bool[Array, ''],
  slopes: Mapping[int, Read],
  span: Span,
  step: int,
) -> Read:
  """Transpose of `line_sums`: what all windows' slopes make of x's.

  Args:
    always: see `fence`.
    slopes: window -> what reads the slopes of its sums.
    span: where those of x are wanted.
    step: distance of neighbours on the axis.

  Returns:
    What reads them within the span.
  """
  made = plan(list(slopes))
  readers: dict[int, list[tuple[int, int]]] = {1: [], **{n: [] for n in made}}
  for length, terms in made.items():
    for part, offset in terms:
      readers[part].append((length, offset))
  needs = {1: span}
  for part, longer in readers.items():
    for length, offset in longer:
      _spread_over(needs, length, _moved(needs[part], -offset * step))
  reads: dict[int, Read] = {}

  def total(part, span, row=None):
    terms = [
      reads[length](_moved(span, -offset * step), row)
      for length, offset in readers[part]
    ]
    if part in slopes:
      terms.append(slopes[part](_moved(span, part // 2 * step), row))
    return _total(terms)

  for length in reversed(readers):
    reads[length] = functools.partial(total, length)
    if length > 1 and readers[length]:
      reads[length] = formed(always, reads[length], needs[length])
  return reads[1]
