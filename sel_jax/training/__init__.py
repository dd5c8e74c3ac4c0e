"""Training: state, step, devices, logs, loop."""

from sel_jax.training.loop import train
