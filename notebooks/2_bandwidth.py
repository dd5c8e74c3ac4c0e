# %% [markdown]
# # What the kernel's bandwidth does
#
# The published density is normalised by 1 / (0.5 h), which is right at h = 0.5
# alone. Here is what that does to an ablation of the bandwidth, and what the
# bandwidth does once masses are exact.

# %%
import dataclasses
import functools

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import skimage.data

from sel_jax import entropy
from sel_jax.entropy import density

BANDWIDTHS = np.array([0.1, 0.25, 0.5, 1.0, 2.0, 4.0])
exact = entropy.EntropySpec(
  levels=16, value_range=(0.0, 1.0), neighbor_weights='uniform', windows=(5,)
)
published = dataclasses.replace(exact, mass='reference')
SPECS = {'exact': exact, 'published': published}

photo = skimage.data.astronaut()[60:108, 170:218] / 255
image = jnp.asarray(photo[None], jnp.float32)


def at(spec, h):
  return dataclasses.replace(spec, bandwidth=float(h))


# %% [markdown]
# ## Total mass
#
# A density over the bins should sum to one. The published one is a scale
# factor that changes with h, so a sweep over h compares different weights of
# the loss.

# %%
for name, spec in SPECS.items():
  masses = [
    float(
      entropy.local_density(image, spec=at(spec, h), window=5)
      .sum(axis=(-2, -1))
      .mean()
    )
    for h in BANDWIDTHS
  ]
  plt.semilogx(BANDWIDTHS, masses, 'o-', label=name)
  print(name, np.round(masses, 3))
plt.axhline(1, color='gray', linewidth=1)
plt.xlabel('bandwidth h, bins')
plt.ylabel('mass of the density')
plt.legend()
plt.show()

# %% [markdown]
# ## Bias and variance of the entropy
#
# 25 pixels are few for 256 bins. Draw windows from a known distribution,
# estimate the entropy of each from its 25 points, and compare with the entropy
# of a histogram of 200,000 points: a narrow kernel has little bias for the
# points and much for the distribution, a wide one smooths everything to the
# same value.

# %%
rng = np.random.default_rng(0)
L = exact.levels


def draw(count):
  own = np.clip(rng.normal(7.5, 2.0, count), 0, L - 1)
  mean = np.clip(own + rng.normal(0, 0.7, count), 0, L - 1)
  return own, mean


many, _, _ = np.histogram2d(*draw(200_000), bins=np.arange(L + 1) - 0.5)
many = many.ravel() / many.sum()
truth = -np.sum(many[many > 0] * np.log(many[many > 0]))

windows = [draw(25) for _ in range(200)]
u = jnp.asarray(
  np.array([w[0] for w in windows]).reshape(-1, 5, 5), jnp.float32
)
v = jnp.asarray(
  np.array([w[1] for w in windows]).reshape(-1, 5, 5), jnp.float32
)


def estimates(h):
  def one(u, v):
    p = entropy.patch_density(
      u, v, jnp.ones((5, 5)), bandwidth=h, spec=at(exact, h)
    )
    return entropy.entropy(p.ravel())

  return np.asarray(jax.vmap(one)(u, v))


found = [estimates(h) for h in BANDWIDTHS]
bias = np.array([f.mean() - truth for f in found])
spread = np.array([f.std() for f in found])
plt.errorbar(BANDWIDTHS, bias, spread, fmt='o-', capsize=3)
plt.xscale('log')
plt.axhline(0, color='gray', linewidth=1)
plt.xlabel('bandwidth h, bins')
plt.ylabel(f'estimate - {truth:.2f} nats')
plt.title('bias, and deviation over windows')
plt.show()
for h, b, s in zip(BANDWIDTHS, bias, spread, strict=True):
  print(f'h = {h:<5} bias {b:+.2f} nats, deviation {s:.2f}')

# %% [markdown]
# ## The gradient
#
# Size of the loss's gradient, and the cosine of its angle to the pixel error,
# for a noisy copy of the photograph: how strongly and how directly the loss
# asks for what L2 would ask for.

# %%
noisy = image + 0.05 * jax.random.normal(jax.random.key(0), image.shape)
error = (noisy - image).ravel()

figure, axes = plt.subplots(1, 2, figsize=(10, 3.4))
for name, spec in SPECS.items():
  sizes, cosines = [], []
  for h in BANDWIDTHS:
    loss = functools.partial(entropy.spatial_entropy_loss, spec=at(spec, h))
    slope = jax.grad(lambda x, loss=loss: loss(x, image).mean())
    g = slope(noisy).ravel()
    sizes.append(float(jnp.linalg.norm(g)))
    norms = jnp.linalg.norm(g) * jnp.linalg.norm(error)
    cosines.append(float(jnp.vdot(g, error) / jnp.maximum(norms, 1e-20)))
  axes[0].loglog(BANDWIDTHS, sizes, 'o-', label=name)
  axes[1].semilogx(BANDWIDTHS, cosines, 'o-', label=name)
  print(name, 'size', np.round(sizes, 4), 'cosine', np.round(cosines, 2))
for axis, label in zip(
  axes, ("gradient's norm", 'cosine to the error'), strict=True
):
  axis.set_xlabel('bandwidth h, bins')
  axis.set_ylabel(label)
axes[0].legend()
plt.show()

# %% [markdown]
# ## Rules
#
# `bandwidth='silverman'` and `'scott'` choose h from the samples of each
# image.

# %%
coordinates, _ = density.coordinates(
  image, entropy.uniform_weights(), spec=exact
)
for name, rule in entropy.BANDWIDTH_RULES.items():
  print(f'{name}: h = {float(jnp.ravel(rule(coordinates))[0]):.2f} bins')
