"""The experiments of `configs/`, importable as `sel_jax.configs`.

In a clone their text stands in the folder `configs/` at the top, where people
open and edit it; a wheel holds that folder in place of this one.
"""

from pathlib import Path

__path__ = [str(Path(__file__).parents[2] / 'configs')]
