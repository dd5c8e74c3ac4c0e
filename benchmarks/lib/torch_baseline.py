"""What is compared against: the same network and step in plain PyTorch.

Contract: written anew, after the published release; images are [B, C, H, W], on
a GPU if there is one. PyTorch is needed here and nowhere else
(`pip install torch`).
"""

from collections.abc import Callable
import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.lib import measure
from benchmarks.lib import torch_density
from sel_jax import build
from sel_jax.errors import InputError
from sel_jax.settings import Settings

Tensor = torch.Tensor

DEVICE = 'cuda' if torch.cuda.is_available() else 'cpu'
# As XLA multiplies on GPUs: 10 bits of mantissa.
torch.backends.cuda.matmul.allow_tf32 = True

# The least that the network's gamma is applied to.
_DARKEST = 0.5 / 255


def images(*arrays: np.ndarray) -> list[Tensor]:
  """Images [B, H, W, C] as [B, C, H, W] on the device."""
  return [
    torch.tensor(np.moveaxis(x, -1, 1).copy(), device=DEVICE) for x in arrays
  ]


def wait() -> None:
  """Until the device has done what it was given."""
  if DEVICE == 'cuda':
    torch.cuda.synchronize()


def peak_extra_megabytes(function: Callable[[], object]) -> float:
  """Growth of the memory that tensors take during a call, at its peak."""
  if DEVICE == 'cpu':
    return measure.peak_extra_megabytes(function)
  wait()
  torch.cuda.reset_peak_memory_stats()
  before = torch.cuda.memory_allocated()
  function()
  wait()
  return (torch.cuda.max_memory_allocated() - before) / 2**20


class ChannelNorm(nn.Module):
  """Layer norm over the channels with a gain."""

  def __init__(self, channels: int):
    super().__init__()
    self.g = nn.Parameter(torch.ones(1, channels, 1, 1))

  def forward(self, x: Tensor) -> Tensor:
    """[B, C, H, W] -> the same."""
    variance, mean = torch.var_mean(x, dim=1, unbiased=False, keepdim=True)
    return (x - mean) * (variance + 1e-5).rsqrt() * self.g


class Gate(nn.Module):
  """Product of the two halves of the channels."""

  def forward(self, x: Tensor) -> Tensor:
    """[B, 2C, ...] -> [B, C, ...]."""
    first, second = x.chunk(2, dim=1)
    return first * second


class NAFBlock(nn.Module):
  """A conditional NAF block; tensors are named as the release names them."""

  def __init__(self, channels: int, time: int):
    super().__init__()
    self.mlp = nn.Sequential(Gate(), nn.Linear(time // 2, 4 * channels))
    self.conv1 = nn.Conv2d(channels, 2 * channels, 1)
    self.conv2 = nn.Conv2d(
      2 * channels, 2 * channels, 3, padding=1, groups=2 * channels
    )
    self.conv3 = nn.Conv2d(channels, channels, 1)
    pool = nn.AdaptiveAvgPool2d(1)
    self.sca = nn.Sequential(pool, nn.Conv2d(channels, channels, 1))
    self.conv4 = nn.Conv2d(channels, 2 * channels, 1)
    self.conv5 = nn.Conv2d(channels, channels, 1)
    self.norm1, self.norm2 = ChannelNorm(channels), ChannelNorm(channels)
    self.beta = nn.Parameter(torch.zeros(1, channels, 1, 1))
    self.gamma = nn.Parameter(torch.zeros(1, channels, 1, 1))
    self.gate = Gate()

  def forward(self, x: Tensor, time: Tensor) -> Tensor:
    """Images [B, C, H, W] and time features [B, 4w]."""
    modulation = self.mlp(time)[:, :, None, None].chunk(4, dim=1)
    shift_a, scale_a, shift_f, scale_f = modulation
    y = self.norm1(x) * (1 + scale_a) + shift_a
    y = self.gate(self.conv2(self.conv1(y)))
    y = self.conv3(y * self.sca(y))
    x = x + y * self.beta
    y = self.norm2(x) * (1 + scale_f) + shift_f
    return x + self.conv5(self.gate(self.conv4(y))) * self.gamma


class Sinusoid(nn.Module):
  """Sine then cosine features of the time."""

  def __init__(self, size: int):
    super().__init__()
    half = size // 2
    decay = math.log(10000) / (half - 1)
    self.register_buffer(
      'frequencies', torch.exp(-decay * torch.arange(half)), persistent=False
    )

  def forward(self, t: Tensor) -> Tensor:
    """[B] -> [B, size]."""
    angles = t[:, None] * self.frequencies[None]
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


class ConditionalNAFNet(nn.Module):
  """The network of `sel_jax.models.ConditionalNAFNet`."""

  def __init__(self, width, enc, middle, dec, patch=1, gamma=1.0):
    super().__init__()
    self.patch, self.gamma = patch, gamma
    self.time_mlp = nn.Sequential(
      Sinusoid(width),
      nn.Linear(width, 8 * width),
      Gate(),
      nn.Linear(4 * width, 4 * width),
    )
    self.intro = nn.Conv2d(6 * patch**2, width, 3, padding=1)
    self.ending = nn.Conv2d(width, 3 * patch**2, 3, padding=1)
    time, channels = 4 * width, width

    def stage(blocks):
      return nn.ModuleList(NAFBlock(channels, time) for _ in range(blocks))

    self.encoders, self.downs = nn.ModuleList(), nn.ModuleList()
    for blocks in enc:
      self.encoders.append(stage(blocks))
      self.downs.append(nn.Conv2d(channels, 2 * channels, 2, 2))
      channels *= 2
    self.middle_blks = stage(middle)
    self.ups, self.decoders = nn.ModuleList(), nn.ModuleList()
    for blocks in dec:
      up = nn.Conv2d(channels, 2 * channels, 1, bias=False)
      self.ups.append(nn.Sequential(up, nn.PixelShuffle(2)))
      channels //= 2
      self.decoders.append(stage(blocks))

  def forward(self, x: Tensor, mu: Tensor, t: Tensor) -> Tensor:
    """(x_t, mu, t) -> output; sides are multiples of patch x 2^stages."""
    time = self.time_mlp(t)
    seen = mu if self.gamma == 1 else mu.clamp_min(_DARKEST) ** self.gamma
    y = F.pixel_unshuffle(torch.cat([x - mu, seen], dim=1), self.patch)
    y = self.intro(y)
    skips = []
    for blocks, down in zip(self.encoders, self.downs, strict=True):
      for block in blocks:
        y = block(y, time)
      skips.append(y)
      y = down(y)
    for block in self.middle_blks:
      y = block(y, time)
    for blocks, up in zip(self.decoders, self.ups, strict=True):
      y = up(y) + skips.pop()
      for block in blocks:
        y = block(y, time)
    return F.pixel_shuffle(self.ending(y), self.patch)


def _at(values: Tensor, t: Tensor) -> Tensor:
  """values[t], to broadcast against a batch of images."""
  return values[t][:, None, None, None]


class TrainingStep:
  """The step of `sel_jax.training.step` with the same pieces.

  Perturb, network, distance of the clean estimate from the clean image, or of
  the Euler mean from the optimum, clipped gradient, AdamW, moving average of
  the parameters.
  """

  def __init__(
    self,
    net: nn.Module,
    sde,
    loss,
    *,
    lr: float,
    clip_norm: float,
    optimum: bool = False,
  ):
    """Takes the pieces.

    Args:
      net: (x_t, mu, t) -> x_0_hat - mu, or the noise in x_t.
      sde: the diffusion, see `sel_jax.diffusion.IRSDE`.
      loss: (pred, target) -> a scalar.
      lr: learning rate.
      clip_norm: largest global norm of the gradient; 0 is off.
      optimum: the network estimates the noise, and x_{t-1} is compared.
    """
    self.optimum = optimum
    self.rate = 0.005  # how much of an update the average takes
    self.theta = torch.tensor(np.asarray(sde.thetas), device=DEVICE)
    self.dt, self.scale = float(sde.dt), float(sde.scale)
    self.net, self.loss = net.to(DEVICE), loss
    self.clip_norm = clip_norm or math.inf
    self.a = torch.tensor(np.asarray(sde.decay), device=DEVICE)
    self.s = torch.tensor(np.asarray(sde.marginal_std), device=DEVICE)
    self.parameters = list(net.parameters())
    self.average = [p.detach().clone() for p in self.parameters]
    self.optimizer = torch.optim.AdamW(
      self.parameters, lr=lr, betas=(0.9, 0.99), weight_decay=0.0
    )

  @classmethod
  def create(
    cls, settings: Settings, *, ring: Tensor | None = None, finite: bool = True
  ) -> 'TrainingStep':
    """The step that the settings describe.

    It compares x_{t-1} if the objective is 'optimum', and clean images else.

    Args:
      settings: those of the run.
      ring: neighbour weights of the published density; uniform ones if not
        given.
      finite: whether roots and logarithms are floored, see
        `torch_density.published_loss`.

    Raises:
      InputError: for a bandwidth by rule.
    """
    model, spec = settings.model.network, settings.entropy
    net = ConditionalNAFNet(
      model.width,
      model.enc,
      model.middle,
      model.dec,
      model.patch,
      model.gamma,
    )
    l1 = dict(settings.loss.weights).get('l1', 0.0)
    bandwidth = spec.bandwidth
    if isinstance(bandwidth, str):
      raise InputError(
        f'entropy.bandwidth={bandwidth!r}: the PyTorch step knows numbers only'
      )

    def loss(pred: Tensor, target: Tensor) -> Tensor:
      total = l1 * (pred - target).abs().mean()
      if settings.loss.entropy:
        # Estimates beyond [0, 1] are cut off, as by the release's definition.
        total = total + settings.loss.entropy * torch_density.published_loss(
          pred.clamp(0, 1),
          target.clamp(0, 1),
          distance=spec.distance,
          levels=spec.levels,
          bandwidth=bandwidth,
          windows=spec.windows,
          ring=ring,
          finite=finite,
        )
      return total

    sde = build.build_method(settings).sde
    optim = settings.optim
    return cls(
      net,
      sde,
      loss,
      lr=optim.lr,
      clip_norm=optim.clip_norm,
      optimum=settings.loss.objective == 'optimum',
    )

  def __call__(self, low: Tensor, clean: Tensor) -> float:
    """One update on [B, 3, H, W] images at drawn times; the loss."""
    t = torch.randint(1, len(self.a), (len(low),), device=low.device)
    return self.update(low, clean, t, torch.randn_like(low))[0]

  def pair(
    self, x: Tensor, low: Tensor, clean: Tensor, t: Tensor
  ) -> tuple[Tensor, Tensor]:
    """What is compared: prediction and target, of x_t at the times t."""
    output = self.net(x, low, t.float())
    if not self.optimum:
      # The output is the clean image less the low one, as `predicts` has it.
      return low + output, clean

    theta, s = _at(self.theta, t), _at(self.s, t)
    score = -output / s
    variance = 2 * self.scale**2 * theta
    pred = x - (theta * (low - x) - variance * score) * self.dt
    # The published optimum (arXiv 2301.11699 eq. 14).
    unit = torch.exp(-theta * self.dt)
    total, before = _at(self.a, t), _at(self.a, t - 1)
    left = unit * (1 - before**2) * (x - low)
    right = before * (1 - unit**2) * (clean - low)
    return pred, low + (left + right) / (1 - total**2)

  def update(
    self, low: Tensor, clean: Tensor, t: Tensor, noise: Tensor
  ) -> tuple[float, float]:
    """One update.

    Args:
      low: [B, 3, H, W] in [0, 1].
      clean: the same shape.
      t: [B] times, 1..T.
      noise: standard normal, shape of `low`.

    Returns:
      The loss, and the gradient's norm before it is clipped.
    """
    a, s = _at(self.a, t), _at(self.s, t)
    x = low + a * (clean - low) + s * noise
    loss = self.loss(*self.pair(x, low, clean, t))
    self.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(self.parameters, self.clip_norm)
    self.optimizer.step()
    with torch.no_grad():
      torch._foreach_lerp_(self.average, self.parameters, self.rate)
    return float(loss.detach()), float(norm)
