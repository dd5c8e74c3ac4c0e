"""Every key there is, at the paper's values: the base of the other configs.

Not an experiment by itself: it names no data set. What a key means, and what
it may be, is written at its field and shown by `experiments.train --help`.
"""

import ml_collections

from sel_jax import stored_keys


def get_config() -> ml_collections.ConfigDict:
  """The paper's setting for a folder of pairs."""
  return stored_keys.default_config()
