# %% [markdown]
# # What the losses see
#
# L1, L2 and the spatial entropy's distances when a photograph is shifted,
# blurred, made noisy or brighter. Each curve is divided by its own value at
# the strongest distortion, so the shapes compare.

# %%
import cv2
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import skimage.data

from sel_jax import entropy
from sel_jax.losses import LOSSES

photo = (skimage.data.astronaut()[20:148, 140:268] / 255).astype(np.float32)
rng = np.random.default_rng(0)
noise = rng.normal(size=photo.shape).astype(np.float32)


def spatial(distance):
  spec = entropy.EntropySpec(
    levels=16,
    distance=distance,
    value_range=(0.0, 1.0),
    neighbor_weights='uniform',
  )
  return lambda pred, target: entropy.spatial_entropy_loss(
    pred, target, spec=spec
  )


LOSSES = {
  'L1': LOSSES['l1'],
  'L2': LOSSES['l2'],
  'Hellinger': spatial('hellinger'),
  'relative entropy': spatial('relative'),
  'Jensen-Shannon': spatial('jensen_shannon'),
}
LOSSES = {name: jax.jit(loss) for name, loss in LOSSES.items()}
STRENGTHS = np.linspace(0, 1, 9)


def shifted(s):
  move = np.float32([[1, 0, 4 * s], [0, 1, 0]])
  size = photo.shape[1::-1]
  return cv2.warpAffine(photo, move, size, borderMode=cv2.BORDER_REFLECT)


def blurred(s):
  return cv2.GaussianBlur(photo, (0, 0), 3 * s) if s else photo


DISTORTIONS = {
  'shift, to 4 pixels': shifted,
  'blur, to sigma 3': blurred,
  'noise, to 0.1': lambda s: photo + 0.1 * s * noise,
  'brightness, to +0.2': lambda s: photo + 0.2 * s,
}

# %%
figure, axes = plt.subplots(2, 2, figsize=(10, 7), sharex=True)
for axis, (title, distort) in zip(
  axes.ravel(), DISTORTIONS.items(), strict=True
):
  for name, loss in LOSSES.items():
    values = [
      float(loss(jnp.asarray(distort(s))[None], photo[None]).mean())
      for s in STRENGTHS
    ]
    axis.plot(STRENGTHS, np.array(values) / values[-1], label=name)
    print(f'{title:22} {name:16} at full strength {values[-1]:.4f}')
  axis.set_title(title)
axes[0, 0].legend(fontsize=8)
for axis in axes[1]:
  axis.set_xlabel('strength')
plt.show()

# %% [markdown]
# ## Which way down?
#
# Walk downhill from a noisy photograph with each loss alone, by steps of equal
# length, and watch the L1 error: a loss whose gradient does not lead to the
# target does not bring it down.

# %%
start = jnp.asarray(photo + 0.1 * noise)[None]
target = jnp.asarray(photo)[None]
plt.figure(figsize=(6, 4))
for name, loss in LOSSES.items():
  slope = jax.jit(jax.grad(lambda x, loss=loss: loss(x, target).mean()))
  x, errors = start, []
  for n in range(60):
    errors.append(float(jnp.abs(x - target).mean()))
    g = slope(x)
    length = 0.004 * (1 - n / 60) * np.sqrt(g.size)
    x = x - length * g / jnp.maximum(jnp.linalg.norm(g), 1e-12)
  plt.plot(errors, label=name)
  print(f'{name:16} L1 error {errors[0]:.4f} -> {errors[-1]:.4f}')
plt.xlabel('steps')
plt.ylabel('L1 error')
plt.legend(fontsize=8)
plt.show()
