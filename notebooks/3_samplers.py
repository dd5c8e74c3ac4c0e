# %% [markdown]
# # The diffusion and its samplers
#
# Trajectories of the mean-reverting diffusion (IR-SDE, arXiv 2301.11699), and
# how far from the truth few steps end, where the best denoiser is known.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import skimage.data

from benchmarks.lib.analytic import error
from benchmarks.lib.analytic import GaussianData
from sel_jax.diffusion import GRIDS
from sel_jax.diffusion import IRSDE
from sel_jax.diffusion import sample
from sel_jax.diffusion import SAMPLERS
from sel_jax.diffusion import SDESpec

sde = IRSDE.create(SDESpec())
print(f'T = {sde.steps}, lambda = {float(sde.scale):.3f}')

# %% [markdown]
# ## Forwards: from the clean photograph to the dark one plus noise

# %%
clean = jnp.asarray(skimage.data.astronaut()[None, :160, 130:290] / 255)
clean = clean.astype(jnp.float32)
mu = 0.15 * clean**1.3
noise = jax.random.normal(jax.random.key(0), clean.shape)
times = (1, 25, 50, 75, 100)
figure, axes = plt.subplots(1, len(times), figsize=(11, 2.6))
for axis, t in zip(axes, times, strict=True):
  state = sde.perturb(clean, mu, jnp.asarray([t]), noise)
  axis.imshow(np.clip(state[0], 0, 1))
  axis.set_title(f't = {t}, signal {float(sde.decay[t]):.3f}', fontsize=9)
  axis.axis('off')
plt.show()

# %% [markdown]
# ## Backwards: trajectories of one pixel
#
# The clean value is drawn from N(0.6, 0.1^2), the dark one is 0.2, the
# denoiser is the exact one. Deterministic samplers keep the order of their
# starts.

# %%
data = GaussianData()
start = jnp.full((40, 1, 1, 1), data.mu)
names = ('posterior', 'ddim', 'dpm2m')
figure, axes = plt.subplots(1, 3, figsize=(11, 3), sharey=True)
for axis, name in zip(axes, names, strict=True):
  grid = GRIDS['log_snr'](sde, 30)
  _, states = sample(
    data.denoise(sde),
    sde,
    jax.random.key(1),
    start,
    sampler=name,
    times=grid,
    clip=False,
    trajectory=True,
  )
  axis.plot(grid, states[:, :, 0, 0, 0], color='tab:blue', alpha=0.3)
  axis.axhspan(0.5, 0.7, color='tab:orange', alpha=0.2)
  axis.invert_xaxis()
  axis.set_title(name)
  axis.set_xlabel('t')
plt.show()

# %% [markdown]
# ## Error against steps
#
# Wasserstein-2 distance between the result and the data, without drawing.

# %%
steps = np.array([2, 3, 5, 8, 10, 15, 20, 30, 50, 100])
figure, axes = plt.subplots(1, 2, figsize=(11, 4), sharey=True)
for axis, grid in zip(axes, GRIDS, strict=True):
  for name in SAMPLERS:
    errors = [error(data, sde, name, GRIDS[grid](sde, int(n))) for n in steps]
    axis.loglog(steps, errors, 'o-', label=name, markersize=3)
  axis.set_title(f'grid: {grid}')
  axis.set_xlabel('network calls')
axes[0].set_ylabel('error')
axes[1].legend(fontsize=8)
plt.show()

for name in SAMPLERS:
  row = [error(data, sde, name, GRIDS['log_snr'](sde, n)) for n in (5, 10, 20)]
  print(f'{name:10} log_snr, 5/10/20 steps:', np.round(row, 4))
