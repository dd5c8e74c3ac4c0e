"""Sums over all L*L bins without ever holding them.

Contract: one function, in several forms that give the same values and gradients
to rounding; each is a row of `FORMS`. The platform chooses, a spec may insist.
"""

from collections.abc import Callable

import jax
from jaxtyping import Float

from sel_jax.arrays import Array
from sel_jax.entropy.density import DensitySpec
from sel_jax.entropy.density import Planes
from sel_jax.entropy.divergences import Summand
from sel_jax.entropy.forms import rows
from sel_jax.entropy.forms import tiles
from sel_jax.entropy.reverse_mode import reverse_only
from sel_jax.entropy.sampling import Part

FORMS: dict[str, Callable[..., Array]] = {
  'tiles': tiles.bin_sums,
  'rows': rows.bin_sums,
}


# What a spec may ask for.
AUTO = 'auto'


def form_names() -> tuple[str, ...]:
  """The forms there are, and `AUTO`."""
  return (AUTO, *FORMS)


def choose_form(form: str) -> str:
  """The form that 'auto' stands for on this platform; others as they are."""
  if form != AUTO:
    return form
  return 'tiles' if jax.default_backend() == 'cpu' else 'rows'


def bin_sums(
  summand: Summand,
  samples: tuple[Planes, ...],
  bandwidth: Float[Array, ' B'],
  *,
  spec: DensitySpec,
  form: str = AUTO,
  part: Part | None = None,
) -> Float[Array, 'K B C h w']:
  """sum_{ij} term(p_W(i, j), q_W(i, j), ...) for every window and pixel.

  Args:
    summand: elementwise in the densities of each image.
    samples: (u, v) of each image in bin units, [B, C, H, W].
    bandwidth: h of each image in bin units, [B].
    spec: levels, kernel, mass, windows, border.
    form: a row of `FORMS`, or `AUTO`.
    part: the pixels that are asked for; all if left out.

  Returns:
    [windows, B, C, h, w] of the part, or of whole images.

  Raises:
    TypeError: if it is differentiated in forward mode.
  """
  samples, bandwidth = jax.tree.map(reverse_only, (samples, bandwidth))
  return FORMS[choose_form(form)](
    summand, samples, bandwidth, spec=spec, part=part
  )
