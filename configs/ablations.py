"""One setting changed at a time, over seeds, at equal data order and updates.

ablations.py            every mend of the published loss undone alone, on detail
ablations.py:loss       L1, L2, Charbonnier, each distance, and mixtures
ablations.py:claim      the table of docs/results.md, on lol.py:quick
ablations.py:detail     density of detail, whole and sampled, on lol.py:quick
ablations.py:tuning     the same in fine-tuning the shipped model
ablations.py:seconds, :tuning_seconds
                        both at equal seconds: costly losses, fewer updates
ablations.py:bandwidth  the kernel's: fixed, by rules, annealed, learned
ablations.py:alone      the same of the density of images, without another loss
ablations.py:kernel, :levels, :windows, :neighbors, :sigma, :range, :sample,
             :weight    one field of the density each, or its weight
ablations.py:fields     all of these and every mend, on validation photographs
ablations.py:image_range, :objective
                        on lol.py:small, the loss standing alone
ablations.py:exposure   not told how bright, told of the crop or the photograph,
                        with other cameras or not, on lol.py:quick
ablations.py:place      where the density of detail earns its time beside L1
                        and SSIM: weight, bands, bandwidth, time, with LPIPS
ablations.py:calls      what makes more calls than one no worse, at 1, 4 and 10
ablations.py:recipe     crops, batches, learning rates, cameras, exposures
ablations.py:tiny       two variants of a toy, for tests

The last three fine-tune the shipped model, told how bright, for what one CPU
core does in 160 seconds: 800 updates of 2x128x128 without a density.

Fields of the density are ablated beside L1 on detail layers, on 200 steps of
lol.py:quick (400 for the bandwidth): one to two minutes a run on one CPU core.
The base is lol.py:small where nothing is said: 2,500 steps of 8x64x64, some 15
minutes a run. The first variant is what others are compared with.

A second name is another base: ablations.py:bandwidth,light is the bandwidth on
lol.py:light, with that preset's own steps. Steps, seeds and variants are keys:
--config.base.train.steps=400 --config.seeds=0 --config.only='L1,bandwidth 0.5'

Run:      python -m experiments.ablate --config=configs/ablations.py:loss \
              --config.base.data.root=/data/LOL --workdir=runs/loss
"""

import functools

import ml_collections

from sel_jax import fields
from sel_jax.configs import lol

# The loss alone: what is ablated must not hide behind another term.
_ALONE = {
  'loss.objective': 'clean',
  'loss.entropy': 1.0,
  'loss.l1': 0.0,
  'entropy.value_range': (0.0, 1.0),
}


# The density of detail, sampled, where it helps: beside L1.
_DETAIL = {
  'loss.objective': 'clean',
  'loss.entropy': 0.3,
  'loss.l1': 1.0,
  'entropy.detail': 3.0,
  'entropy.levels': 32,
  'entropy.windows': (3, 7),
  'entropy.sample': 0.25,
}


def _one_by_one(key: str, values, loss, name: str = '') -> dict:
  """A variant for each value of a key, by its own name if none is given."""
  name = name or key.split('.')[-1]
  return {f'{name} {value}': {**loss, key: value} for value in values}


def _bandwidths(loss) -> dict:
  values = 0.5, 0.1, 0.25, 1.0, 2.0, 4.0, 8.0, 16.0, 'silverman', 'scott'
  variants = _one_by_one('entropy.bandwidth', values, loss)
  variants['annealed 8.0 to 0.5'] = {**loss, 'loss.bandwidth_from': 8.0}
  variants['learned, descending'] = {**loss, 'loss.bandwidth_rate': 0.1}
  variants['learned, climbing'] = {**loss, 'loss.bandwidth_rate': -0.1}
  variants['L1'] = {**loss, 'loss.entropy': 0.0, 'loss.l1': 1.0}
  return variants


def _losses() -> dict:
  alone = {'loss.entropy': 0.0, 'loss.l1': 0.0}
  variants = {
    'L1': {**alone, 'loss.l1': 1.0},
    'L2': {**alone, 'loss.l2': 1.0},
    'Charbonnier': {**alone, 'loss.charbonnier': 1.0},
  }
  for name in ('relative', 'hellinger', 'jensen_shannon', 'cross'):
    variants[name] = {**_ALONE, 'entropy.distance': name}
  variants['L1 + 0.2 hellinger'] = {'loss.l1': 1.0, 'loss.entropy': 0.2}
  return variants


def _claim() -> dict:
  rows = _losses()
  del rows['Charbonnier'], rows['cross']
  mixed = {'loss.l1': 1.0, 'loss.ssim': 1.0}
  rows['L1 + SSIM'] = {**mixed, 'loss.entropy': 0.0}
  rows['L1 + SSIM + 0.2 hellinger'] = {**mixed, 'loss.entropy': 0.2}
  return rows


def _mends() -> dict:
  undone = {
    'density mass': {'entropy.mass': 'reference'},
    'neighbour normalisation': {'entropy.neighbor_normalization': 'image'},
    'neighbour weights': {'entropy.neighbor_weights': 'reference'},
    'border': {'entropy.border': 'zero'},
    'clamp': {'entropy.clip': True},
    'cross entropy order': {
      'entropy.distance': 'cross',
      'entropy.cross_order': 'prediction',
    },
  }
  everything = {
    key: value for part in undone.values() for key, value in part.items()
  }
  everything['entropy.distance'] = 'hellinger'
  variants = {'all mends': _DETAIL}
  variants |= {
    f'without {n}': {**_DETAIL, **part} for n, part in undone.items()
  }
  variants['without any'] = {**_DETAIL, **everything}
  return variants


# The key of a preset, and its values; the first is that of `_DETAIL`.
_FIELDS = {
  'kernel': (
    'entropy.kernel',
    ('logistic', 'sech', 'gaussian', 'bspline'),
  ),
  'levels': ('entropy.levels', (32, 8, 16, 64)),
  'windows': (
    'entropy.windows',
    ((3, 7), (1,), (3,), (7,), (1, 3, 5), (15,)),
  ),
  'neighbors': (
    'entropy.neighbor_weights',
    ('positive', 'uniform', 'reference'),
  ),
  'sigma': ('entropy.detail', (3.0, 1.0, 1.5, 6.0, 12.0)),
  'range': (
    'entropy.detail_range',
    ((-0.25, 0.25), (-0.125, 0.125), (-0.5, 0.5), (-1.0, 1.0)),
  ),
  'sample': ('entropy.sample', (0.25, 1.0, 0.0625)),
  'weight': ('loss.entropy', (0.3, 0.03, 0.1, 1.0, 3.0)),
}


def _field(name: str) -> dict:
  """A variant for each value of a field of the density of detail."""
  return _one_by_one(*_FIELDS[name], _DETAIL, name)


def _fields() -> dict:
  """Each value of each field once, beside what they have in common."""
  variants = _mends()
  for name in _FIELDS:
    for variant, changes in list(_field(name).items())[1:]:
      if changes not in variants.values():
        variants[variant] = changes
  variants['L1'] = {**_DETAIL, 'loss.entropy': 0.0}
  return variants


def _detail(weight: float, share: int) -> dict:
  plain = {'loss.entropy': 0.0, 'loss.l1': 1.0, 'loss.ssim': 0.0}
  density = {**_DETAIL, 'loss.entropy': weight, 'entropy.sample': 1.0}
  bases = {'L1': plain, 'L1 + SSIM': {**plain, 'loss.ssim': 1.0}}
  added = {
    '': {},
    ' + 4 detail L1': {'loss.detail_l1': 4.0},
    f' + {weight} detail entropy of 1/{share}': {
      **density,
      'entropy.sample': 1 / share,
    },
    f' + {weight} detail entropy': density,
  }
  return {
    base + name: {**loss, **more}
    for name, more in added.items()
    for base, loss in bases.items()
  }


def _seconds(weight: float, share: int, steps: tuple[int, int, int]) -> dict:
  """Losses of `_detail`, each for what one CPU core does in the same time.

  Args:
    weight: as of `_detail`.
    share: as of `_detail`.
    steps: updates without the density, with it of a part, and of all pixels.
  """
  variants = _detail(weight, share)
  without, part, whole = steps
  for loss in variants.values():
    density = whole if loss.get('entropy.sample') == 1.0 else part
    loss['train.steps'] = density if loss['loss.entropy'] else without
  return variants


def _exposure() -> dict:
  told, other = {'model.exposure': True}, {'data.cameras': 0.5}
  return {
    'not told': {},
    "photograph's mean": told,
    "photograph's mean, other exposures": {**told, 'data.reexpose': 0.5},
    "crop's mean": {**told, 'data.exposure': 'crop'},
    'not told, other cameras': other,
    "photograph's mean, other cameras": {**told, **other},
  }


# The density of detail where updates are long: of a sixteenth, by 1.
_SIXTEENTH = {**_DETAIL, 'loss.entropy': 1.0, 'entropy.sample': 1 / 16}
_LPIPS = {'loss.lpips': 0.5, 'loss.lpips_sample': 0.25}


def _updates(count: int) -> dict:
  """So many updates: what one core does of a variant in 160 seconds."""
  return {'train.steps': count, 'train.eval_every': count}


def _place() -> dict:
  def density(updates, changes=None):
    return {**_SIXTEENTH, **_updates(updates), **(changes or {})}

  return {
    'L1 + SSIM': {},
    '+ 4 detail L1': {'loss.detail_l1': 4.0, **_updates(770)},
    '+ 1 density': density(540),
    '+ 0.3 density': density(540, {'loss.entropy': 0.3}),
    '+ 3 density': density(540, {'loss.entropy': 3.0}),
    '+ 10 density': density(540, {'loss.entropy': 10.0}),
    '+ 1 density, windows 3 7 15': density(
      380, {'entropy.windows': (3, 7, 15)}
    ),
    '+ 1 density, 64 levels': density(415, {'entropy.levels': 64}),
    '+ 1 density, h 4 to 0.5': density(540, {'loss.bandwidth_from': 4.0}),
    '+ 1 density, bands 1.5 3 6': density(330, {'loss.bands': (1.5, 6.0)}),
    '+ 1 density, first half': density(645, {'loss.entropy_until': 0.5}),
    '+ 1 density, second half': density(645, {'loss.entropy_from': 0.5}),
    '+ 1 density of the optimum, t to 25': density(
      540, {'loss.entropy_objective': 'optimum', 'loss.entropy_times': 25}
    ),
    '+ LPIPS': {**_LPIPS, **_updates(295)},
    '+ LPIPS + 1 density': density(250, _LPIPS),
    '+ LPIPS of a sixteenth + 1 density': density(
      420, {**_LPIPS, 'loss.lpips_sample': 1 / 16}
    ),
    'L1': {'loss.ssim': 0.0, **_updates(830)},
    'L1 + 1 density': density(555, {'loss.ssim': 0.0}),
  }


def _calls() -> dict:
  once = {'loss.unroll': 1}
  dense = {**_SIXTEENTH, **once, **_updates(270)}
  below = {'loss.entropy': 3.0, 'loss.entropy_times': 99}
  return {
    'L1 + SSIM': {},
    'uniform t': {'loss.at_prior': 0.0},
    'a quarter at T': {'loss.at_prior': 0.25},
    'perturbed by 0.1': {'loss.perturb': 0.1},
    'unrolled once': {**once, **_updates(400)},
    'unrolled 3 times': {'loss.unroll': 3, **_updates(200)},
    'unrolled once, 1 density': dense,
    'unrolled once, 3 density below T': {**dense, **below},
  }


def _recipe() -> dict:
  last = {'loss.at_prior': 1.0}
  return {
    'L1 + SSIM': {},
    'all at T': last,
    'all at T, 1 density': {**_SIXTEENTH, **last, **_updates(540)},
    'uniform t, 1 density': {
      **_SIXTEENTH,
      'loss.at_prior': 0.0,
      **_updates(540),
    },
    'no other cameras': {'data.cameras': 0.0},
    'half by other cameras': {'data.cameras': 0.5},
    'no other exposures': {'data.reexpose': 0.0},
    'crops of 192': {'data.crop': 192, **_updates(390)},
    'batches of 4': {'data.batch_size': 4, **_updates(410)},
    'GT-mean for half of L1': {'loss.l1': 0.5, 'loss.gt_mean': 0.5},
    'GT-mean for L1': {'loss.l1': 0.0, 'loss.gt_mean': 1.0},
    'GT-mean for L1, 3 density': {
      **_SIXTEENTH,
      'loss.entropy': 3.0,
      'loss.l1': 0.0,
      'loss.gt_mean': 1.0,
      **_updates(540),
    },
    'learning rate 5e-4': {'optim.lr': 5e-4},
    'learning rate 1e-3': {'optim.lr': 1e-3},
  }


def _tiny() -> dict:
  return {'entropy': {}, 'L1': {'loss.entropy': 0.0, 'loss.l1': 1.0}}


_PRESETS = {
  '': _mends,
  'loss': _losses,
  'claim': _claim,
  'detail': lambda: _detail(0.3, 4),
  'tuning': lambda: _detail(1.0, 16),
  'seconds': lambda: _seconds(0.3, 4, (800, 267, 80)),
  'tuning_seconds': lambda: _seconds(1.0, 16, (200, 140, 50)),
  'bandwidth': lambda: _bandwidths(_DETAIL),
  'alone': lambda: _bandwidths({**_ALONE, 'entropy.sample': 0.25}),
  'fields': _fields,
  **{name: functools.partial(_field, name) for name in _FIELDS},
  'image_range': lambda: _one_by_one(
    'entropy.value_range', ((0.0, 1.0), (-0.25, 1.25), (-0.5, 1.5)), _ALONE
  ),
  'objective': lambda: {
    name: {'loss.objective': name}
    for name in ('clean', 'optimum', 'noise', 'score')
  },
  'exposure': _exposure,
  'place': _place,
  'calls': _calls,
  'recipe': _recipe,
  'tiny': _tiny,
}

# Those that fine-tune a network that is told how bright.
_HEAVY = ('place', 'calls', 'recipe')
_BASES = {
  'tiny': 'tiny',
  'claim': 'quick',
  'detail': 'quick',
  'seconds': 'quick',
  'exposure': 'quick',
  'tuning': 'tune',
  'tuning_seconds': 'tune',
  **dict.fromkeys(_HEAVY, 'told'),
}
# Updates of those on lol.py:quick that have many runs.
_SHORT = {'bandwidth': 400, 'alone': 200, '': 200, 'fields': 200}
_SHORT |= dict.fromkeys(_FIELDS, 200)


def _tune(base: ml_collections.ConfigDict) -> None:
  base.optim.update(warmup=20, ema_decay=0.99)
  base.train.update(steps=200, eval_every=200, save_every=200)
  base.eval.images = 1


def _tune_told(base: ml_collections.ConfigDict) -> None:
  base.data.update(cameras=0.25, threads=1)
  base.optim.ema_decay = 0.99
  base.train.update(steps=800, eval_every=800, save_every=400, log_every=50)
  base.eval.images = 1


def get_config(preset: str = '') -> ml_collections.ConfigDict:
  """Base, variants and seeds of an ablation."""
  preset, comma, base = preset.partition(',')
  variants = fields.named('ablations.py', _PRESETS, preset)
  config = ml_collections.ConfigDict()
  if not comma:
    base = 'quick' if preset in _SHORT else _BASES.get(preset, 'small')
  config.base = lol.get_config(base)
  if preset in _SHORT and not comma:
    steps = _SHORT[preset]
    config.base.train.update(steps=steps, eval_every=steps, save_every=steps)
  config.seeds = (0, 1) if preset == 'tiny' else (0, 1, 2)
  chosen = preset in (*_FIELDS, *_HEAVY, 'fields', 'exposure')
  config.split = 'val' if chosen else 'test'
  config.metrics = ('psnr', 'ssim')
  if preset.startswith('tuning'):
    _tune(config.base)
  if preset in _HEAVY:
    _tune_told(config.base)
  config.calls = (1, 4, 10) if preset == 'calls' else ()
  if preset in (*_SHORT, *_BASES.keys() - {'tiny'}):
    config.metrics += ('lpips_alex', 'niqe')
  # A plain value: names of variants are no names of keys.
  config.variants = tuple(
    (name, tuple(changes.items())) for name, changes in variants().items()
  )
  return config
