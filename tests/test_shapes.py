"""Annotations are checked while the tests run, not decoration.

Contract: `addopts` in pyproject.toml has jaxtyping's plugin apply
`helpers.checker.checked` to every function of sel_jax.
"""

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from sel_jax import entropy
from sel_jax import losses
from sel_jax.diffusion import IRSDE
from sel_jax.diffusion import SDESpec
from sel_jax.entropy import EntropySpec
from sel_jax.evaluation import metrics
from sel_jax.models import init_params

IMAGE = np.zeros((2, 8, 8, 3), np.float32)
SPEC = EntropySpec(levels=4, windows=(1,), neighbor_weights='uniform')


def _wrong_shape():
  return losses.l1(IMAGE, IMAGE[:, 1:])


def _wrong_rank():
  return entropy.entropy_map(IMAGE[0], spec=SPEC)


def _integers():
  return losses.l2(IMAGE.astype(np.int32), IMAGE)


def _wrong_batch():
  sde = IRSDE.create(SDESpec())
  return sde.perturb(IMAGE, IMAGE[:1], np.array([1, 2]), IMAGE)


def _raw_key():
  return init_params(jnp.zeros(2, jnp.uint32), None)


def _floats_as_bytes():
  return metrics.psnr(restored=IMAGE[0], clean=IMAGE[0])


@pytest.mark.parametrize(
  'call',
  [
    _wrong_shape,
    _wrong_rank,
    _integers,
    _wrong_batch,
    _raw_key,
    _floats_as_bytes,
  ],
)
def test_a_wrong_array_is_refused_at_the_call(call):
  with pytest.raises(jaxtyping.TypeCheckError, match='Expected type'):
    call()


@pytest.mark.parametrize('array', [np.asarray, jnp.asarray])
def test_numpy_is_as_welcome_as_jax(array):
  image = array(IMAGE)
  assert losses.l1(image, image).shape == (2,)
  value = entropy.spatial_entropy_loss(image, image, spec=SPEC)
  assert isinstance(value, jax.Array) and value.shape == (2,)


def test_shapes_are_checked_under_transformations():
  with pytest.raises(jaxtyping.TypeCheckError):
    jax.jit(losses.l1)(IMAGE, IMAGE[:, 1:])
  gradient = jax.grad(lambda x: losses.l1(x, IMAGE).sum())(
    jnp.ones((2, 8, 8, 3))
  )
  assert gradient.shape == IMAGE.shape
