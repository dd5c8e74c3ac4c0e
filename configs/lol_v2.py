"""LOL-v2: photographs as a camera took them, or darkened by a computer.

lol_v2.py            real captured: 689 training pairs and 100 of test, 600x400
lol_v2.py:synthetic  900 training pairs and 100 of test, 384x384

A second name is another setting of lol.py: lol_v2.py:real,small. Without it the
paper's is taken. Not run on the real set; tried on a set of its layout.

91 of the 100 test photographs of LOL-v2-real are in LOL-v1's train and 8 more
in its test: whoever starts from weights that LOL-v1 trained, such as those that
ship, has no figures on them that compare. `prepare_data --check --against`
counts what two sets share. The last 15 pairs of train, and other exposures of
their scenes, validate.

Run:      python -m experiments.train --config=configs/lol_v2.py \
              --config.data.root=/data/LOL-v2/Real_captured
"""

import ml_collections

from sel_jax import fields
from sel_jax.configs import lol

_SETS = {'real': 'lol_v2/real', 'synthetic': 'lol_v2/synthetic'}


def get_config(preset: str = 'real') -> ml_collections.ConfigDict:
  """A setting of lol.py on one of the two sets."""
  which, _, base = preset.partition(',')
  name = fields.named('lol_v2.py', _SETS, which)
  config = lol.get_config(base)
  config.data.name = name
  return config
