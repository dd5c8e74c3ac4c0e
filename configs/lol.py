"""LOL-v1 and data sets of the same form; presets for smaller machines.

lol.py        the paper's setting: ConditionalNAFNet 288 M, 500 k steps of batch
              8, 128x128 crops. Not yet run in full here. Its density is mended:
              bins have their exact mass at any bandwidth, neighbours' means are
              those of each channel, their weights are positive, borders average
              over what exists, -0.5 to 1.5 is covered without a clamp, and the
              gradient's norm is clipped at 1.
lol.py:release
              the same by the published release's own definitions: densities by
              2 / h, neighbours' means of a third and weights of any sign, zeros
              beyond the border, 0 to 1 with a clamp, a cross entropy weighed by
              the prediction, no clipping. All that differs is that gradients
              are finite, and that the average of the parameters, which it takes
              every tenth update, is taken in each. Not run in full either.
lol.py:small  1.24 M parameters, 2,500 steps of 8x64x64: about 15 minutes on two
              CPU cores. It learns x_0 directly, with L1 and a little spatial
              entropy (see docs/decisions/diffusion.md). Expected on LOL-v1
              test, 15 images, trained on 120 pairs of other scenes, posterior
              sampler, 10 steps, one run: PSNR 19.4 dB, SSIM 0.69 without
              GT-mean, 23.1 dB and 0.71 with it.
lol.py:unet   the paper's setting with the network of IR-SDE, ConditionalUNet of
              137 M parameters. Not run in full either.
lol.py:light  where the model that ships began; it went on by `dense`,
              `perceptual` and `finish`, see docs/model.md: 6.9 M
              parameters on squares of 2x2 pixels, x_0 by L1 and SSIM.
lol.py:tune   fine-tunes the shipped model, 11.5 M parameters, on other pairs,
              3,000 steps of 2x128x128: some ten minutes on two CPU cores.
              Weights of fewer blocks, such as those of `light`, start it too.
lol.py:told   the same, 12,000 steps, half of the dark photographs by other
              cameras and half of the clean ones at another exposure: an hour
              on two CPU cores.
lol.py:dense  the same of three quarters of LOL's own camera, by L1 at equal
              means, SSIM and the density of detail: 8,500 steps of 2x192x192,
              two hours on one CPU core.
lol.py:perceptual
              `dense` with LPIPS beside these: 9,000 steps, some three hours
              on one CPU core.
lol.py:finish what ends `perceptual`: a call on the network's own estimate,
              which makes further calls no worse, at a falling rate: 2,500
              steps, an hour and a half on one CPU core.
lol.py:quick  1.38 M parameters on squares of 4x4 pixels, 800 steps of
              4x64x64: one or two minutes on two CPU cores, for ablations.
lol.py:tiny   a few steps of a toy network, for tests.

Run:      python -m experiments.train --config=configs/lol.py \
              --config.data.root=/data/LOL --workdir=runs/lol
"""

import ml_collections

from sel_jax import fields
from sel_jax.configs import default


def _paper(config: ml_collections.ConfigDict) -> None:
  del config  # the base is the paper's setting


def _release(config: ml_collections.ConfigDict) -> None:
  config.entropy.update(
    value_range=(0.0, 1.0),
    clip=True,
    mass='reference',
    neighbor_weights='reference',
    neighbor_normalization='image',
    border='zero',
    cross_order='prediction',
  )
  config.optim.clip_norm = 0.0


def _unet(config: ml_collections.ConfigDict) -> None:
  config.model.name = 'unet'


def _small(config: ml_collections.ConfigDict) -> None:
  config.data.update(crop=64)
  config.model.update(
    width=16,
    enc=(1, 1, 1, 1),
    middle=1,
    dec=(1, 1, 1, 1),
    predicts='clean',
  )
  config.loss.update(objective='clean', entropy=0.2, l1=1.0)
  config.entropy.update(levels=8, value_range=(0.0, 1.0))
  config.optim.update(lr=1e-3, final_lr=1e-5, warmup=50, ema_decay=0.995)
  config.train.update(steps=2500, log_every=50, eval_every=500, save_every=100)
  config.eval.update(steps=10, images=5)


def _light(config: ml_collections.ConfigDict) -> None:
  config.data.update(batch_size=2, crop=192, shrink=0.3, relight=0.25)
  config.model.update(
    width=32,
    enc=(1, 1, 1, 1),
    middle=2,
    dec=(1, 1, 1, 1),
    patch=2,
    gamma=0.4,
    predicts='clean',
  )
  config.loss.update(
    objective='clean', entropy=0.0, l1=1.0, ssim=1.0, at_prior=0.5
  )
  config.optim.update(lr=1e-3, final_lr=1e-5, warmup=100, ema_decay=0.999)
  config.train.update(
    steps=8_000, log_every=100, eval_every=1_000, save_every=250
  )
  config.eval.update(steps=1, images=15)


def _tune(config: ml_collections.ConfigDict) -> None:
  _light(config)
  config.init = 'shipped'
  config.init_grow = True
  config.model.update(
    exposure=True, enc=(1, 2, 3, 4), middle=3, dec=(2, 2, 1, 1)
  )
  config.data.crop = 128
  config.optim.update(lr=2e-4, warmup=50, ema_decay=0.998)
  config.train.update(steps=3000, eval_every=1500)


def _told(config: ml_collections.ConfigDict) -> None:
  _tune(config)
  config.data.update(cameras=0.5, reexpose=0.5)
  config.train.update(steps=12_000, eval_every=2_000)


def _dense(config: ml_collections.ConfigDict) -> None:
  _told(config)
  config.data.update(crop=192, cameras=0.25, reexpose=0.25)
  config.loss.update(l1=0.0, gt_mean=1.0, entropy=3.0, at_prior=0.75)
  config.entropy.update(detail=3.0, levels=32, windows=(3, 7), sample=0.028)
  config.optim.update(lr=4e-4, final_lr=1e-4, warmup=200, ema_decay=0.999)
  config.train.update(steps=8_500, best='ssim')


def _perceptual(config: ml_collections.ConfigDict) -> None:
  _dense(config)
  config.loss.update(lpips=1.0, lpips_sample=0.111)
  config.optim.update(lr=3e-4, final_lr=2e-4)
  config.train.steps = 9_000


def _finish(config: ml_collections.ConfigDict) -> None:
  _perceptual(config)
  config.loss.unroll = 1
  config.optim.update(lr=2e-4, final_lr=1e-6)
  config.train.update(steps=2_500, eval_every=500)


def _quick(config: ml_collections.ConfigDict) -> None:
  _small(config)
  config.model.update(
    width=32, enc=(1, 1, 1), dec=(1, 1, 1), patch=4, gamma=0.4
  )
  config.data.update(batch_size=4)
  config.train.update(steps=800, eval_every=800, save_every=400)
  config.eval.update(images=1)


def _tiny(config: ml_collections.ConfigDict) -> None:
  config.data.update(batch_size=8, crop=16, held_out=1)
  config.model.update(width=4, enc=(1,), middle=1, dec=(1,), predicts='clean')
  config.sde.update(steps=10)
  config.entropy.update(levels=4)
  config.optim.update(lr=1e-3, final_lr=1e-5)
  config.train.update(steps=4, log_every=1, eval_every=4, save_every=2)
  config.eval.update(steps=2, images=1)


_PRESETS = {
  '': _paper,
  'release': _release,
  'unet': _unet,
  'light': _light,
  'tune': _tune,
  'told': _told,
  'dense': _dense,
  'perceptual': _perceptual,
  'finish': _finish,
  'small': _small,
  'quick': _quick,
  'tiny': _tiny,
}


def get_config(preset: str = '') -> ml_collections.ConfigDict:
  """The paper's setting, or a smaller one by name."""
  change = fields.named('lol.py', _PRESETS, preset)
  config = default.get_config()
  change(config)
  return config
