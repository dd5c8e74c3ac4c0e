"""Every key there is, at the paper's values: the base of the other configs.

Not an experiment by itself: it names no data set. What a key means is written
at the dataclass of its section in `sel_jax/settings.py`, `EntropySpec`,
`SDESpec`, `DataSpec` and `LoaderSpec`.
"""

import ml_collections
from ml_collections import config_dict


def _data() -> ml_collections.ConfigDict:
  return config_dict.create(
    source='folder',
    root='',
    name='',
    exclude=(),
    held_out=15,
    leave_test_scenes=False,
    cache='memory',
    cache_dir='',
    skip_broken=False,
    threads=2,
    workers=0,
    batch_size=8,
    crop=128,
    flip=True,
    rotate=True,
    shrink=0.2,
    relight=0.0,
  )


def _model() -> ml_collections.ConfigDict:
  return config_dict.create(
    name='nafnet',
    width=64,
    enc=(1, 1, 1, 1, 28),
    middle=1,
    dec=(1, 1, 1, 1, 1),
    depth=4,
    depthwise='auto',
    remat=False,
    patch=1,
    gamma=1.0,
    dtype='float32',
    predicts='noise',
  )


def _entropy() -> ml_collections.ConfigDict:
  return config_dict.create(
    levels=32,
    # A number in bins, or the name of a rule: 'silverman', 'scott'.
    bandwidth=0.5,
    kernel='logistic',
    distance='hellinger',
    windows=(1, 3, 5),
    value_range=(-0.5, 1.5),
    clip=False,
    mass='exact',
    neighbor_weights='positive',
    neighbor_normalization='channel',
    border='valid',
    cross_order='target',
    eps=1e-10,
    form='auto',
  )


def _optim() -> ml_collections.ConfigDict:
  return config_dict.create(
    name='adamw',
    lr=1e-4,
    final_lr=1e-6,
    schedule='cosine',
    warmup=0,
    milestones=(200_000, 400_000),
    gamma=0.5,
    weight_decay=0.0,
    b1=0.9,
    b2=0.99,
    clip_norm=1.0,
    ema_decay=0.9995,
  )


def get_config() -> ml_collections.ConfigDict:
  """The paper's setting for a folder of pairs."""
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.data = _data()
  config.model = _model()
  config.sde = config_dict.create(
    kind='ir', steps=100, max_sigma=50.0, eps=0.005, schedule='cosine'
  )
  config.loss = config_dict.create(
    objective='optimum',
    at_prior=0.0,
    entropy=1.0,
    l1=0.0,
    l2=0.0,
    charbonnier=0.0,
    ssim=0.0,
  )
  config.entropy = _entropy()
  config.optim = _optim()
  config.train = config_dict.create(
    steps=500_000,
    log_every=100,
    eval_every=5_000,
    save_every=1_000,
    keep=2,
    skip_nonfinite=0,
  )
  config.eval = config_dict.create(
    sampler='posterior',
    steps=100,
    grid='time',
    clip=True,
    dynamic=0.0,
    unbias=False,
    seed=0,
    images=0,
    tile=640,
    overlap=128,
    pool=0,
    anchor=True,
  )
  config.parallel = config_dict.create(
    backend='shard_map',
    accumulate=1,
    shard_state=False,
    timeout=600,
    heartbeat=100,
  )
  return config
