"""What is due after an update.

Contract: a pure function of the updates done, the section `train` and whether
the run is to stop, so every process of a run finds the same.
"""

import dataclasses

from sel_jax.sections import TrainSpec


@dataclasses.dataclass(frozen=True)
class Due:
  """What is due after an update.

  Attributes:
    log: a line of the log.
    validate: a validation.
    save: a checkpoint.
    leave: the end of the run.
  """

  log: bool = False
  validate: bool = False
  save: bool = False
  leave: bool = False

  @property
  def check(self) -> bool:
    """Whether the processes meet first, and look at this very update."""
    return self.log or self.save


def due(done: int, spec: TrainSpec, *, stopping: bool = False) -> Due:
  """What is due after an update.

  Args:
    done: updates done, from 1.
    spec: section `train`.
    stopping: whether the run is to stop here. It is saved then, but not
      validated: whoever asked is waiting.
  """
  last = done == spec.steps
  leave = last or stopping
  validate = last or (done % spec.eval_every == 0 and not leave)
  return Due(
    log=leave or done % spec.log_every == 0,
    validate=validate,
    save=leave or validate or done % spec.save_every == 0,
    leave=leave,
  )
