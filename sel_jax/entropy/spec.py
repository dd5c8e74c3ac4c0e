"""The one description of a spatial entropy: which density, which distance.

Contract: `EntropySpec` is frozen and hashable, checked when it is made, and
holds no arrays; each mend of the published definition is one field.
"""

import dataclasses

from sel_jax.entropy.bandwidth import RULES
from sel_jax.entropy.kernels import KERNELS

DISTANCES = ('relative', 'cross', 'hellinger', 'jensen_shannon')

_CHOICES = {
  'kernel': tuple(KERNELS),
  'distance': DISTANCES,
  'mass': ('exact', 'point', 'reference'),
  'neighbor_weights': ('uniform', 'positive', 'reference'),
  'neighbor_normalization': ('channel', 'image'),
  'border': ('valid', 'zero'),
  'cross_order': ('target', 'prediction'),
  'form': ('auto', 'tiles', 'rows'),
}


@dataclasses.dataclass(frozen=True)
class EntropySpec:
  """Spatial entropy by kernel density estimation (arXiv 2404.09735).

  Attributes:
    levels: L, number of bins along each of the two axes, at least 2.
    bandwidth: h in bin units, or a rule: 'silverman', 'scott'.
    kernel: 'logistic', 'sech', 'gaussian' or 'bspline'.
    distance: 'relative', 'cross', 'hellinger' or 'jensen_shannon'.
    windows: odd window sizes whose distances are averaged.
    value_range: intensities of the first and the last bin's centre. The default
      covers images in [0, 1] with the diffusion's noise on them.
    clip: clamp intensities into `value_range` first (no gradient beyond it).
    mass: 'exact' bin masses that sum to one; 'point' densities k / h; or
      'reference', the published normaliser 2 / h of a product of two kernels.
    neighbor_weights: 'positive' random weights, 'uniform', or 'reference'
      (standard normal, divided by their signed sum).
    neighbor_normalization: weights sum to one per 'channel', or over the whole
      'image' (published: RGB neighbour means come out at one third).
    border: averages over the pixels that exist ('valid'), or 'zero' padding.
    cross_order: whose density weighs the cross entropy: -sum q ln p ('target',
      least at p = q), or -sum p ln q ('prediction', published).
    eps: added to densities inside logarithms.
    form: how it is computed, a row of `fused.FORMS` or 'auto'; the values are
      the same.
  """

  levels: int = 32
  bandwidth: float | str = 0.5
  kernel: str = 'logistic'
  distance: str = 'hellinger'
  windows: tuple[int, ...] = (1, 3, 5)
  value_range: tuple[float, float] = (-0.5, 1.5)
  clip: bool = False
  mass: str = 'exact'
  neighbor_weights: str = 'positive'
  neighbor_normalization: str = 'channel'
  border: str = 'valid'
  cross_order: str = 'target'
  eps: float = 1e-10
  form: str = 'auto'

  def __post_init__(self):
    for field, choices in _CHOICES.items():
      value = getattr(self, field)
      if value not in choices:
        raise ValueError(
          f'EntropySpec.{field}={value!r}: choose one of {list(choices)}'
        )
    if self.levels < 2:
      raise ValueError(f'EntropySpec.levels={self.levels}: give at least 2')
    if isinstance(self.bandwidth, str):
      if self.bandwidth not in RULES:
        raise ValueError(
          f'EntropySpec.bandwidth={self.bandwidth!r}: give a number or one of '
          f'{list(RULES)}'
        )
    elif not self.bandwidth > 0:
      raise ValueError(f'EntropySpec.bandwidth={self.bandwidth}: must be > 0')
    if not self.windows or any(w < 1 or w % 2 == 0 for w in self.windows):
      raise ValueError(
        f'EntropySpec.windows={self.windows}: give odd sizes such as (1, 3, 5)'
      )
    low, high = self.value_range
    if not low < high:
      raise ValueError(
        f'EntropySpec.value_range={self.value_range}: low must be below high'
      )
    if self.eps < 0:
      raise ValueError(f'EntropySpec.eps={self.eps}: must be >= 0')

  @classmethod
  def reference(
    cls, distance: str = 'hellinger', levels: int = 32, **changes
  ) -> 'EntropySpec':
    """The published release's definition, number for number.

    Args:
      distance: as in the class.
      levels: as in the class.
      **changes: any other field, to mend one defect at a time.

    Returns:
      The spec.
    """
    fields = dict(
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
    return cls(**{**fields, **changes})
