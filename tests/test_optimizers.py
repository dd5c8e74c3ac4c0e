import jax.numpy as jnp
import optax
import pytest

from sel_jax import fields
from sel_jax import optimizers


def _spec(**keys):
  return fields.build(optimizers.OptimSpec, keys)


@pytest.mark.parametrize('name', optimizers.OPTIMIZERS)
@pytest.mark.parametrize('schedule', optimizers.LR_SCHEDULES)
def test_every_optimizer_with_every_schedule(name, schedule):
  spec = _spec(
    name=name, schedule=schedule, lr=0.1, warmup=5, milestones=(10, 20)
  )
  tx = optimizers.build_optimizer(spec, 100)
  params = {'x': jnp.ones(3)}
  state = tx.init(params)
  for _ in range(30):
    updates, state = tx.update(params, state, params)
    params = optax.apply_updates(params, updates)
  assert float(jnp.abs(params['x']).max()) < 1


def test_learning_rates_follow_their_schedules():
  rate = optimizers.learning_rate(_spec(lr=1.0, final_lr=0.1, warmup=10), 110)
  assert float(rate(0)) == 0 and float(rate(10)) == 1
  assert float(rate(60)) == pytest.approx(0.55)
  assert float(rate(110)) == pytest.approx(0.1)
  steps = optimizers.learning_rate(
    _spec(lr=1.0, schedule='multistep', milestones=(5, 8), gamma=0.5), 10
  )
  assert [float(steps(n)) for n in (4, 6, 9)] == [1, 0.5, 0.25]


def test_gradients_are_clipped_by_their_norm():
  grads = {'x': jnp.full(4, 100.0)}
  norm = optax.tree.norm(grads)
  for limit, expected in ((1.0, 1.0), (0.0, 200.0), (500.0, 200.0)):
    clipped = optimizers.clip(grads, norm, limit)
    assert float(optax.tree.norm(clipped)) == pytest.approx(expected)
