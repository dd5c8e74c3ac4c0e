"""Gaussian noise: the denoising diffusion, on photographs that come along.

The process reverts to the clean image itself (IR-SDE, arXiv 2301.11699 sec. 5),
so the network sees the noisy state alone, and a photograph is restored from the
time whose noise is the photograph's: --sigma=25 says so, in 8-bit units, and
without it the noise is estimated. Trains on five photographs of scikit-image,
some ten minutes on two CPU cores; on others:

  python -m experiments.train --config=configs/denoise.py \
      --config.data.source=photographs --config.data.root=/data/clean

data.noise is the noise of validation and of `evaluate`: one deviation, or two
between which each photograph's is drawn. Training draws every one up to
sde.max_sigma, whatever it says.

Run:      python -m experiments.train --config=configs/denoise.py
          python -m experiments.evaluate --checkpoint=runs/denoise --noise=50
"""

import ml_collections

from sel_jax.configs import default


def get_config() -> ml_collections.ConfigDict:
  """A small network of residuals, for noise up to 75."""
  config = default.get_config()
  config.data.update(source='sample', noise=(25.0,), crop=64)
  config.sde.update(name='denoising', max_sigma=75.0, eps=0.04)
  config.model.update(
    width=32,
    enc=(1, 1, 1),
    middle=2,
    dec=(1, 1, 1),
    patch=2,
    predicts='clean',
  )
  config.loss.update(objective='clean', entropy=0.0, l1=1.0)
  config.optim.update(lr=1e-3, final_lr=1e-5, warmup=50, ema_decay=0.995)
  config.train.update(steps=3000, log_every=50, eval_every=1000, save_every=250)
  config.eval.update(steps=1)
  return config
