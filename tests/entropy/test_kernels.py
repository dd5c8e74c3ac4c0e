import functools

import hypothesis
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate

from sel_jax.entropy import bin_mass
from sel_jax.entropy import KERNELS
from sel_jax.entropy import kernels

EVERY = pytest.mark.parametrize('name', KERNELS)


@EVERY
def test_density_integrates_to_one_and_is_symmetric(name, x64):
  kernel = KERNELS[name]
  total, _ = scipy.integrate.quad(
    lambda v: float(kernel.density(jnp.asarray(v))), -40, 40, points=[0]
  )
  assert total == pytest.approx(1, abs=1e-7)
  v = jnp.linspace(0, 20, 101)
  np.testing.assert_allclose(
    kernel.density(v), kernel.density(-v), rtol=0, atol=1e-15
  )
  assert float(kernel.density(v).min()) >= 0


@EVERY
def test_cdf_is_the_integral_of_the_density(name, x64):
  kernel = KERNELS[name]
  v = jnp.linspace(-8.03, 8, 333)
  slope = jax.vmap(jax.grad(kernel.cdf))(v)
  np.testing.assert_allclose(slope, kernel.density(v), atol=1e-12)
  np.testing.assert_allclose(kernel.cdf(v) + kernel.cdf(-v), 1, atol=1e-12)
  assert float(kernel.cdf(jnp.asarray(-1e4))) == 0
  assert float(kernel.cdf(jnp.asarray(1e4))) == 1


@EVERY
def test_support_bounds_the_tail(name, x64):
  kernel = KERNELS[name]
  assert float(kernel.density(jnp.asarray(kernel.support))) <= 1e-7
  inside = float(kernel.density(jnp.asarray(kernel.support * 0.95)))
  assert inside > 1e-7


@EVERY
@hypothesis.given(
  value=st.floats(-50, 300, width=32),
  bandwidth=st.floats(0.0500001, 8),
  levels=st.sampled_from([2, 4, 32, 256]),
)
@hypothesis.settings(max_examples=40, deadline=None)
def test_exact_bin_masses_sum_to_one(name, value, bandwidth, levels):
  masses = bin_mass(
    jnp.full((levels,), value),
    jnp.arange(levels, dtype=jnp.float32),
    levels=levels,
    bandwidth=bandwidth,
    kernel=name,
  )
  assert float(masses.min()) >= 0
  assert float(masses.sum()) == pytest.approx(1, abs=2e-6)


@EVERY
def test_masses_are_accurate_far_from_the_sample(name, x64):
  """Relative accuracy in float32 on both sides, where 1 - cdf would cancel."""
  index = np.arange(32.0)
  for value in (3.2, 28.1):

    def masses(dtype, value=value):
      return bin_mass(
        jnp.full((32,), value, dtype),
        jnp.asarray(index, dtype),
        levels=32,
        bandwidth=1.0,
        kernel=name,
      )

    exact, single = masses(jnp.float64), masses(jnp.float32)
    seen = np.asarray(exact) > 1e-25
    np.testing.assert_allclose(single[seen], exact[seen], rtol=2e-4)


@EVERY
@hypothesis.given(
  value=st.floats(-20, 50),
  bandwidth=st.floats(0.05, 8),
  first=st.integers(0, 31),
  length=st.integers(0, 31),
)
@hypothesis.settings(max_examples=40, deadline=None)
def test_ends_take_what_lies_beyond_them(name, value, bandwidth, first, length):
  last = min(first + length, 31)
  index = jnp.arange(32.0)
  masses = functools.partial(
    bin_mass, value, index, levels=32, bandwidth=bandwidth, kernel=name
  )
  whole, short = np.asarray(masses()), np.asarray(masses(ends=(first, last)))
  expected = np.where((index >= first) & (index <= last), whole, 0)
  expected[first] += whole[:first].sum()
  expected[last] += whole[last + 1 :].sum()
  np.testing.assert_allclose(short, expected, atol=1e-6)


@EVERY
def test_beyond_the_tail_bins_of_two_kernels_fall_off_together(name, x64):
  """What allows one bin to stand for the rest: a constant ratio, or nothing."""
  kernel = KERNELS[name]
  for accuracy in (1e-7, 1e-15):
    v = kernel.tail(accuracy) + np.linspace(0, 3, 7)
    near, far = (np.asarray(kernel.density(jnp.asarray(x))) for x in (v, v + 1))
    mass = float(kernel.cdf(jnp.asarray(-v[0])))
    spread = np.ptp(np.log(far / near)) if near.min() > 0 else 0
    assert mass < 10 * accuracy or mass * spread**2 < 10 * accuracy


@EVERY
@pytest.mark.parametrize('mass', ['exact', 'point', 'raw'])
def test_gradient_matches_finite_differences(name, mass, x64):
  u = jnp.asarray([0.3, 4.9, 7.7])
  index = jnp.asarray([0.0, 4.0, 7.0])

  def total(u):
    parts = bin_mass(u, index, levels=8, bandwidth=0.7, kernel=name, mass=mass)
    return jnp.sum(parts)

  gradient = jax.grad(total)(u)
  step = 1e-6
  for n in range(3):
    shift = jnp.zeros(3).at[n].set(step)
    slope = (total(u + shift) - total(u - shift)) / (2 * step)
    assert float(gradient[n]) == pytest.approx(float(slope), abs=1e-8)


def test_unknown_names_are_refused():
  u = jnp.zeros(1)
  with pytest.raises(ValueError, match="unknown kernel 'boxcar'"):
    bin_mass(u, u, levels=4, bandwidth=1.0, kernel='boxcar')
  with pytest.raises(ValueError, match="unknown bin mass 'half'"):
    bin_mass(u, u, levels=4, bandwidth=1.0, mass='half')
  with pytest.raises(ValueError, match="exact masses only, not mass='point'"):
    bin_mass(u, u, levels=4, bandwidth=1.0, mass='point', ends=(1, 2))


@pytest.mark.parametrize('ends', [None, (2.0, 5.0), (3.0, 3.0)])
def test_a_mass_in_closed_form_is_the_difference_of_the_cdf(ends, x64):
  """For bandwidths at which its exponentials are nothing, too."""
  kernel = KERNELS['logistic']
  index = jnp.arange(8.0)[:, None]
  u = jnp.linspace(-3, 11, 301)[None]
  first, last = (0, 7) if ends is None else ends
  low, high = index <= first, index >= last

  def masses(mass):
    def of(u, h):
      return mass((index - u) / h, 0.5 / h, low, high)

    return lambda h: (
      of(u, h),
      jax.jvp(of, (u, h), (jnp.ones_like(u), 0.0))[1],
      jax.jvp(of, (u, h), (jnp.zeros_like(u), 1.0))[1],
    )

  by_cdf = functools.partial(kernels._mass_by_cdf, kernel.cdf)
  found, expected = (jax.jit(masses(m)) for m in (kernel.mass, by_cdf))
  for h in (1e-3, 3e-3, 0.01, 0.05, 0.5, 2.0, 30.0):
    for x, y in zip(found(h), expected(h), strict=True):
      scale = np.abs(y).max()
      np.testing.assert_allclose(x, y, rtol=1e-7, atol=1e-12 * scale + 1e-300)
