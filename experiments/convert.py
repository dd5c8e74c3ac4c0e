"""`python -m experiments.convert`, from a clone."""

from sel_jax.commands import command_line
from sel_jax.commands.convert import main

if __name__ == '__main__':
  command_line.run(main)
