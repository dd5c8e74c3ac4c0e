"""`python -m experiments.prepare_data`, from a clone."""

from sel_jax.commands import command_line
from sel_jax.commands.prepare_data import main

if __name__ == '__main__':
  command_line.run(main)
