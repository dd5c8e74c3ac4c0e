# %% [markdown]
# # Spatial entropy by hand
#
# From one patch of a photograph to a map of its spatial entropy (arXiv
# 2404.09735, section 3), with the readable definition of
# `sel_jax/entropy/density.py`.

# %%
import dataclasses

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import skimage.data

from sel_jax import entropy
from sel_jax.entropy import density

photo = skimage.data.astronaut()[30:158, 150:278] / 255
image = jnp.asarray(photo[None], jnp.float32)  # [B, H, W, C]
spec = entropy.EntropySpec(
  levels=16, bandwidth=0.5, value_range=(0.0, 1.0), neighbor_weights='uniform'
)

# %% [markdown]
# ## The sample
#
# Every pixel is a point in two dimensions: its own value u and the mean v of
# its eight neighbours, both in units of the bins 0..L-1. On a smooth surface u
# = v.

# %%
weights = entropy.uniform_weights()
u, v = density.coordinates(image, weights, spec=spec)
plt.figure(figsize=(4, 4))
plt.scatter(u[0, ..., 1].ravel(), v[0, ..., 1].ravel(), s=1, alpha=0.3)
plt.xlabel('own value u')
plt.ylabel("neighbours' mean v")
plt.title('green channel')
plt.show()

# %% [markdown]
# ## The kernel
#
# A kernel spreads each point over the bins. Its mass in a bin is the
# difference of its integral at the bin's edges, the outer bins reaching to
# infinity, so that the masses of a point sum to one whatever the bandwidth.

# %%
bins = jnp.arange(spec.levels, dtype=jnp.float32)
for bandwidth in (0.1, 0.5, 2.0):
  mass = entropy.bin_mass(
    jnp.full(spec.levels, 5.3),
    bins,
    levels=spec.levels,
    bandwidth=bandwidth,
    kernel=spec.kernel,
  )
  plt.plot(bins, mass, 'o-', label=f'h = {bandwidth}, sum {mass.sum():.4f}')
plt.axvline(5.3, color='gray', linewidth=1)
plt.xlabel('bin')
plt.legend()
plt.show()

# %% [markdown]
# ## The density of one patch
#
# The joint density of (u, v) in a 5x5 patch is the mean of 25 products. Spread
# over many bins is entropy: here are the patch with the most and the one with
# the least.

# %%
patches_u, inside = entropy.extract_patches(u[0, ..., 1], 5)
patches_v, _ = entropy.extract_patches(v[0, ..., 1], 5)
window = dataclasses.replace(spec, windows=(5,))
levels = entropy.entropy_map(image, spec=window)[0, ..., 1]
places = {
  name: np.unravel_index(pick(levels), levels.shape)
  for name, pick in (('most', np.argmax), ('least', np.argmin))
}
figure, axes = plt.subplots(1, 2, figsize=(7, 3.4))
for axis, (name, (y, x)) in zip(axes, places.items(), strict=True):
  p = entropy.patch_density(
    patches_u[y, x], patches_v[y, x], inside[y, x], bandwidth=0.5, spec=spec
  )
  total = -jnp.sum(jnp.where(p > 0, p * jnp.log(p), 0))
  axis.imshow(p, origin='lower', cmap='viridis')
  axis.set_title(f'{name}: {total:.2f} nats, mass {p.sum():.3f}')
plt.show()

# %% [markdown]
# ## The map
#
# The same around every pixel, mean over windows of 1, 3 and 5 pixels. The fast
# form gives it without ever holding L x L values for a pixel; the definition
# above, mapped over all positions, agrees with it.

# %%
found = entropy.entropy_map(image, spec=spec)
small = image[:, :24, :24]
direct = [
  entropy.entropy(
    entropy.local_density(small, spec=spec, window=window).reshape(
      1, 24, 24, 3, -1
    )
  )
  for window in spec.windows
]
fast = entropy.entropy_map(small, spec=spec)
difference = float(jnp.abs(jnp.mean(jnp.stack(direct), axis=0) - fast).max())
print(f'greatest difference from the definition: {difference:.1e} nats')
assert difference < 1e-4

figure, axes = plt.subplots(1, 2, figsize=(8, 4))
axes[0].imshow(photo)
shown = axes[1].imshow(np.asarray(found[0]).mean(axis=2), cmap='viridis')
figure.colorbar(shown, ax=axes, label='nats', shrink=0.8)
for axis in axes:
  axis.axis('off')
plt.show()
