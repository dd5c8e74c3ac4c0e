"""`python -m experiments COMMAND` from a clone: see `sel_jax.commands`."""

from sel_jax.commands.__main__ import main

if __name__ == '__main__':
  main()
