"""Sections of a configuration as frozen dataclasses.

Contract: plain values with the paper's defaults and no ConfigDict in sight;
`build` reads sections into these and checks them.
"""

import dataclasses

OPTIMIZERS = ('adamw', 'adam', 'lion')
LR_SCHEDULES = ('cosine', 'multistep', 'constant')
DTYPES = ('float32', 'bfloat16')
BACKENDS = ('shard_map', 'pmap')
DEPTHWISE = ('auto', 'shift', 'conv')


@dataclasses.dataclass(frozen=True)
class ModelSpec:
  """Section `model`: which network, and what its output stands for.

  `enc`, `middle`, `dec`, `depthwise`, `remat`, `patch`, `gamma` belong to
  'nafnet', `depth` to 'unet'; `predicts` is a row of `diffusion.PREDICTIONS`.
  """

  name: str = 'nafnet'
  width: int = 64
  enc: tuple[int, ...] = (1, 1, 1, 1, 28)
  middle: int = 1
  dec: tuple[int, ...] = (1, 1, 1, 1, 1)
  depth: int = 4
  depthwise: str = 'auto'
  remat: bool = False
  patch: int = 1
  gamma: float = 1.0
  dtype: str = 'float32'
  predicts: str = 'noise'


@dataclasses.dataclass(frozen=True)
class LossSpec:
  """Section `loss`: the objective and a weight for each distance; 0 is off.

  `at_prior` is the probability that an example is drawn at t = T, in place of
  uniformly on 1..T: the start of sampling, where most of the work is done.
  """

  objective: str = 'optimum'
  at_prior: float = 0.0
  entropy: float = 1.0
  l1: float = 0.0
  l2: float = 0.0
  charbonnier: float = 0.0
  ssim: float = 0.0


@dataclasses.dataclass(frozen=True)
class OptimSpec:
  """Section `optim`.

  Attributes:
    name: 'adamw', 'adam' or 'lion'.
    lr: peak learning rate.
    final_lr: where the cosine ends.
    schedule: 'cosine', 'multistep' or 'constant'.
    warmup: steps of linear growth from zero.
    milestones: steps at which 'multistep' multiplies by `gamma`.
    gamma: see `milestones`.
    weight_decay: decoupled, for adamw and lion.
    b1: first moment's decay.
    b2: second moment's decay.
    clip_norm: largest global norm of the gradient; 0 is off.
    ema_decay: of the parameters' moving average.
  """

  name: str = 'adamw'
  lr: float = 1e-4
  final_lr: float = 1e-6
  schedule: str = 'cosine'
  warmup: int = 0
  milestones: tuple[int, ...] = (200_000, 400_000)
  gamma: float = 0.5
  weight_decay: float = 0.0
  b1: float = 0.9
  b2: float = 0.99
  clip_norm: float = 1.0
  ema_decay: float = 0.9995


@dataclasses.dataclass(frozen=True)
class TrainSpec:
  """Section `train`: how long, and how often to look and to save.

  Attributes:
    steps: updates.
    log_every: steps between lines of the log.
    eval_every: steps between validations.
    save_every: steps between checkpoints.
    keep: newest checkpoints to keep, besides the best.
    skip_nonfinite: steps in a row whose loss or gradient is not finite that
      are passed over, changing nothing; the next one stops the run.
  """

  steps: int = 500_000
  log_every: int = 100
  eval_every: int = 5_000
  save_every: int = 1_000
  keep: int = 2
  skip_nonfinite: int = 0


@dataclasses.dataclass(frozen=True)
class ParallelSpec:
  """Section `parallel`: how a step is spread over devices.

  None of it changes the numbers, up to rounding.

  Attributes:
    backend: 'shard_map' or 'pmap'.
    accumulate: parts that a device walks through its share of the batch in;
      memory of activations falls by as much.
    shard_state: each device keeps one part of the optimizer's state and of the
      averaged parameters (ZeRO, arXiv 1910.02054, stage 1), not all of it.
    timeout: seconds that processes wait for one another before they stop.
    heartbeat: seconds after which a silent process counts as dead.
  """

  backend: str = 'shard_map'
  accumulate: int = 1
  shard_state: bool = False
  timeout: int = 600
  heartbeat: int = 100


@dataclasses.dataclass(frozen=True)
class EvalSpec:
  """Section `eval`: the sampler, the same wherever an image is restored.

  Attributes:
    sampler: a row of `diffusion.SAMPLERS`.
    steps: network calls, 1..T.
    grid: a row of `diffusion.GRIDS`; 'log_snr' suits the samplers of second
      order.
    clip: keep x0_hat in [0, 1].
    dynamic: quantile of dynamic thresholding, such as 0.995, which scales what
      overshoots instead of clipping it; 0 is off.
    unbias: undo the bias of a network that was trained by the Euler mean, for
      `loss.objective='optimum'` alone.
    seed: of the sampler's noise.
    images: validation images used during training; 0 is all.
    tile: photographs with a longer side are restored in tiles of this side, a
      multiple of 32; 0 is never.
    overlap: least overlap of tiles, pixels.
    pool: side of the window that the channel attention averages over, pixels;
      0 is the whole image or tile.
    anchor: give a photograph in tiles the coarse tones of its restored
      thumbnail, so that tiles of different content agree.
  """

  sampler: str = 'posterior'
  steps: int = 100
  grid: str = 'time'
  clip: bool = True
  dynamic: float = 0.0
  unbias: bool = False
  seed: int = 0
  images: int = 0
  tile: int = 640
  overlap: int = 128
  pool: int = 0
  anchor: bool = True


@dataclasses.dataclass(frozen=True)
class CropSpec:
  """Part of section `data`: what a training batch looks like."""

  batch_size: int = 8
  crop: int = 128
  flip: bool = True
  rotate: bool = True
  shrink: float = 0.2
  relight: float = 0.0


@dataclasses.dataclass(frozen=True)
class SDEKind:
  """Part of section `sde`: a row of `diffusion.SDES`."""

  kind: str = 'ir'
