"""The built-in sample set: a first run on any machine, nothing to download.

Trains a 0.2 M network on five photographs, darkened by a physical model, and
validates on a sixth. About two minutes on two CPU cores, compilation included;
expected: PSNR 22.1 dB on the validation photograph.

Run:      make train
          python -m experiments.train --config=configs/sample.py \
              --workdir=runs/sample
"""

import ml_collections

from sel_jax.configs import default


def get_config() -> ml_collections.ConfigDict:
  """A run of two minutes."""
  config = default.get_config()
  config.data.update(source='sample', batch_size=8, crop=48)
  config.model.update(
    width=16, enc=(1, 1), middle=1, dec=(1, 1), predicts='clean'
  )
  config.loss.update(objective='clean', entropy=0.2, l1=1.0)
  config.entropy.update(levels=8, value_range=(0.0, 1.0))
  config.optim.update(lr=2e-3, final_lr=2e-5, warmup=20, ema_decay=0.99)
  config.train.update(steps=400, log_every=20, eval_every=400, save_every=200)
  config.eval.update(steps=5, images=1)
  return config
