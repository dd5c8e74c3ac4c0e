"""NTIRE 2024 low light enhancement: 230 pairs of up to 24 megapixels.

ntire2024.py         the paper's setting of lol.py, crops of 256x256
ntire2024.py:light   another setting of lol.py, here `light`, with its own crops

Crops are read from one file of decoded photographs (33 GB, in the user's cache
or --config.data.cache_dir), of which memory holds what crops touch; training
and validation together take 2 GB beside the network. --config.data.cache=none
takes no disk and decodes a whole photograph for each crop. The challenge has
no public ground truth but train's: its last 15 pairs validate, of which three
are restored in training, at 0.8 of their size from 4,000 pixels on, as the
published test does it. What else the authors changed for the challenge is not
in their release. Not run on the real set; tried on one of its layout and size.

The photographs without ground truth, for the challenge's server:

  python -m experiments.enhance /data/NTIRE/Test/Input --output=out \
      --checkpoint=runs/ntire2024 --submission=submission.zip

Run:      python -m experiments.train --config=configs/ntire2024.py \
              --config.data.root=/data/NTIRE
"""

import ml_collections

from sel_jax.configs import lol


def get_config(preset: str = '') -> ml_collections.ConfigDict:
  """A setting of lol.py for photographs that memory cannot hold."""
  config = lol.get_config(preset)
  if not preset:
    config.data.crop = 256
  config.data.update(name='ntire2024_low_light', cache='disk')
  config.eval.update(images=3, reduce=0.8)
  return config
