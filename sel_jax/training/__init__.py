"""Training: state, step, devices, what is due, loop."""

from sel_jax.training.loop import train
