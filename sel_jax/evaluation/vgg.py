"""The convolutions of VGG16 on a CPU: Winograd's, a third of the products.

Contract: NumPy, float32, to single precision what direct convolutions
give. Each 4 x 4 block of a result takes 36 products of channels where nine
times sixteen are asked for: F(4 x 4, 3 x 3), Lavin and Gray, arXiv 1509.09308.
"""

from collections.abc import Iterator
from collections.abc import Sequence
from concurrent import futures
import contextlib
import dataclasses
import functools
import threading

from jaxtyping import Float
import numpy as np
import threadpoolctl

from sel_jax.losses import perceptual

# Side of a block of results, and of the block of inputs that it is made of.
_OUT, _IN = 4, 6
# Numbers of the blocks that are worked on together: they stay in the caches.
_NUMBERS = 2**21
# Transforms of inputs, kernels and results along one axis, as in the paper.
_OF_INPUT = np.array(
  [
    [4, 0, -5, 0, 1, 0],
    [0, -4, -4, 1, 1, 0],
    [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0],
    [0, 2, -1, -2, 1, 0],
    [0, 4, 0, -5, 0, 1],
  ]
)
_OF_KERNEL = np.array(
  [
    [1 / 4, 0, 0],
    [-1 / 6, -1 / 6, -1 / 6],
    [-1 / 6, 1 / 6, -1 / 6],
    [1 / 24, 1 / 12, 1 / 6],
    [1 / 24, -1 / 12, 1 / 6],
    [0, 0, 1],
  ]
)
_OF_RESULT = np.array(
  [
    [1, 1, 1, 1, 1, 0],
    [0, 1, -1, 2, -2, 0],
    [0, 1, 1, 4, 4, 0],
    [0, 1, -1, 8, -8, 1],
  ]
)
# Both axes at once: a matrix product is faster than sums of planes.
_INPUTS = np.kron(_OF_INPUT, _OF_INPUT).astype(np.float32)
_RESULTS = np.kron(_OF_RESULT, _OF_RESULT).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Threads:
  """Threads of which each has its own matrix products.

  Attributes:
    pool: the threads.
    count: how many there are.
  """

  pool: futures.Executor
  count: int


# One at a time may say how many threads a matrix product has.
_lock = threading.Lock()


@functools.cache
def _blas() -> threadpoolctl.ThreadpoolController:
  return threadpoolctl.ThreadpoolController().select(user_api='blas')


@contextlib.contextmanager
def _threads() -> Iterator[Threads]:
  """As many as a matrix product would have, which has one meanwhile.

  Two threads of one small product wait for each other half of the time.
  """
  with _lock:
    found = [library['num_threads'] for library in _blas().info()]
    count = max(found, default=1)
    with _blas().limit(limits=1), futures.ThreadPoolExecutor(count) as pool:
      yield Threads(pool, count)


@dataclasses.dataclass(frozen=True)
class Convolution:
  """A 3 x 3 convolution, zeros beyond the border, with its kernel transformed.

  Attributes:
    kernel: [36, C, K].
    bias: [K].
  """

  kernel: Float[np.ndarray, '36 C K']
  bias: Float[np.ndarray, ' K']

  @classmethod
  def create(
    cls, kernel: Float[np.ndarray, '3 3 C K'], bias: Float[np.ndarray, ' K']
  ) -> 'Convolution':
    """From a kernel as it was trained."""
    by, wide = _OF_KERNEL, np.asarray(kernel, np.float64)
    found = np.einsum('iy,yxck,jx->ijck', by, wide, by)
    found = found.reshape(_IN**2, *kernel.shape[2:]).astype(np.float32)
    return cls(found, np.asarray(bias, np.float32))

  def __call__(
    self, x: Float[np.ndarray, 'H W C'], *, threads: Threads | None = None
  ) -> Float[np.ndarray, 'H W K']:
    """The convolution, and zero where it is negative.

    Args:
      x: any size.
      threads: share the rows of blocks; the caller's alone if left out.
    """
    height, width, channels = x.shape
    features = len(self.bias)
    down, across = -(-height // _OUT), -(-width // _OUT)
    beyond = ((1, down * _OUT + 1 - height), (1, across * _OUT + 1 - width))
    x = np.pad(x, (*beyond, (0, 0)))
    blocks = np.lib.stride_tricks.sliding_window_view(x, (_IN, _IN), (0, 1))
    blocks = blocks[::_OUT, ::_OUT].transpose(3, 4, 0, 1, 2)
    result = np.empty((down, _OUT, across, _OUT, features), np.float32)
    each = across * max(channels, features) * _IN**2
    shares = 1 if threads is None else threads.count
    rows = max(1, min(_NUMBERS // each, -(-down // shares)))

    def fill(start):
      some = blocks[:, :, start : start + rows]
      count = some.shape[2] * across
      inputs = _INPUTS @ some.reshape(_IN**2, -1)
      products = inputs.reshape(_IN**2, count, channels) @ self.kernel
      found = _RESULTS @ products.reshape(_IN**2, -1)
      found = found.reshape(_OUT, _OUT, -1, across, features)
      found += self.bias
      np.maximum(found, 0, out=found)
      result[start : start + rows] = found.transpose(2, 0, 3, 1, 4)

    run = map if threads is None else threads.pool.map
    list(run(fill, range(0, down, rows)))
    whole = result.reshape(down * _OUT, across * _OUT, features)
    return whole[:height, :width]


def _halved(x: np.ndarray) -> np.ndarray:
  """The greatest of each square of four; a last odd row is left out."""
  height, width = (side // 2 * 2 for side in x.shape[:2])
  x = x[:height, :width]
  x = np.maximum(x[::2], x[1::2])
  return np.maximum(x[:, ::2], x[:, 1::2])


def features(
  layers: Sequence[Convolution], image: Float[np.ndarray, 'H W 3']
) -> list[Float[np.ndarray, 'h w K']]:
  """What LPIPS compares, from fine to coarse.

  Args:
    layers: the 13 convolutions, in order.
    image: normalised as the network was trained, at least 16 pixels a side.
  """
  found, x = [], image
  with _threads() as threads:
    for number, layer in enumerate(layers):
      x = _halved(x) if number in perceptual.HALVED else x
      x = layer(x, threads=threads)
      if number in perceptual.COMPARED:
        found.append(x)
  return found
