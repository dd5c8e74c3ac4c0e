"""The one description of a spatial entropy: which density, which distance.

Contract: `EntropySpec` is frozen and hashable, checked when it is made, and
holds no arrays; each mend of the published definition is one field.
"""

from typing import Any

from sel_jax import fields
from sel_jax.entropy.density import DensitySpec
from sel_jax.entropy.divergences import DIVERGENCES
from sel_jax.entropy.fused import form_names
from sel_jax.fields import key


@fields.spec
class EntropySpec(DensitySpec):
  """Spatial entropy by kernel density estimation (arXiv 2404.09735).

  The fields say what they mean themselves; those of `DensitySpec` come first.
  """

  distance: str = key(
    'divergence of the two densities', default='hellinger', choices=DIVERGENCES
  )
  cross_order: str = key(
    'whose density weighs the cross entropy: -sum q ln p of the target, least '
    'at p = q, or -sum p ln q of the prediction (published)',
    default='target',
    choices=('target', 'prediction'),
  )
  eps: float = key(
    'added to densities inside logarithms', default=1e-10, ge=0, le=1
  )
  sample: float = key(
    'part of the pixels that an update looks at: a rectangle of each image, '
    'drawn by the key, whose mean is unbiased; 1 is all',
    default=1.0,
    gt=0,
    le=1,
  )
  form: str = key(
    'how it is computed; the values are the same',
    default='auto',
    choices=form_names,
  )

  @classmethod
  def reference(
    cls, distance: str = 'hellinger', *, levels: int = 32, **changes: Any
  ) -> 'EntropySpec':
    """The published release's definition, number for number.

    Args:
      distance: the divergence, a row of `DIVERGENCES`.
      levels: L, bins along each axis.
      **changes: any other field, to mend one defect at a time.

    Returns:
      The spec.
    """
    published: dict[str, Any] = dict(
      distance=distance,
      levels=levels,
      value_range=(0.0, 1.0),
      clip=True,
      mass='reference',
      neighbor_weights='reference',
      neighbor_normalization='image',
      border='zero',
      cross_order='prediction',
      # The release's cross entropy takes an eps and does not use it.
      eps=0.0 if distance == 'cross' else 1e-10,
    )
    return cls(**{**published, **changes})
