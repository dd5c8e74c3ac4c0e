"""Image quality against a ground truth.

Contract: images are uint8 RGB [H, W, 3] of one size, as a saved file would hold
them. Names say which variant is meant; `METRICS` says which way is better.
"""

from collections.abc import Callable
import dataclasses
import functools
import math

import cv2
import jax
import numpy as np
from skimage.color import deltaE_ciede2000
from skimage.color import rgb2lab
from skimage.metrics import structural_similarity

from sel_jax import entropy
from sel_jax.arrays import Rgb8
from sel_jax.evaluation import lpips
from sel_jax.evaluation import niqe
from sel_jax.losses import perceptual

# ITU-R BT.601 luma, the gray of the GT-mean protocol.
_GRAY = np.array([0.299, 0.587, 0.114])
_SSIM_SIDE = 11
# Exponent between light and encoded samples.
_GAMMA = 2.2
# How much smaller `structure` looks at images, so that grain is averaged.
_REDUCED = 4


def _check(restored: np.ndarray, clean: np.ndarray) -> None:
  if restored.shape != clean.shape or restored.ndim != 3:
    raise ValueError(f'shapes differ: {restored.shape} and {clean.shape}')
  if restored.dtype != np.uint8 or clean.dtype != np.uint8:
    raise ValueError(f'uint8 is needed, not {restored.dtype} and {clean.dtype}')


def psnr(*, restored: Rgb8, clean: Rgb8) -> float:
  """Peak signal-to-noise ratio in dB over all pixels and channels.

    10 log10(255^2 / mean (a - b)^2)

  Args:
    restored: [H, W, 3] uint8.
    clean: the same shape.

  Returns:
    dB; infinite for equal images.

  Raises:
    ValueError: if shapes or types differ.
  """
  _check(restored, clean)
  error = np.mean((restored.astype(np.float64) - clean) ** 2)
  return 10 * math.log10(255**2 / error) if error else math.inf


def ssim(*, restored: Rgb8, clean: Rgb8) -> float:
  """Structural similarity, RGB mean, Gaussian 11x11 with sigma 1.5, valid area.

  Source: Wang et al. 2004, K1 = 0.01, K2 = 0.03, population covariance.

  Args:
    restored: [H, W, 3] uint8.
    clean: the same shape.

  Returns:
    At most 1; NaN if a side is below 11 pixels.

  Raises:
    ValueError: if shapes or types differ.
  """
  _check(restored, clean)
  if min(restored.shape[:2]) < _SSIM_SIDE:
    return math.nan
  value = structural_similarity(
    restored,
    clean,
    channel_axis=2,
    data_range=255,
    gaussian_weights=True,
    sigma=1.5,
    use_sample_covariance=False,
  )
  return float(value)


def match_gt_mean(*, restored: Rgb8, clean: Rgb8) -> Rgb8:
  """Rescales a restored image so that its mean gray is the ground truth's.

  The "GT-mean" protocol of several papers: it uses the answer, is worth 2 to
  5 dB, and is only ever reported beside the plain figure.

  Args:
    restored: [H, W, 3] uint8.
    clean: the same shape.

  Returns:
    [H, W, 3] uint8.

  Raises:
    ValueError: if shapes or types differ.
  """
  _check(restored, clean)
  mean = (restored @ _GRAY).mean()
  ratio = (clean @ _GRAY).mean() / mean if mean else 1.0
  return np.rint(np.clip(restored * ratio, 0, 255)).astype(np.uint8)


def delta_e(*, restored: Rgb8, clean: Rgb8) -> float:
  """Mean colour difference CIEDE2000, in CIELAB under D65; 1 is just seen.

  Args:
    restored: [H, W, 3] uint8, sRGB.
    clean: the same shape.

  Raises:
    ValueError: if shapes or types differ.
  """
  _check(restored, clean)
  return float(deltaE_ciede2000(rgb2lab(clean), rgb2lab(restored)).mean())


# The densities that metrics compare: of images, and of their detail layers.
_SPEC = entropy.EntropySpec(
  levels=32, value_range=(0.0, 1.0), neighbor_weights='uniform'
)
_DETAIL_SPEC = dataclasses.replace(_SPEC, detail=3.0, windows=(3, 7))


@functools.cache
def _entropy_loss(spec: entropy.EntropySpec) -> Callable[..., jax.Array]:
  return jax.jit(functools.partial(entropy.spatial_entropy_loss, spec=spec))


def entropy_distance(
  *, restored: Rgb8, clean: Rgb8, spec: entropy.EntropySpec = _SPEC
) -> float:
  """Spatial entropy's Hellinger distance, L = 32, uniform neighbour weights.

  The loss of arXiv 2404.09735 in this package's definition; 0 to 1.

  Args:
    restored: [H, W, 3] uint8.
    clean: the same shape.
    spec: another density or distance.

  Raises:
    ValueError: if shapes or types differ.
  """
  _check(restored, clean)
  pair = (x[None].astype(np.float32) / 255 for x in (restored, clean))
  return float(_entropy_loss(spec)(*pair)[0])


def lpips_distance(*, restored: Rgb8, clean: Rgb8, net: str) -> float:
  """Learned perceptual distance; see `lpips.distance`.

  Args:
    restored: [H, W, 3] uint8.
    clean: the same shape.
    net: 'alex' or 'vgg'.

  Raises:
    ValueError: if shapes or types differ.
    InputError: if the weights are not installed.
  """
  _check(restored, clean)
  return lpips.distance(restored=restored, clean=clean, net=net)


def naturalness(*, restored: Rgb8, clean: Rgb8) -> float:
  """NIQE of the image alone; see `niqe.niqe`.

  Args:
    restored: [H, W, 3] uint8.
    clean: the same shape; not looked at.

  Raises:
    ValueError: if shapes or types differ.
  """
  _check(restored, clean)
  return niqe.niqe(restored)


def _niqe_alone(*, restored: Rgb8, low: Rgb8) -> float:
  del low
  return niqe.niqe(restored)


def exposure(*, restored: Rgb8, low: Rgb8) -> float:
  """Mean intensity of the result, 0 to 1.

  Args:
    restored: [H, W, 3] uint8.
    low: not looked at.
  """
  del low
  return float(restored.mean() / 255)


def stops(*, restored: Rgb8, low: Rgb8) -> float:
  """By how much the result is brighter, in stops of light.

    2.2 log2(mean restored / mean low), with half a level added to each

  Args:
    restored: [H, W, 3] uint8.
    low: the same shape.
  """
  ratio = (restored.mean() + 0.5) / (low.mean() + 0.5)
  return float(_GAMMA * math.log2(ratio))


def black(*, restored: Rgb8, low: Rgb8) -> float:
  """Pixels of the result whose samples are all 0, per cent.

  Args:
    restored: [H, W, 3] uint8.
    low: not looked at.
  """
  del low
  return 100 * float((restored.max(2) == 0).mean())


def white(*, restored: Rgb8, low: Rgb8) -> float:
  """Pixels of the result with a sample at its end, 255, per cent.

  Args:
    restored: [H, W, 3] uint8.
    low: not looked at.
  """
  del low
  return 100 * float((restored.max(2) == 255).mean())


def structure(*, restored: Rgb8, low: Rgb8) -> float:
  """What was kept: SSIM of the result and the photograph at equal means.

  Both at a quarter of their sides, so that grain hardly counts, the photograph
  lifted as `match_gt_mean` does. A low figure shows what was made up.

  Args:
    restored: [H, W, 3] uint8.
    low: the same shape.

  Returns:
    At most 1; NaN if a side is below 44 pixels.
  """
  size = [max(1, side // _REDUCED) for side in restored.shape[1::-1]]
  found, given = (
    cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    for image in (restored, low)
  )
  return ssim(restored=found, clean=match_gt_mean(restored=given, clean=found))


@dataclasses.dataclass(frozen=True)
class Metric:
  """How a figure is made and shown.

  Attributes:
    function: (*, restored, clean) -> value, or (*, restored, low) where there
      is no clean image.
    title: its column's heading.
    form: how its numbers are formatted.
    higher: whether more is better; None where neither is.
    available: None, or a check that raises an InputError with the remedy.
  """

  function: Callable[..., float]
  title: str
  form: str
  higher: bool | None
  available: Callable[[], None] | None = None


METRICS = {
  'psnr': Metric(psnr, 'PSNR', '.2f', True),
  'ssim': Metric(ssim, 'SSIM', '.4f', True),
  'lpips_alex': Metric(
    functools.partial(lpips_distance, net='alex'),
    'LPIPS-Alex', '.4f', False, available=perceptual.require,
  ),
  'lpips_vgg': Metric(
    functools.partial(lpips_distance, net='vgg'),
    'LPIPS-VGG', '.4f', False, available=perceptual.require,
  ),
  'niqe': Metric(naturalness, 'NIQE', '.2f', False),
  'delta_e': Metric(delta_e, 'DeltaE', '.2f', False),
  'entropy': Metric(entropy_distance, 'Entropy', '.4f', False),
  'detail_entropy': Metric(
    functools.partial(entropy_distance, spec=_DETAIL_SPEC),
    'Detail entropy', '.4f', False,
  ),
}  # fmt: skip

# Where there is no clean image: (restored, low) to a number.
UNPAIRED = {
  'niqe': Metric(_niqe_alone, 'NIQE', '.2f', False),
  'exposure': Metric(exposure, 'exposure', '.3f', None),
  'stops': Metric(stops, 'stops', '+.2f', None),
  'black': Metric(black, 'black %', '.2f', None),
  'white': Metric(white, 'white %', '.2f', None),
  'structure': Metric(structure, 'structure', '.4f', None),
}


def known() -> dict[str, Metric]:
  """The rows of both tables, those against a clean image first."""
  return {**METRICS, **UNPAIRED}


# Cheap enough for every validation.
BASIC = ('psnr', 'ssim')
