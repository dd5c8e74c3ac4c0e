"""The spatial density stated readably: the oracle of every faster form.

Contract: one function computes the density of one patch; `vmap` takes it over
positions, channels and batch. Memory is L*L for every pixel, so this is for
small images, tests and notebooks; training uses `fused`.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Float

from sel_jax import fields
from sel_jax.arrays import AnyArray
from sel_jax.arrays import Array
from sel_jax.arrays import Floats
from sel_jax.arrays import Images
from sel_jax.detail import detail_layer
from sel_jax.entropy import bandwidth as bandwidths
from sel_jax.entropy import neighborhood
from sel_jax.entropy.bandwidth import Bandwidth
from sel_jax.entropy.bandwidth import RULES
from sel_jax.entropy.kernels import bin_mass
from sel_jax.entropy.kernels import KERNELS
from sel_jax.fields import key

# (u, v) of each pixel, in bin units.
Planes = tuple[Float[Array, 'B C H W'], Float[Array, 'B C H W']]


@fields.spec
class DensitySpec:
  """Which density: that of (own value, mean of the neighbours) in a window."""

  levels: int = key(
    'L, bins along each of the two axes', default=32, ge=2, le=1_024
  )
  bandwidth: float | str = key(
    'bandwidth h of the kernel in bins, or a rule',
    default=0.5,
    gt=0,
    choices=RULES,
  )
  kernel: str = key('the smoothing kernel', default='logistic', choices=KERNELS)
  windows: tuple[int, ...] = key(
    'odd window sizes whose results are averaged',
    default=(1, 3, 5),
    ge=1,
    le=255,
  )
  value_range: tuple[float, float] = key(
    "intensities of the first and the last bin's centre; (-0.5, 1.5) covers "
    "images in [0, 1] with the diffusion's noise on them",
    default=(-0.5, 1.5),
  )
  detail: float = key(
    'density of the detail layer, the image minus its own Gaussian blur of '
    'this sigma in pixels, instead of the image; 0 is off',
    default=0.0,
    ge=0,
    le=1_000,
  )
  detail_range: tuple[float, float] = key(
    "what value_range is, of a detail layer: its first and its last bin's "
    'centre',
    default=(-0.25, 0.25),
  )
  clip: bool = key(
    'clamp intensities into their range first: no gradient beyond it',
    default=False,
  )
  mass: str = key(
    'bin masses that sum to one, densities k / h at the bin centres, or the '
    'published normaliser 2 / h of a product of two kernels',
    default='exact',
    choices=('exact', 'point', 'reference'),
  )
  neighbor_weights: str = key(
    'positive and reference are drawn anew for each update; reference is '
    'standard normal, divided by its signed sum',
    default='positive',
    choices=neighborhood.WEIGHTS,
  )
  neighbor_normalization: str = key(
    'neighbour weights sum to one per channel, or over the whole image '
    '(published: RGB neighbour means come out at one third)',
    default='channel',
    choices=('channel', 'image'),
  )
  border: str = key(
    'averages over the pixels that exist, or zero padding',
    default='valid',
    choices=('valid', 'zero'),
  )

  def __post_init__(self):
    if not self.windows or any(w % 2 == 0 for w in self.windows):
      raise fields.refuse(self, 'windows', 'give odd sizes such as (1, 3, 5)')
    for name in ('value_range', 'detail_range'):
      low, high = getattr(self, name)
      if not low < high:
        raise fields.refuse(self, name, 'low must be below high')

  @property
  def limits(self) -> tuple[float, float]:
    """Values of the first and the last bin's centre: image's, or detail's."""
    return self.detail_range if self.detail else self.value_range


def coordinates(
  image: Images, weights: Float[AnyArray, '...'], *, spec: DensitySpec
) -> tuple[Float[Array, 'B H W C'], Float[Array, 'B H W C']]:
  """The two-dimensional sample (u, v) of every pixel, in bin units.

    u = (L - 1) (x - low) / (high - low),     v = mean of u over the 3x3 ring

  with x the image, or its detail layer.

  Args:
    image: [B, H, W, C] intensities.
    weights: [3, 3] neighbour weights.
    spec: levels, detail and ranges, clip, border, neighbor_normalization.

  Returns:
    u and v, both [B, H, W, C].
  """
  image = jnp.asarray(image)
  if spec.detail:
    image = detail_layer(image, sigma=spec.detail)
  low, high = spec.limits
  if spec.clip:
    image = jnp.clip(image, low, high)
  u = (image - low) * ((spec.levels - 1) / (high - low))
  v = neighborhood.neighbor_mean(
    u,
    weights,
    normalization=spec.neighbor_normalization,
    border=spec.border,
  )
  return u, v


def axis_masses(
  samples: Floats,
  index: Floats,
  bandwidth: Floats | float,
  *,
  spec: DensitySpec,
  ends: tuple[Floats, Floats] | None = None,
) -> tuple[Float[Array, '...'], Float[Array, '...']]:
  """Masses a_i(u) and b_j(v) of the two axes for one array of samples.

  The published normaliser 2 / h belongs to the product of the two, so it is
  given to the first.

  Args:
    samples: any shape, bin units.
    index: bin numbers, broadcastable against `samples`.
    bandwidth: h in bin units, broadcastable against `samples`.
    spec: levels, kernel, mass.
    ends: see `kernels.bin_mass`.

  Returns:
    (factor for the first axis, factor for the second), broadcast shape.
  """
  mass = 'raw' if spec.mass == 'reference' else spec.mass
  second = bin_mass(
    samples,
    index,
    levels=spec.levels,
    bandwidth=bandwidth,
    kernel=spec.kernel,
    mass=mass,
    ends=ends,
  )
  first = second * (2 / bandwidth) if spec.mass == 'reference' else second
  return first, second


def patch_density(
  u: Float[AnyArray, 'h w'],
  v: Float[AnyArray, 'h w'],
  inside: Float[AnyArray, 'h w'],
  *,
  bandwidth: Float[AnyArray, ''] | float,
  spec: DensitySpec,
) -> Float[Array, 'L L']:
  """Joint density of one patch.

    p(i, j) = 1/|W| sum_{q in W} a_i(u_q) b_j(v_q)

  Args:
    u: [h, w] own values in bin units.
    v: [h, w] neighbour means in bin units.
    inside: [h, w], 1 for pixels that exist and 0 beyond the border.
    bandwidth: h in bin units, a scalar.
    spec: levels, kernel, mass, border.

  Returns:
    [L, L]; the first axis is the own value's bin i.
  """
  index = jnp.arange(spec.levels, dtype=u.dtype)[None, :]
  a, _ = axis_masses(u.reshape(-1, 1), index, bandwidth, spec=spec)
  _, b = axis_masses(v.reshape(-1, 1), index, bandwidth, spec=spec)
  present = inside.reshape(-1)
  count = present.size if spec.border == 'zero' else jnp.sum(present)
  total = jnp.einsum('qi,qj,q->ij', a, b, present, precision='highest')
  return total / count


def _samples(
  image: Images,
  spec: DensitySpec,
  weights: Float[AnyArray, '3 3'] | None,
  bandwidth: Bandwidth | None,
) -> tuple[Float[Array, 'B H W C'], Float[Array, 'B H W C'], Floats]:
  """The sample (u, v) of every pixel, and the bandwidth of each image."""
  image = jnp.asarray(image)
  if weights is None:
    weights = neighborhood.uniform_weights(dtype=image.dtype)
  u, v = coordinates(image, weights, spec=spec)
  given = spec.bandwidth if bandwidth is None else bandwidth
  return u, v, bandwidths.per_image(given, u)


def local_density(
  image: Images,
  *,
  spec: DensitySpec,
  neighbor_weights: Float[AnyArray, '3 3'] | None = None,
  window: int = 3,
  bandwidth: Bandwidth | None = None,
) -> Float[Array, 'B H W C L L']:
  """Joint density around every pixel, arXiv 2404.09735 section 3.

  Args:
    image: [B, H, W, C] intensities.
    spec: which density.
    neighbor_weights: [3, 3]; uniform if left out.
    window: odd side of the window.
    bandwidth: h in bin units, a number or one for each image, instead of the
      spec's; needed where two images must share an automatic one.

  Returns:
    [B, H, W, C, L, L], L*L values for every pixel: mind the memory.
  """
  u, v, h = _samples(image, spec, neighbor_weights, bandwidth)

  def channel_density(u, v, h):  # [H, W] -> [H, W, L, L]
    patches_u, inside = neighborhood.extract_patches(u, window)
    patches_v, _ = neighborhood.extract_patches(v, window)
    one = functools.partial(patch_density, bandwidth=h, spec=spec)
    return jax.vmap(jax.vmap(one))(patches_u, patches_v, inside)

  over_channels = jax.vmap(channel_density, in_axes=(2, 2, None), out_axes=2)
  return jax.vmap(over_channels)(u, v, h)


def global_density(
  image: Images,
  *,
  spec: DensitySpec,
  neighbor_weights: Float[AnyArray, '3 3'] | None = None,
  bandwidth: Bandwidth | None = None,
) -> Float[Array, 'B C L L']:
  """Joint density of a whole image: one window that holds every pixel.

  Args:
    image: [B, H, W, C] intensities; of gray images, C is 1.
    spec: which density; its windows are not looked at.
    neighbor_weights: [3, 3]; uniform if left out.
    bandwidth: h in bin units, a number or one for each image, instead of the
      spec's.

  Returns:
    [B, C, L, L].
  """
  u, v, h = _samples(image, spec, neighbor_weights, bandwidth)
  inside = jnp.ones(u.shape[1:3], u.dtype)

  def channel_density(u, v, h):  # [H, W] -> [L, L]
    return patch_density(u, v, inside, bandwidth=h, spec=spec)

  over_channels = jax.vmap(channel_density, in_axes=(2, 2, None))
  return jax.vmap(over_channels)(u, v, h)
