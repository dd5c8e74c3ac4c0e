"""Few programs for many sizes: which canvas, how many, what is dropped."""

from concurrent.futures import ThreadPoolExecutor
import contextvars
import dataclasses
import gc
import time
import weakref

from flax import linen as nn
import hypothesis
from hypothesis import strategies as st
import jax
import numpy as np
import pytest

from sel_jax import programs
from sel_jax.diffusion import IRSDE
from sel_jax.diffusion import SDESpec
from sel_jax.eval_section import EvalSpec
from sel_jax.inference import canvases
from sel_jax.inference import Restorer
from sel_jax.method import Method
from sel_jax.models import ConditionalNAFNet
from sel_jax.models import param_shapes

_SIDES = st.integers(1, 20).map(lambda n: 32 * n)


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(
  needs=st.dictionaries(
    st.tuples(st.sampled_from(['whole', 'tiles']), st.tuples(_SIDES, _SIDES)),
    st.integers(1, 50),
    max_size=30,
  ),
  limit=st.integers(1, 4),
)
def test_canvases_hold_their_shapes_and_are_few(needs, limit):
  chosen = canvases.merged(needs, limit=limit)
  assert chosen.keys() == needs.keys()
  kinds = {kind for kind, _ in needs}
  used = {(kind, canvas) for (kind, _), canvas in chosen.items()}
  assert len(used) <= max(limit, len(kinds))
  if len(needs) <= limit:  # nothing is padded that need not be
    assert all(canvas == shape for (_, shape), canvas in chosen.items())
  for kind in kinds:
    shapes = [shape for of, shape in needs if of == kind]
    whole = np.max(shapes, axis=0)
    for shape in shapes:
      canvas = chosen[kind, shape]
      assert np.all(np.less_equal(shape, canvas))
      assert np.all(np.less_equal(canvas, whole))


def test_the_cheapest_are_joined():
  counts = {(64, 64): 5, (64, 96): 5, (320, 320): 1, (640, 64): 1, (64, 640): 9}
  chosen = canvases.merged(
    {(0, shape): n for shape, n in counts.items()}, limit=4
  )
  assert chosen[0, (64, 64)] == (64, 96)
  assert chosen[0, (640, 64)] == (640, 64)
  # Two tall ones are joined rather than one that is called often.
  chosen = canvases.merged(
    {(0, shape): n for shape, n in counts.items()}, limit=3
  )
  assert chosen[0, (320, 320)] == chosen[0, (640, 64)] == (640, 320)
  assert chosen[0, (64, 640)] == (64, 640)


class _Counted:
  """Stands in for compiling; what was made, and what is still held."""

  def __init__(self):
    self.made = []

  def __call__(self):
    def run(canvas):
      return canvas

    self.made.append(weakref.ref(run))
    return run

  def alive(self):
    return sum(made() is not None for made in self.made)


def _use(kept, shape):
  canvas = kept.canvas(shape)
  assert np.all(np.less_equal(shape, canvas))
  assert kept(canvas, canvas) == canvas
  return canvas


def test_sizes_in_any_order_need_few_programs():
  rng = np.random.default_rng(0)
  shapes = [tuple(32 * rng.integers(3, 21, 2)) for _ in range(200)]
  shapes = [tuple(map(int, shape)) for shape in shapes]
  made = _Counted()
  kept = canvases.Programs(made, multiple=32, most=640)
  for number, shape in enumerate(shapes):
    canvas = _use(kept, shape)
    assert max(canvas) <= 640 and not np.any(np.mod(canvas, 32))
    assert made.alive() == len(kept.canvases) <= canvases.LIMIT
    if number == 99:
      assert len(made.made) <= 10
  assert len(made.made) <= 30


def test_a_size_that_comes_often_has_a_program_of_its_own():
  made = _Counted()
  kept = canvases.Programs(made, multiple=32, most=640)
  assert _use(kept, (640, 640)) == (640, 640)
  canvas, turns = (640, 640), 0
  while canvas == (640, 640):
    canvas, turns = _use(kept, (320, 320)), turns + 1
  assert canvas == (320, 320) and 5 < turns < 50
  assert _use(kept, (320, 320)) == (320, 320)
  costly = canvases.Programs(made, multiple=32, most=640, calls=100)
  _use(costly, (640, 640))  # beside a hundred calls compiling is nothing
  assert _use(costly, (320, 320)) == (320, 320)


def test_a_plan_is_kept_to_and_what_it_does_not_know_is_done():
  kept = canvases.Programs(_Counted(), multiple=32, most=640, calls=1000)
  kept.plan({(32, 64): (320, 320), (320, 320): (320, 320)})
  for _ in range(5):
    assert _use(kept, (32, 64)) == (320, 320)
  assert _use(kept, (640, 32)) == (640, 32)


def test_what_was_used_longest_ago_is_dropped():
  made = _Counted()
  kept = canvases.Programs(made, masked=False)
  for side in range(32):
    _use(kept, (side, 1))
  _use(kept, (0, 1))
  assert len(made.made) == 32
  _use(kept, (99, 1))
  assert (0, 1) in kept.canvases and (1, 1) not in kept.canvases
  assert made.alive() == 32


def test_two_threads_compile_a_program_once():
  made, compiled = _Counted(), []

  def make():
    time.sleep(0.05)
    return made()

  kept = canvases.Programs(make, multiple=32, most=640)
  with programs.announced(compiled.append), ThreadPoolExecutor(4) as pool:
    found = [
      pool.submit(contextvars.copy_context().run, _use, kept, (64, 64))
      for _ in range(4)
    ]
    assert {one.result() for one in found} == {(64, 64)}
  assert len(made.made) == 1 and compiled == [True, False]


def test_what_cannot_be_compiled_is_not_held():
  def fail(*args):
    raise MemoryError

  kept = canvases.Programs(lambda: fail)
  with pytest.raises(MemoryError):
    kept((1, 1))
  assert not kept.canvases


def _photo(height, width):
  rng = np.random.default_rng(height * 1000 + width)
  return rng.uniform(0, 0.4, (height, width, 3)).astype(np.float32)


def _random_params(model):
  rng = np.random.default_rng(3)
  return jax.tree.map(
    lambda x: np.float32(0.3 * rng.normal(size=x.shape)), param_shapes(model)
  )


_NETWORK = ConditionalNAFNet(4, (1,), 1, (1,))
_SPEC = EvalSpec(sampler='posterior', steps=2, tile=96, overlap=32)
_SIZES = [(20, 30), (64, 33), (90, 40), (33, 96), (200, 70), (50, 130)]


def _method(model=_NETWORK):
  return Method(model=model, sde=IRSDE.create(SDESpec(steps=10)))


@pytest.mark.parametrize(
  'change',
  [{}, {'dynamic': 0.9}, {'pool': 40}, {'anchor': False, 'sampler': 'dpm2m'}],
  ids=str,
)
def test_on_few_canvases_photographs_are_what_they_are_alone(change):
  spec = dataclasses.replace(_SPEC, **change)
  params, compiled = _random_params(_NETWORK), []
  together = Restorer(_method(), spec)
  needs = together.plan(_SIZES)
  assert len(set(needs)) <= canvases.LIMIT
  photos = [_photo(*size) for size in (_SIZES[::2] if change else _SIZES)]
  with programs.announced(compiled.append):
    found = [together(params, photo) for photo in photos]
    many = together.many(params, photos)
  assert compiled == [True, False] * (len(compiled) // 2)
  assert len(compiled) // 2 <= canvases.LIMIT
  held = together.compiled()
  assert len(held['whole']) + len(held['tiles']) == len(compiled) // 2
  for photo, one, other in zip(photos, found, many, strict=True):
    alone = Restorer(_method(), spec)(params, photo)
    assert np.abs(alone - photo).max() > 0.1
    np.testing.assert_allclose(one, alone, atol=2e-5)
    np.testing.assert_allclose(other, alone, atol=2e-5)
  states = together.trajectory(params, photos[0])
  np.testing.assert_allclose(np.clip(states[-1], 0, 1), found[0], atol=2e-5)


class _OfAnother(nn.Module):
  """A network that takes no mask: it needs a program for each shape."""

  @nn.compact
  def __call__(self, x, mu, t):
    del t
    return nn.Dense(3)(x - x.mean(axis=(1, 2), keepdims=True) + mu)


def test_a_network_without_a_mask_has_a_program_for_each_shape():
  model = _OfAnother()
  params = _random_params(model)
  together = Restorer(_method(model), _SPEC)
  assert len(set(together.plan(_SIZES))) == 6
  for size in _SIZES:
    found = together(params, _photo(*size))
    alone = Restorer(_method(model), _SPEC)(params, _photo(*size))
    np.testing.assert_array_equal(found, alone)
  assert together.compiled()['whole'] == [
    (32, 32), (64, 64), (96, 64), (64, 96)
  ]  # fmt: skip


def test_programs_that_are_dropped_leave_no_memory():
  """Each holds some hundreds of maps of memory."""

  def maps():
    gc.collect()
    with open('/proc/self/maps') as lines:
      return len(lines.readlines())

  params = _random_params(_NETWORK)
  restorer = Restorer(_method(), dataclasses.replace(_SPEC, tile=0))
  counts = []
  for n in range(1, 9):  # each larger than all before
    restorer(params, _photo(60 * n, 60 * n))
    counts.append(maps())
  assert len(restorer.compiled()['whole']) == canvases.LIMIT
  assert counts[-1] - counts[3] < 60
