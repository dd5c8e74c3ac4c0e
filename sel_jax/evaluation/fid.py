"""Frechet Inception distance between restored and clean images, two sets.

Contract: figures of sets, not of images; lower is better. Source: Heusel et
al., arXiv 1706.08500, by the package `pytorch-fid` with its InceptionV3. A set
as small as a test split of 15 images says little: never alone.
"""

from pathlib import Path

from jaxtyping import Float
import numpy as np

from sel_jax.arrays import Rgb8
from sel_jax.errors import InputError

_FILE = 'pt_inception-2015-12-05-6726825d.pth'


def require() -> None:
  """Raises InputError with the remedy unless package and weights are there."""
  try:
    import pytorch_fid.inception  # noqa: F401
    import torch
  except (ImportError, RuntimeError) as error:  # or builds that do not fit
    raise InputError(
      f'FID needs PyTorch: pip install pytorch-fid ({error})'
    ) from error
  folder = Path(torch.hub.get_dir()) / 'checkpoints'
  if not (folder / _FILE).is_file():
    raise InputError(
      f'FID needs the weights {_FILE} in {folder}; they are an asset of the '
      'release fid_weights of github.com/mseitzer/pytorch-fid'
    )


class FrechetDistance:
  """Collects pairs of images, then tells how far apart the two sets are."""

  def __init__(self):
    """Loads the network.

    Raises:
      InputError: if package or weights are missing.
    """
    require()
    from pytorch_fid.inception import InceptionV3

    self._network = InceptionV3([InceptionV3.BLOCK_INDEX_BY_DIM[2048]]).eval()
    self._features: tuple[list, list] = ([], [])

  def add(self, *, restored: Rgb8, clean: Rgb8) -> None:
    """One pair of uint8 images [H, W, 3]."""
    import torch

    for features, image in zip(self._features, (restored, clean), strict=True):
      pixels = torch.from_numpy(image.astype(np.float32) / 255)
      with torch.no_grad():
        pooled = self._network(pixels.permute(2, 0, 1)[None])[0]
      features.append(pooled.numpy().ravel().astype(np.float64))

  def distance(self) -> float:
    """FID of what was added; NaN for fewer than two pairs."""
    if len(self._features[0]) < 2:
      return float('nan')
    return frechet_distance(*map(np.array, self._features))


def frechet_distance(
  a: Float[np.ndarray, 'N D'], b: Float[np.ndarray, 'M D']
) -> float:
  """Distance of two normal distributions with the moments of two samples.

    |m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)),   arXiv 1706.08500 eq. 6

  With C = X' X for centred X, the last trace is the sum of the singular values
  of X_a X_b': exact, and small where there are few images.

  Args:
    a: [N, D].
    b: [M, D].

  Returns:
    The squared distance, at least 0.
  """
  offset = a.mean(axis=0) - b.mean(axis=0)
  a, b = ((x - x.mean(axis=0)) / np.sqrt(len(x) - 1) for x in (a, b))
  overlap = np.linalg.svd(a @ b.T, compute_uv=False).sum()
  total = offset @ offset + np.sum(a**2) + np.sum(b**2) - 2 * overlap
  return float(max(total, 0.0))
