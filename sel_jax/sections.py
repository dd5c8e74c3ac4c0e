"""The sections of a configuration: what each holds, and what its keys mean.

Contract: a key is written once, as a field of the room that it steers, see
`fields`; keys that steer no lower room stand here. `settings` makes a whole
configuration of the sections, and checks what they ask of one another.
"""

from typing import Any

from sel_jax import fields
from sel_jax.data import AugmentSpec
from sel_jax.data import CacheSpec
from sel_jax.data import LoaderSpec
from sel_jax.data import PairsSpec
from sel_jax.diffusion import OBJECTIVES
from sel_jax.diffusion import PREDICTIONS
from sel_jax.diffusion import SDES
from sel_jax.fields import key
from sel_jax.losses import LOSSES
from sel_jax.models import MODELS

DTYPES = ('float32', 'bfloat16')
BACKENDS = ('shard_map', 'pmap')


@fields.spec
class DataSpec:
  """Section `data`: which pairs, and how they become batches."""

  pairs: PairsSpec = fields.part(factory=PairsSpec)
  augment: AugmentSpec = fields.part(factory=AugmentSpec)
  cache: CacheSpec = fields.part(factory=CacheSpec)
  loader: LoaderSpec = fields.part(factory=LoaderSpec)


@fields.spec
class ModelSpec:
  """Section `model`: which network, and what its output stands for."""

  name: str = key('the network', default='nafnet', choices=MODELS)
  predicts: str = key(
    "what the network's output stands for", default='noise', choices=PREDICTIONS
  )
  dtype: str = key(
    'type that the network computes in; parameters are float32',
    default='float32',
    choices=DTYPES,
  )
  network: Any = fields.row('name', MODELS, default='nafnet')


@fields.spec
class DiffusionSpec:
  """Section `sde`: which diffusion, and its numbers."""

  name: str = key('the diffusion', default='ir', choices=SDES)
  spec: Any = fields.row('name', SDES, default='ir')


@fields.spec
class LossSpec:
  """Section `loss`: the objective, and a weight for each loss of it."""

  objective: str = key(
    'the pair of images that is compared', default='optimum', choices=OBJECTIVES
  )
  at_prior: float = key(
    'probability that an example is drawn at t = T, the start of sampling, '
    'instead of uniformly on 1..T',
    default=0.0,
    ge=0,
    le=1,
  )
  perturb: float = key(
    'input perturbation (arXiv 2301.11706): deviation of noise that x_t has '
    'besides e, so that the network expects errors of its own; 0 is off',
    default=0.0,
    ge=0,
    le=10,
  )
  unroll: int = key(
    'further calls of the network for each example, made as in sampling: the '
    "first at t = T, each other on a state made of the network's own estimate, "
    'at times that are drawn and decrease; every call is compared. 0 is one '
    'call, on a state made of the clean image',
    default=0,
    ge=0,
    le=100,
  )
  entropy: float = key(
    'weight of the spatial entropy of the section entropy; 0 is off',
    default=1.0,
    ge=0,
  )
  entropy_from: float = key(
    'part of the run after which the spatial entropy counts; before, it takes '
    'no time',
    default=0.0,
    ge=0,
    lt=1,
  )
  entropy_until: float = key(
    'part of the run after which it counts no more', default=1.0, gt=0, le=1
  )
  entropy_objective: str = key(
    'the pair of images whose spatial entropy is compared; that of objective '
    'if empty',
    default='',
    choices=('', *OBJECTIVES),
  )
  entropy_times: int = key(
    'greatest t at which the spatial entropy counts, such as 25: there '
    'prediction and target are near; 0 is all',
    default=0,
    ge=0,
    le=10_000,
  )
  bands: tuple[float, ...] = key(
    'sigmas of further detail layers whose densities are compared, besides '
    'entropy.detail; their distances are averaged',
    default=(),
    gt=0,
    le=1_000,
  )
  bandwidth_from: float = key(
    'bandwidth of the spatial entropy that training begins with, in bins; it '
    'moves to entropy.bandwidth, evenly in its logarithm; 0 is off',
    default=0.0,
    ge=0,
    le=1_024,
  )
  bandwidth_updates: int = key(
    'updates until the bandwidth is entropy.bandwidth; 0 is all of train.steps',
    default=0,
    ge=0,
  )
  bandwidth_rate: float = key(
    "the bandwidth is learned: each update takes this times the loss's slope "
    'off its logarithm, and below 0 adds it (the distance grows); 0 is off',
    default=0.0,
    ge=-10,
    le=10,
  )
  weights: tuple[tuple[str, float], ...] = fields.weights(LOSSES, default=())
  detail_sigma: float = key(
    'sigma of the blur that detail_l1 takes off, pixels',
    default=3.0,
    gt=0,
    le=1_000,
  )
  lpips_sample: float = key(
    'part of the pixels that lpips looks at in an update: a rectangle of each '
    'image, of at least 32 pixels a side; 1 is all',
    default=1.0,
    gt=0,
    le=1,
  )


@fields.spec
class TrainSpec:
  """Section `train`: how long, and how often to look and to save."""

  steps: int = key('updates', default=500_000, ge=1)
  log_every: int = key('updates between lines of the log', default=100, ge=1)
  eval_every: int = key('updates between validations', default=5_000, ge=1)
  save_every: int = key('updates between checkpoints', default=1_000, ge=1)
  keep: int = key(
    'newest checkpoints to keep, besides the best', default=2, ge=1, le=10_000
  )
  best: str = key(
    'figure of validation whose best checkpoint is kept and used: a metric of '
    'evaluate, or one with _gt_mean after it; with the exposure given, _given, '
    'where the network is told it',
    default='psnr',
  )
  loggers: tuple[str, ...] = key(
    'where figures and pictures go beside log.jsonl', default=('tensorboard',)
  )
  skip_nonfinite: int = key(
    'updates in a row whose loss or gradient is not finite that are passed '
    'over, changing nothing; the next one stops the run',
    default=0,
    ge=0,
  )


@fields.spec
class ParallelSpec:
  """Section `parallel`: how a step is spread over devices.

  None of it changes the numbers, up to rounding.
  """

  backend: str = key(
    'how JAX maps the step', default='shard_map', choices=BACKENDS
  )
  accumulate: int = key(
    'parts that a device walks through its share of the batch in; memory of '
    'activations falls by as much',
    default=1,
    ge=1,
    le=65_536,
  )
  shard_state: bool = key(
    "each device keeps one part of the optimizer's state and of the averaged "
    'parameters (ZeRO, arXiv 1910.02054, stage 1), not all of it',
    default=False,
  )
  timeout: int = key(
    'seconds that processes wait for one another before they stop',
    default=600,
    ge=1,
    le=604_800,
  )
  heartbeat: int = key(
    'seconds after which a silent process counts as dead',
    default=100,
    ge=1,
    le=86_400,
  )
