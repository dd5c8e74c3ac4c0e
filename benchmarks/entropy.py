"""How much faster and smaller is the fused entropy loss than its definition?

Times value and gradient of `spatial_entropy_loss` against the dense form, the
readable definition that holds all L*L bins of every pixel, in one process, on
one pair of photographs.

  python -m benchmarks.entropy --size=64 --levels=16 --json=entropy.json
"""

import argparse
import functools
import json
import time

import jax
import jax.numpy as jnp
import numpy as np
import skimage.data

from sel_jax import entropy
from sel_jax.entropy import fused


def dense_loss(pred, target, *, spec):
  """The loss from `local_density`: all bins of all pixels in memory."""
  total = 0.0
  for window in spec.windows:
    densities = functools.partial(
      entropy.local_density, spec=spec, window=window
    )
    distance = entropy.divergence(
      spec.distance,
      densities(pred),
      densities(target),
      axis=(-2, -1),
      eps=spec.eps,
    )
    total = total + jnp.mean(distance, axis=(1, 2, 3))
  return total / len(spec.windows)


def measure(loss, pred, target, repeats: int) -> dict[str, float]:
  """Seconds and extra memory of one value and gradient, compiled."""
  value_and_grad = jax.jit(
    jax.value_and_grad(lambda x: jnp.sum(loss(x, target)))
  )
  compiled = value_and_grad.lower(pred).compile()
  value, _ = jax.block_until_ready(compiled(pred))
  times = []
  for _ in range(repeats):
    start = time.perf_counter()
    jax.block_until_ready(compiled(pred))
    times.append(time.perf_counter() - start)
  memory = compiled.memory_analysis().temp_size_in_bytes
  return {
    'seconds': float(np.median(times)),
    'megabytes': memory / 2**20,
    'value': float(value),
  }


def photographs(size: int):
  """A pair that differs by a little noise, [1, size, size, 3]."""
  photo = skimage.data.astronaut()[:size, 100 : 100 + size] / 255
  noise = np.random.default_rng(0).normal(0, 0.05, photo.shape)
  pair = (photo, np.clip(photo + noise, 0, 1))
  return tuple(jnp.asarray(x, jnp.float32)[None] for x in pair)


def main() -> None:
  """Prints a table of forms."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--size', type=int, default=64)
  parser.add_argument('--levels', type=int, default=16)
  parser.add_argument('--distance', default='hellinger')
  parser.add_argument('--kernel', default='logistic')
  parser.add_argument('--repeats', type=int, default=5)
  parser.add_argument('--json', help='also write the figures to this file')
  args = parser.parse_args()
  spec = entropy.EntropySpec(
    levels=args.levels,
    distance=args.distance,
    kernel=args.kernel,
    value_range=(0.0, 1.0),
    neighbor_weights='uniform',
  )
  fused_loss = functools.partial(entropy.spatial_entropy_loss, spec=spec)
  pair = photographs(args.size)
  rows = {}
  rows['fused, planes'] = measure(fused_loss, *pair, args.repeats)
  fused._CPU_CHUNK = fused._ACCELERATOR_CHUNK  # as on an accelerator
  jax.clear_caches()
  rows['fused, rows'] = measure(fused_loss, *pair, args.repeats)
  dense = functools.partial(dense_loss, spec=spec)
  rows['dense'] = measure(dense, *pair, args.repeats)

  device = jax.devices()[0]
  print(f'{device.platform}, 3x{args.size}x{args.size}, {spec}')
  for name, row in rows.items():
    ratio = row['seconds'] / rows['fused, planes']['seconds']
    print(
      f'{name:15s}{row["seconds"]:9.3f} s {ratio:7.2f} x '
      f'{row["megabytes"]:9.1f} MB   value {row["value"]:.6f}'
    )
  if args.json:
    with open(args.json, 'w') as file:
      json.dump({'arguments': vars(args), 'rows': rows}, file, indent=2)


if __name__ == '__main__':
  main()
