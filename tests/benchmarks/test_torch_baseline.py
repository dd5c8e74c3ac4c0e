"""PyTorch's baseline does what is timed against it: network, loss, update."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from benchmarks import weights
from benchmarks.lib import front
from benchmarks.lib import measure
from sel_jax import build
from sel_jax import entropy
from sel_jax import models
from sel_jax.entropy import neighborhood
from sel_jax.interop import torch_weights
from sel_jax.training.calls import draw_times_and_noise
from sel_jax.training.state import TrainState
from sel_jax.training.step import train_step
from sel_jax.training.step import Update

torch = pytest.importorskip('torch', reason='PyTorch is not installed')

from benchmarks.lib import torch_baseline  # noqa: E402
from benchmarks.lib import torch_density  # noqa: E402

# The published definition, which is the one that the baseline knows, with the
# same neighbour weights in every update.
PUBLISHED = {
  'entropy.value_range': (0.0, 1.0),
  'entropy.clip': True,
  'entropy.mass': 'reference',
  'entropy.neighbor_weights': 'uniform',
  'entropy.neighbor_normalization': 'image',
  'entropy.border': 'zero',
}


@pytest.fixture(scope='module')
def settings():
  """The preset that is timed, with the published entropy."""
  return front.settings('small', PUBLISHED)


def _stirred(net, size=0.1):
  """Parameters that are drawn: the gains of a new network are zero."""
  with torch.no_grad():
    for parameter in net.parameters():
      parameter.add_(size * torch.randn_like(parameter))
  return net


def _params(net):
  """A network's parameters, or what has their names, in our form."""
  weights = {k: v.detach().numpy().copy() for k, v in net.items()}
  return torch_weights.nafnet_params(weights)


def test_the_baseline_is_the_same_network_and_loss(settings):
  model = settings.model.network
  sizes = (model.width, model.enc, model.middle, model.dec, 2, 0.4)
  torch.manual_seed(0)
  net = _stirred(torch_baseline.ConditionalNAFNet(*sizes))
  x, mu = map(jnp.asarray, measure.images('photo', 32, 2))
  t = jnp.array([3, 70])
  ours = models.ConditionalNAFNet(*sizes[:4], patch=2, gamma=0.4).apply(
    {'params': _params(net.state_dict())}, x, mu, t
  )
  theirs = torch_baseline.images(x, mu)
  with torch.no_grad():
    output = net(*theirs, torch.tensor([3.0, 70.0])).numpy()
    loss = torch_density.published_loss(*theirs, levels=8)
  np.testing.assert_allclose(ours, np.moveaxis(output, 1, -1), atol=1e-3)
  spec = entropy.EntropySpec.reference(distance='hellinger', levels=8)
  value = entropy.spatial_entropy_loss(x, mu, spec=spec)
  assert float(value.mean()) == pytest.approx(float(loss), rel=1e-5)


@pytest.mark.parametrize('weight', [0.0, 0.2])
def test_one_update_is_ours(settings, weight):
  """From equal weights, images, times and noise: loss, gradient, parameters.

  The moving averages are not compared: ours forgets its start, the baseline's
  has a fixed decay. The gradient is read off Adam's first moment.
  """
  settings = settings.changed({'loss.entropy': weight})
  torch.manual_seed(0)
  step = torch_baseline.TrainingStep.create(settings)
  _stirred(step.net, 0.03)
  method, lr = build.build_method(settings), settings.optim.lr
  low, clean = map(jnp.asarray, measure.images('photo', 32, 2))
  batch = {'low': 0.2 * low, 'clean': clean, 'index': jnp.arange(2)}
  tx = optax.adamw(lr, 0.9, 0.99, weight_decay=0.0)
  before = jax.tree.map(jnp.asarray, _params(step.net.state_dict()))
  state, key = TrainState.create(before, tx), jax.random.key(1)
  draws, _ = jax.random.split(jax.random.fold_in(key, 0))
  t, noise = draw_times_and_noise(
    draws, batch['index'], low.shape, method.sde.steps
  )
  update = Update(tx, settings.optim.clip_norm)
  after, scalars = jax.jit(
    lambda state: train_step(state, batch, key, method=method, update=update)
  )(state)
  loss, norm = step.update(
    *torch_baseline.images(batch['low'], batch['clean']),
    torch.tensor(np.array(t), dtype=torch.long),
    *torch_baseline.images(noise),
  )
  assert float(scalars['loss']) == pytest.approx(loss, rel=1e-4)
  assert float(scalars['grad_norm']) == pytest.approx(norm, rel=1e-3)
  moments = step.optimizer.state
  theirs = _params(
    {name: moments[p]['exp_avg'] for name, p in step.net.named_parameters()}
  )
  ours = after.opt_state[0].mu
  distance = optax.tree.norm(jax.tree.map(np.subtract, ours, theirs))
  assert float(distance) < 1e-3 * float(optax.tree.norm(ours))
  # Adam's first update is lr times the gradient's sign, wherever the gradient
  # is above rounding.
  moved = _params(step.net.state_dict())
  flat = lambda tree: np.concatenate(
    [np.ravel(leaf) for leaf in jax.tree.leaves(tree)]
  )
  change = flat(moved) - flat(before)
  assert np.median(np.abs(change)) == pytest.approx(lr, rel=0.1)
  equal = np.isclose(flat(after.params), flat(moved), atol=0.01 * lr)
  assert equal.mean() > 0.98


# Distance, levels, and whether the release's own gradient is finite there.
RELEASED = [
  ('hellinger', 8, True),
  ('relative', 8, True),
  ('cross', 8, True),
  ('relative', 32, True),
  ('hellinger', 32, False),
  ('cross', 32, False),
]


@pytest.mark.parametrize('distance, levels, published', RELEASED)
def test_one_update_of_the_release_is_the_published_one(
  distance, levels, published
):
  """Network, diffusion, density, AdamW and average, on one batch.

  Where the release's gradient is not finite, roots and logarithms are floored.
  """
  settings = front.settings(
    'release',
    {
      'model.width': 8,
      'model.enc': (1, 1),
      'model.dec': (1, 1),
      'entropy.distance': distance,
      'entropy.levels': levels,
      'entropy.eps': 0.0 if distance == 'cross' else 1e-10,
    },
  )
  low, clean = map(jnp.asarray, measure.images('photo', 32, 2))
  batch = {'low': 0.2 * low, 'clean': clean, 'index': jnp.arange(2)}
  key = jax.random.key(1)
  draws, loss_key = jax.random.split(jax.random.fold_in(key, 0))
  ring = np.array(neighborhood.reference_weights(loss_key))
  torch.manual_seed(0)
  step = torch_baseline.TrainingStep.create(
    settings, ring=torch.tensor(ring), finite=not published
  )
  _stirred(step.net, 0.03)
  step.average = [p.detach().clone() for p in step.parameters]
  step.rate = 0.9  # ours forgets its start
  before = jax.tree.map(jnp.asarray, _params(step.net.state_dict()))
  method = build.build_method(settings)
  tx = optax.adamw(settings.optim.lr, 0.9, 0.99, weight_decay=0.0)
  t, noise = draw_times_and_noise(
    draws, batch['index'], low.shape, method.sde.steps
  )
  update = Update(tx, settings.optim.clip_norm, settings.optim.ema_decay)
  after, scalars = jax.jit(
    lambda state: train_step(state, batch, key, method=method, update=update)
  )(TrainState.create(before, tx))
  loss, norm = step.update(
    *torch_baseline.images(batch['low'], batch['clean']),
    torch.tensor(np.array(t), dtype=torch.long),
    *torch_baseline.images(noise),
  )
  moments = step.optimizer.state
  named = dict(step.net.named_parameters())
  theirs = _params({name: moments[p]['exp_avg'] for name, p in named.items()})
  ours = after.opt_state[0].mu
  gap = optax.tree.norm(jax.tree.map(np.subtract, ours, theirs))
  found = {
    'loss': abs(float(scalars['loss']) / loss - 1),
    'norm of the gradient': abs(float(scalars['grad_norm']) / norm - 1),
    'gradient': float(gap / optax.tree.norm(ours)),
  }
  average = dict(zip(named, step.average, strict=True))
  for name, mine, theirs in (
    ('parameters', after.params, _params(step.net.state_dict())),
    ('average', after.ema, _params(average)),
  ):
    # In learning rates, by which Adam's first update moves each.
    gaps = jax.tree.map(lambda x, y: np.abs(x - y).mean(), mine, theirs)
    found[name] = max(jax.tree.leaves(gaps)) / settings.optim.lr
  assert np.isfinite(loss) and np.isfinite(norm)
  assert max(found.values()) < 1e-3, found


def test_weights_of_every_form_come_back(capsys, tmp_path):
  flags = ['--preset=tiny', '--forms=pth,safetensors,run']
  assert weights.main([*flags, f'--folder={tmp_path}']) == 0
  lines = capsys.readouterr().out.splitlines()
  assert sum(line.startswith('| pth |') for line in lines) == 2
  assert sum('| pth |' in line for line in lines) == 4
