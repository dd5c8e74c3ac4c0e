"""The published densities and their distances in plain PyTorch.

Contract: written anew, in the dense way of the published release: all bins of
all pixels in memory; images are [B, C, H, W].
"""

import math

import torch
from torch.nn import functional as F

Tensor = torch.Tensor

_TINY = 1e-30
# The release adds it inside logarithms.
_EPS = 1e-10


def density(
  image: Tensor, levels: int, bandwidth: float, ring: Tensor | None = None
) -> Tensor:
  """Joint kernel values of every pixel and every pair of bins.

  The published definition.

  Args:
    image: [B, C, H, W] in [0, 1].
    levels: L.
    bandwidth: h in bin units.
    ring: neighbour weights [3, 3], of any sum; uniform ones if not given.

  Returns:
    [B, L * L, C, H, W].
  """
  batch, channels, *shape = image.shape
  own = (levels - 1) * image
  if ring is None:
    ring = torch.ones(3, 3, device=image.device)
  ring = ring.reshape(1, 1, 3, 3).clone()
  ring[0, 0, 1, 1] = 0
  ring = ring / ring.sum()
  flat = own.reshape(batch * channels, 1, *shape)
  # The published sum of the weights runs over all channels.
  mean = F.conv2d(flat, ring, padding=1).reshape(image.shape) / channels
  bins = torch.arange(levels, dtype=image.dtype, device=image.device)
  i = bins.repeat_interleave(levels).reshape(1, -1, 1, 1, 1)
  j = bins.repeat(levels).reshape(1, -1, 1, 1, 1)

  def kernel(offset):
    s = torch.sigmoid(offset / bandwidth)
    return s * (1 - s)

  joint = kernel(own[:, None] - i) * kernel(mean[:, None] - j)
  return joint / (0.5 * bandwidth)


def _windowed(joint: Tensor, window: int) -> Tensor:
  batch, bins, channels, *sides = joint.shape
  x = joint.transpose(1, 2).reshape(batch * channels, bins, *sides)
  if window > 1:
    shape = bins, 1, window, window
    box = torch.full(shape, 1 / window**2, device=joint.device)
    x = F.conv2d(x, box, padding=window // 2, groups=bins)
  return x


def _hellinger(p: Tensor, q: Tensor, least: float) -> Tensor:
  roots = [torch.sqrt(x.clamp_min(least)) for x in (p, q)]
  squared = 0.5 * (roots[0] - roots[1]).square().sum(dim=1)
  return torch.sqrt(squared.clamp_min(least))


def _relative(p: Tensor, q: Tensor, least: float) -> Tensor:
  log_p, log_q = (torch.log((x + _EPS).clamp_min(least)) for x in (p, q))
  return (q * (log_q - log_p)).sum(dim=1)


def _cross(p: Tensor, q: Tensor, least: float) -> Tensor:
  return -(p * torch.log(q.clamp_min(least))).sum(dim=1)


# Distance -> (prediction's density, target's, least value) to its value.
DISTANCES = {'hellinger': _hellinger, 'relative': _relative, 'cross': _cross}


def published_loss(
  pred: Tensor,
  target: Tensor,
  *,
  distance: str = 'hellinger',
  levels: int = 32,
  bandwidth: float = 0.5,
  windows: tuple[int, ...] = (1, 3, 5),
  ring: Tensor | None = None,
  finite: bool = True,
) -> Tensor:
  """A distance of the published densities, all bins in memory.

  Args:
    pred: [B, C, H, W] in [0, 1].
    target: the same shape.
    distance: a row of `DISTANCES`.
    levels: L.
    bandwidth: h in bin units.
    windows: odd sizes.
    ring: neighbour weights, as in `density`.
    finite: roots and logarithms are floored, where the release gives NaN
      gradients.

  Returns:
    A scalar.
  """
  p, q = (density(x, levels, bandwidth, ring) for x in (pred, target))
  least = _TINY if finite else -math.inf
  found = [
    DISTANCES[distance](_windowed(p, window), _windowed(q, window), least)
    for window in windows
  ]
  return sum(each.mean() for each in found) / len(windows)
