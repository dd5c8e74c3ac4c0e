"""Few compiled programs for photographs of many sizes.

A program knows one shape of its input, the canvas. Smaller photographs lie at
its top left, and a mask tells the network their pixels: the result is what it
would be alone, and the rest of the canvas is work for nothing.

Contract: decides by shapes alone, so that the same calls in the same order use
the same programs.
"""

from collections.abc import Callable
from collections.abc import Hashable
from collections.abc import Mapping
import threading
from typing import Any

import numpy as np

from sel_jax import programs

# Programs of one kind that are held.
LIMIT = 3
# Those of a network that takes no mask: each shape needs a program.
_UNMASKED = 32
# What compiling is worth, in pixels times calls of the network: it takes as
# long as some ten photographs of 600x400 take.
_WORTH = 4e6
# By how much a canvas for whatever comes is longer than what came.
_ROOM = 1.25

Shape = tuple[int, int]
# What a program does, and a shape that it is needed for.
Need = tuple[Hashable, Shape]


def _area(shape: Shape) -> int:
  return shape[0] * shape[1]


def merged(
  needs: Mapping[Need, int], *, limit: int = LIMIT
) -> dict[Need, Shape]:
  """Canvases for shapes that are known beforehand.

  Starts from one for each shape and joins, as long as there are too many, the
  two of one kind whose union adds least to the pixels of all calls.

  Args:
    needs: (kind of program, shape) -> how often it is called.
    limit: most canvases; one for each kind if there are more kinds.

  Returns:
    (kind, shape) -> its canvas.
  """
  kinds = sorted({kind for kind, _ in needs}, key=str)
  members = [[need] for need in needs]
  kind = np.array([kinds.index(kind) for kind, _ in needs])
  sides = np.array([shape for _, shape in needs], float).reshape(-1, 2)
  calls = np.array(list(needs.values()), float)
  while len(members) > max(limit, len(kinds)):
    union = np.maximum(sides[:, None], sides).prod(axis=2)
    pixels = calls * sides.prod(axis=1)
    added = union * np.add.outer(calls, calls) - np.add.outer(pixels, pixels)
    added[kind[:, None] != kind] = np.inf
    np.fill_diagonal(added, np.inf)
    first, second = sorted(divmod(int(added.argmin()), len(members)))
    members[first] += members.pop(second)
    sides[first] = np.maximum(sides[first], sides[second])
    calls[first] += calls[second]
    kind, sides, calls = (np.delete(x, second, 0) for x in (kind, sides, calls))
  return {
    need: (int(height), int(width))
    for group, (height, width) in zip(members, sides, strict=True)
    for need in group
  }


class Programs:
  """The compiled programs of one kind, each for a canvas of its own.

  At most `LIMIT` are held; the one that was used longest ago is dropped, and
  with it its memory. A shape that no plan knows goes to a canvas that holds it,
  until the pixels beside it were worth a program of its own; once `LIMIT` are
  held, what does not fit gets a canvas for all that was seen.
  """

  def __init__(
    self,
    make: Callable[[], Callable[..., Any]],
    *,
    masked: bool = True,
    multiple: int = 1,
    most: int = 0,
    calls: int = 1,
  ):
    """Holds none yet.

    Args:
      make: gives the jitted function of a new program, another each time.
      masked: whether a canvas may be larger than what lies on it.
      multiple: sides of canvases are multiples of it.
      most: sides that no shape exceeds; 0 is unknown.
      calls: how often one run of a program calls the network.
    """
    self._make, self._masked, self._calls = make, masked, calls
    self._multiple, self._most = multiple, most
    self._lock, self._compiling = threading.Lock(), threading.Lock()
    self._held: dict[Shape, Callable] = {}  # the one used last is the last
    self._planned: dict[Shape, Shape] = {}
    self._wasted: dict[Shape, int] = {}

  def plan(self, canvases: Mapping[Shape, Shape]) -> None:
    """From now on these shapes, shape -> canvas, see `merged`, go there."""
    self._planned = dict(canvases)

  def canvas(self, shape: Shape) -> Shape:
    """Where a photograph of this shape goes; counts as a use of it."""
    if not self._masked:
      return shape
    if shape in self._planned:
      return self._planned[shape]
    with self._lock:
      held = list(self._held)
    fitting = [x for x in held if x[0] >= shape[0] and x[1] >= shape[1]]
    if not fitting:
      return shape if len(held) < LIMIT - 1 else self._roomy([shape, *held])
    best = min(fitting, key=_area)
    beside = (_area(best) - _area(shape)) * self._calls
    wasted = self._wasted.pop(shape, 0) + beside
    if wasted >= _WORTH:
      return shape
    self._wasted[shape] = wasted
    return best

  def _roomy(self, shapes: list[Shape]) -> Shape:
    """Room for these, and for what is a little larger."""
    longest = np.max(shapes, axis=0) * _ROOM
    if self._most:
      longest = np.minimum(longest, self._most)
    height, width = (-(-longest // self._multiple) * self._multiple).tolist()
    return int(height), int(width)

  def __call__(self, canvas: Shape, *args: Any) -> Any:
    """Runs the program of a canvas, compiled at its first use."""
    if run := self._used(canvas):
      return run(*args)
    with self._compiling:  # a second thread waits for the program of the first
      if run := self._used(canvas):
        return run(*args)
      with self._lock:  # first, so that no more than those held exist at once
        while len(self._held) >= (LIMIT if self._masked else _UNMASKED):
          del self._held[next(iter(self._held))]
      run = self._make()
      with programs.compiling():
        result = run(*args)
      with self._lock:
        self._held[canvas] = run
      return result

  def _used(self, canvas: Shape) -> Callable[..., Any] | None:
    """The program of a canvas, which becomes the last that was used."""
    with self._lock:
      run = self._held.pop(canvas, None)
      if run:
        self._held[canvas] = run
      return run

  @property
  def canvases(self) -> list[Shape]:
    """Those of the programs that are held, the one used last is the last."""
    with self._lock:
      return list(self._held)
