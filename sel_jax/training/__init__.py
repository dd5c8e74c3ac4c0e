"""Training: state, step, devices, what is due, loop.

The step loads neither data nor checkpoints; `train`, which does, is loaded when
it is asked for.
"""

from typing import Any
from typing import TYPE_CHECKING

from sel_jax.training.state import TrainState
from sel_jax.training.step import train_step
from sel_jax.training.step import Update

if TYPE_CHECKING:
  from sel_jax.training.loop import train

__all__ = ['TrainState', 'Update', 'train', 'train_step']


def __getattr__(name: str) -> Any:
  """Loads what is heavy."""
  if name == 'train':
    from sel_jax.training.loop import train

    return train
  raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
