# %% [markdown]
# # The loss anywhere
#
# What each option of the loss does, one picture each. The guide
# [The loss in your own training](../guides/loss.md) explains them.

# %%
import functools

import cv2
import jax
import jax.numpy as jnp
import matplotlib.patches
import matplotlib.pyplot as plt
import numpy as np
import skimage.data

from sel_jax import entropy
from sel_jax.detail import detail_layer
from sel_jax.entropy.sampling import draw_part

photo = (skimage.data.astronaut()[20:116, 160:256] / 255).astype(np.float32)
rng = np.random.default_rng(0)
noise = 0.08 * rng.normal(size=photo.shape).astype(np.float32)

# %% [markdown]
# ## A pair with three faults
#
# The prediction is blurred in one quarter, noisy in another, too bright in a
# third, and right in the last one. The maps below are of this pair.

# %%
faulty = photo.copy()
faulty[:48, :48] = cv2.GaussianBlur(photo, (0, 0), 1.5)[:48, :48]
faulty[:48, 48:] += noise[:48, 48:]
faulty[48:, :48] += 0.15
pred, target = (jnp.asarray(x[None]) for x in (faulty, photo))


def base(**changes):
  given = {
    'levels': 16,
    'value_range': (0.0, 1.0),
    'neighbor_weights': 'uniform',
    **changes,
  }
  return entropy.EntropySpec(**given)


def distances(**changes):
  """Mean over the channels of the distance around each pixel."""
  found = jax.jit(
    functools.partial(entropy.distance_map, spec=base(**changes))
  )(pred, target)
  return np.asarray(found[0]).mean(axis=2)


def show(pictures, *, width=2.3, **style):
  """Pictures in a row, each with a title and a bar of its own."""
  figure, axes = plt.subplots(
    1, len(pictures), figsize=(width * len(pictures), 2.5)
  )
  for axis, (title, picture) in zip(axes, pictures.items(), strict=True):
    shown = axis.imshow(picture, **({'cmap': 'viridis'} | style))
    if np.ndim(picture) == 2:
      bar = figure.colorbar(shown, ax=axis, shrink=0.75, pad=0.03)
      bar.ax.tick_params(labelsize=7)
    axis.set_title(title, fontsize=9)
    axis.axis('off')
  figure.tight_layout()
  plt.show()


hellinger = distances(form='tiles')
figure, axes = plt.subplots(1, 3, figsize=(8, 2.6), layout='constrained')
axes[0].imshow(photo)
axes[1].imshow(faulty.clip(0, 1))
shown = axes[2].imshow(hellinger, cmap='viridis', vmin=0, vmax=1)
figure.colorbar(shown, ax=axes, shrink=0.9)
quarters = {'blurred': (4, 10), 'noisy': (52, 10), '+0.15': (4, 91)}
for word, place in quarters.items():
  axes[1].text(*place, word, color='white', fontsize=8, backgroundcolor='#0008')
for axis, title in zip(
  axes, ('target', 'prediction', 'distance_map'), strict=True
):
  axis.set_title(title, fontsize=9)
  axis.axis('off')
plt.show()

# %% [markdown]
# ## Where it saturates
#
# Two constant images, 0.5 less and 0.5 plus half of a difference. Once the
# difference is some bins, the densities do not overlap: the loss is at its
# maximum, and its gradient next to nothing. Here is how much the loss changes
# with a brightness that is added to one of the two, in double precision.
# Single precision has rounding errors instead of anything below 1e-6.

# %%
DIFFERENCES = np.linspace(0.01, 0.8, 80)


def slopes(levels, bandwidths):
  spec = base(levels=levels, windows=(1,), form='rows')

  def slope(bandwidth, difference):
    def loss(brightness):
      one = jnp.full((1, 1, 1, 1), 0.5 - difference / 2) + brightness
      other = jnp.full((1, 1, 1, 1), 0.5 + difference / 2)
      return entropy.spatial_entropy_loss(
        one, other, spec=spec, bandwidth=bandwidth
      )[0]

    return jax.grad(loss)(0.0)

  each = jax.vmap(jax.vmap(slope, (None, 0)), (0, None))
  with jax.enable_x64(True):
    return np.abs(jax.jit(each)(jnp.asarray(bandwidths), DIFFERENCES))


BANDWIDTHS = {0.5: '-', 4.0: '--'}
figure, axis = plt.subplots(figsize=(6, 3.4))
for levels, color in ((16, 'tab:blue'), (32, 'tab:orange'), (64, 'tab:green')):
  sizes = slopes(levels, list(BANDWIDTHS))
  for (h, style), size in zip(BANDWIDTHS.items(), sizes, strict=True):
    axis.semilogy(
      DIFFERENCES, size, style, color=color, label=f'{levels} levels, h = {h:g}'
    )
    print(f'0.2 against 0.8, {levels} levels, h = {h}: {size[59]:.1e}')
axis.axhspan(1e-9, 1e-6, color='gray', alpha=0.2)
axis.text(0.02, 2e-9, 'rounding of float32', fontsize=8, color='dimgray')
axis.set_ylim(1e-9, 1e5)
axis.set_xlabel('difference of brightness')
axis.set_ylabel('size of the gradient')
axis.legend(fontsize=7, ncols=2, loc='upper right')
plt.show()

# %% [markdown]
# ## `distance`

# %%
show(
  {'hellinger': hellinger}
  | {
    name: distances(distance=name)
    for name in ('jensen_shannon', 'relative', 'cross')
  }
)

# %% [markdown]
# ## `kernel`, `bandwidth` and `mass`
#
# How one point at u = 5.3 is spread over the bins, and the sum of its masses as
# it moves from the centre of one bin to that of the next.

# %%
bins = jnp.arange(12, dtype=jnp.float32)
fine = jnp.linspace(0, 11, 221)


def masses(at, kernel='logistic', bandwidth=0.5, mass='exact'):
  return entropy.bin_mass(
    jnp.full(bins.shape, at),
    bins,
    levels=12,
    bandwidth=bandwidth,
    kernel=kernel,
    mass=mass,
  )


figure, axes = plt.subplots(1, 3, figsize=(10, 3))
for kernel in entropy.KERNELS:
  axes[0].plot(bins, masses(5.3, kernel), 'o-', markersize=3, label=kernel)
axes[0].set_title('kernel, at h = 0.5', fontsize=9)
for h in (0.25, 0.5, 1.0):
  axes[1].plot(
    bins, masses(5.3, bandwidth=h), 'o-', markersize=3, label=f'h = {h:g}'
  )
axes[1].set_title('bandwidth, logistic', fontsize=9)
places = np.linspace(5, 6, 21)
sums = {
  mass: np.array([masses(at, bandwidth=0.15, mass=mass).sum() for at in places])
  for mass in ('exact', 'point', 'raw')
}
# The published normaliser belongs to the product of both axes.
sums['reference'] = 2 / 0.15 * sums.pop('raw') ** 2
for mass, found in sums.items():
  axes[2].plot(places, found, label=mass)
axes[2].set_ylim(0, 2.4)
axes[2].set_title('mass: the sum over the bins, h = 0.15', fontsize=9)
for axis, label in zip(axes, ('bin', 'bin', 'place u of the point')):
  axis.set_xlabel(label)
  axis.legend(fontsize=7)
figure.tight_layout()
plt.show()

# %% [markdown]
# ## `levels`

# %%
show(
  {
    'levels = 8': distances(levels=8),
    'levels = 16': hellinger,
    'levels = 64': distances(levels=64),
  },
  width=2.7,
  vmin=0,
  vmax=1,
)

# %% [markdown]
# ## `windows`

# %%
show(
  {f'windows = ({n},)': distances(windows=(n,)) for n in (1, 5, 15)},
  width=2.7,
  vmin=0,
  vmax=1,
)

# %% [markdown]
# ## `neighbor_weights`
#
# A draw of each: the weights of the eight neighbours.

# %%
key = jax.random.key(3)
rings = {
  'uniform': entropy.uniform_weights(),
  'positive': entropy.positive_weights(key),
  'reference': entropy.reference_weights(key),
}
figure, axes = plt.subplots(1, 3, figsize=(7, 2.5))
middle = np.arange(9).reshape(3, 3) == 4
for axis, (name, ring) in zip(axes, rings.items(), strict=True):
  ring = np.where(middle, np.nan, ring)
  axis.imshow(ring, cmap='coolwarm', vmin=-2, vmax=2)
  for (y, x), weight in np.ndenumerate(ring):
    if not middle[y, x]:
      color = 'white' if abs(weight) > 1.2 else 'black'
      axis.text(x, y, f'{weight:.2f}', color=color, ha='center', va='center')
  axis.set_title(name, fontsize=9)
  axis.axis('off')
figure.tight_layout()
plt.show()

# %% [markdown]
# ## `detail`
#
# The detail layer is what a Gaussian blur takes away. The brightness of a
# quarter is gone from it; blur and noise stay.

# %%
layer = lambda x: np.asarray(detail_layer(x, sigma=3.0)[0]).mean(axis=2)
show(
  {
    'detail layer of the target': layer(target),
    'of the prediction': layer(pred),
  },
  width=3,
  cmap='gray',
  vmin=-0.25,
  vmax=0.25,
)
show(
  {
    'detail = 0': distances(levels=32, windows=(3, 7)),
    'detail = 3': distances(levels=32, windows=(3, 7), detail=3.0),
  },
  width=3,
  vmin=0,
  vmax=1,
)

# %% [markdown]
# ## `sample`
#
# With a sixteenth of the pixels each update looks at one rectangle of each
# image. The mean over draws is the loss of all pixels.

# %%
SHARE = 1 / 16
whole = float(hellinger.mean())
sampled = jax.jit(
  jax.vmap(
    lambda key: entropy.spatial_entropy_loss(
      pred, target, spec=base(sample=SHARE), key=key
    )[0]
  )
)
values = np.asarray(sampled(jax.random.split(jax.random.key(0), 256)))
figure, axes = plt.subplots(1, 2, figsize=(8, 2.9), width_ratios=(1, 2))
axes[0].imshow(faulty.clip(0, 1))
for n, color in enumerate(('tab:orange', 'tab:cyan', 'tab:pink')):
  part = draw_part(
    jax.random.key(n), jnp.arange(1), shape=photo.shape[:2], share=SHARE
  )
  y, x = np.asarray(part.corners[0])
  side = part.rows.side
  axes[0].add_patch(
    matplotlib.patches.Rectangle(
      (x - 0.5, y - 0.5), side, side, fill=False, edgecolor=color, linewidth=2
    )
  )
axes[0].set_title('three draws of sample = 1/16', fontsize=9)
axes[0].axis('off')
axes[1].hist(values, bins=24, color='tab:blue', alpha=0.6)
axes[1].axvline(values.mean(), color='tab:blue', label='mean of 256 draws')
axes[1].axvline(whole, color='black', linestyle='--', label='all pixels')
axes[1].set_xlabel('loss of one draw')
axes[1].legend(fontsize=8)
figure.tight_layout()
plt.show()
print(f'all pixels {whole:.4f}, mean of the draws {values.mean():.4f}')

# %% [markdown]
# ## `where` and `weights`
#
# The same map under a mask and under weights that rise to the right. The loss
# is the mean of what counts.

# %%
disc = np.hypot(*(np.indices(photo.shape[:2]) - 47.5)) < 40
ramp = np.broadcast_to(np.linspace(0, 1, 96), photo.shape[:2])
panels = {
  'all': np.ones_like(ramp),
  'where = a disc': disc,
  'weights = a ramp': ramp,
}
figure, axes = plt.subplots(1, 3, figsize=(8, 2.8))
for axis, (name, counts) in zip(axes, panels.items(), strict=True):
  loss = np.average(hellinger, weights=counts)
  counted = np.where(counts == 0, np.nan, counts * hellinger)
  axis.imshow(counted, cmap='viridis', vmin=0, vmax=1)
  axis.set_title(f'{name}: loss {loss:.3f}', fontsize=9)
  axis.axis('off')
figure.tight_layout()
plt.show()

# %% [markdown]
# ## `clip` and `border`
#
# Left: the gradient at one pixel as its value leaves the range (0, 1); the
# target is 0.05. Right: the entropy near the upper left corner of a photograph.
# Zero padding puts black pixels beyond the border, and an edge along it.

# %%
VALUES = np.linspace(-0.3, 0.4, 141).astype(np.float32)
figure, axes = plt.subplots(1, 3, figsize=(10, 2.9), width_ratios=(1.5, 1, 1))
for clip, style in ((False, '-'), (True, '--')):
  spec = base(windows=(1,), clip=clip, form='rows')
  slope = jax.jit(
    jax.grad(
      lambda x, spec=spec: entropy.spatial_entropy_loss(
        x, jnp.full(x.shape, 0.05), spec=spec
      ).sum()
    )
  )
  found = slope(jnp.asarray(VALUES).reshape(-1, 1, 1, 1)).ravel()
  axes[0].plot(VALUES, found, style, label=f'clip = {clip}')
axes[0].axvspan(-0.3, 0, color='gray', alpha=0.2)
axes[0].set_xlabel('value of the pixel')
axes[0].set_ylabel('gradient')
axes[0].legend(fontsize=8)
corner = target[:, :24, :24]
for axis, border in zip(axes[1:], ('valid', 'zero'), strict=True):
  spec = base(border=border)
  found = jax.jit(functools.partial(entropy.entropy_map, spec=spec))(corner)
  shown = axis.imshow(np.asarray(found[0]).mean(axis=2), cmap='viridis')
  bar = figure.colorbar(shown, ax=axis, shrink=0.8, label='nats')
  axis.set_title(f"border = '{border}'", fontsize=9)
  axis.axis('off')
figure.tight_layout()
plt.show()

# %% [markdown]
# ## `form`
#
# Two ways to compute the same map, and their difference.

# %%
tiles, rows = hellinger, distances(form='rows')
show(
  {
    "form = 'tiles'": tiles,
    "form = 'rows'": rows,
    'difference, in 1e-7': 1e7 * np.abs(tiles - rows),
  },
  width=2.7,
)
