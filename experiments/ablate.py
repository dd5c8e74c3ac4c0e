"""`python -m experiments.ablate`, from a clone."""

from sel_jax.commands import command_line
from sel_jax.commands.ablate import main

if __name__ == '__main__':
  command_line.run(main)
