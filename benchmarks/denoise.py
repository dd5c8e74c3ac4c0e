"""How much noise does a denoising model take, beside non-local means?

Photographs with Gaussian noise, clamped and rounded as files are. 'noisy' is
their own PSNR, 'told' that of the model told the deviation, 'guessed' where it
is estimated, and 'means' that of non-local means (scikit-image), told it too;
seconds are of a photograph, compilation left out. The picture is the first
photograph's, with the first deviation.

  python -m benchmarks.denoise --checkpoint=runs/denoise
  python -m benchmarks.denoise --checkpoint=runs/denoise --data=/data/LOL
"""

import argparse
from collections.abc import Callable
from collections.abc import Sequence
import dataclasses
import time

import numpy as np
from skimage.restoration import denoise_nl_means

from benchmarks.lib import front
from benchmarks.lib import pairs
from benchmarks.lib import rows
from sel_jax import allocator
from sel_jax.data.pairs import open_pairs
from sel_jax.errors import InputError
from sel_jax.evaluation import evaluator
from sel_jax.evaluation import metrics
from sel_jax.images import codec
from sel_jax.inference import Enhancer
from sel_jax.inference import noise

COLUMNS = {
  'sigma': '.0f',
  'photographs': 'd',
  'estimate': '.1f',
  'noisy': '.2f',
  'means': '.2f',
  'told': '.2f',
  'guessed': '.2f',
  'seconds': '.2f',
  'of means': '.2f',
}
# Of non-local means, in deviations of the noise: as its authors have it.
_STRENGTH = 0.8


def _means(low: np.ndarray, sigma: float) -> np.ndarray:
  return denoise_nl_means(
    low,
    patch_size=5,
    patch_distance=6,
    h=_STRENGTH * sigma / 255,
    sigma=sigma / 255,
    channel_axis=-1,
  )


def _row(args: argparse.Namespace, enhancer: Enhancer, sigma: float):
  spec = dataclasses.replace(pairs.spec(args), noise=(sigma,))
  every = open_pairs(spec, args.split)
  told = enhancer.with_settings(sigma=sigma)
  found: dict[str, list[float]] = {name: [] for name in COLUMNS}

  def timed(name: str, run: Callable[[], np.ndarray]) -> np.ndarray:
    start = time.perf_counter()
    result = run()
    found[name].append(time.perf_counter() - start)
    return codec.to_uint8(result)

  chosen = evaluator.chosen(len(every), args.limit)
  for number in chosen:
    pair = every[number]
    clean = codec.to_uint8(codec.to_float(pair.clean))
    low = codec.to_float(pair.low)
    if number == chosen[0]:
      told(low)  # compiles
    images = {
      'noisy': codec.to_uint8(low),
      'told': timed('seconds', lambda low=low: told(low)),
      'means': timed('of means', lambda low=low: _means(low, sigma)),
      'guessed': codec.to_uint8(enhancer(low)),
    }
    found['estimate'].append(255 * noise.estimate(low))
    for name, image in images.items():
      found[name].append(metrics.psnr(restored=image, clean=clean))
    if args.picture and number == chosen[0] and sigma == args.sigmas[0]:
      strip = [images[name] for name in ('noisy', 'means', 'told')]
      codec.write_image(args.picture, np.concatenate([*strip, clean], axis=1))
  figures = {n: float(np.mean(values)) for n, values in found.items() if values}
  return {'photographs': len(chosen), **figures}


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
  parser = front.parser(__spec__.name, __doc__)
  parser.add_argument('--checkpoint', required=True, help='a denoising model')
  parser.add_argument('--sigmas', type=front.numbers(), default='15,25,50')
  parser.add_argument(
    '--picture', help='also write noisy | means | told | clean to this file'
  )
  pairs.add(parser, split='test')
  return front.parse(parser, arguments)


def main(arguments: Sequence[str] | None = None) -> int:
  """Prints a row for each deviation."""
  args = _parse(arguments)
  allocator.keep_memory()
  enhancer = Enhancer.from_checkpoint(args.checkpoint)
  if not enhancer.method.sde.by_noise:
    raise InputError(
      f'{args.checkpoint}: is no denoising model; train one by '
      '--config=configs/denoise.py'
    )
  cases = [{'sigma': sigma} for sigma in args.sigmas]
  if args.dry_run:
    return rows.preview(cases)
  found = [
    rows.attempt(case, lambda case=case: _row(args, enhancer, **case))
    for case in cases
  ]
  return rows.report(args, (found, COLUMNS))


if __name__ == '__main__':
  front.run(main)
