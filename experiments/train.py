"""`python -m experiments.train`, from a clone."""

from sel_jax.commands import command_line
from sel_jax.commands.train import main

if __name__ == '__main__':
  command_line.run(main)
