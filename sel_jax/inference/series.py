"""Photographs that are to be equally bright, such as a burst or a time-lapse.

Contract: reads photographs, and writes nothing.
"""

from collections.abc import Callable
from collections.abc import Iterable
import contextlib

from sel_jax.errors import InputError
from sel_jax.images import codec
from sel_jax.images import metadata
from sel_jax.inference import exposure
from sel_jax.inference.enhancer import Enhancer
from sel_jax.inference.exposure import Plausible
from sel_jax.inference.listing import Job


def plausible(
  enhancer: Enhancer,
  jobs: Iterable[Job],
  *,
  on_done: Callable[[], object] | None = None,
) -> Plausible:
  """Which exposures are plausible of all photographs together.

  Args:
    enhancer: a model that takes the exposure.
    jobs: from `listing.collect`; what cannot be read is passed over.
    on_done: called after each photograph.

  Raises:
    InputError: if none can be read, or the model knows nothing of exposures.
  """
  enhancer.require_exposure()
  found = []
  for job in jobs:
    # What goes wrong is told where it is enhanced.
    with contextlib.suppress(Exception):
      pixels = metadata.read_picture(job.source).pixels
      found.append(enhancer.plausible(codec.to_float(pixels)))
    if on_done:
      on_done()
  if not found:
    raise InputError(
      'none of the photographs can be read, so there is no exposure that they '
      'could share; check the paths'
    )
  return exposure.shared(found)
