"""The loss in an environment that holds JAX and jaxtyping and nothing else."""

import subprocess
import sys
import textwrap

from helpers.commands import ROOT
import pytest

PROGRAM = textwrap.dedent("""
  import importlib.metadata
  import jax, jax.numpy as jnp
  from sel_jax import entropy

  pred = jax.random.uniform(jax.random.key(0), (1, 16, 16, 3))
  spec = entropy.EntropySpec(levels=8, bandwidth=0.5, distance='hellinger')
  loss = lambda x: entropy.spatial_entropy_loss(x, 0.5 * pred, spec=spec).sum()
  value, gradient = jax.value_and_grad(loss)(pred)
  assert value > 0 and jnp.isfinite(gradient).all() and jnp.any(gradient != 0)
  try:
    entropy.EntropySpec(levels='8')
  except ValueError as error:
    print(error)
  print(*sorted(d.name for d in importlib.metadata.distributions()))
""")
# What JAX and jaxtyping bring with them.
BROUGHT = {
  'jax', 'jaxlib', 'jaxtyping', 'ml_dtypes', 'numpy', 'opt_einsum', 'scipy',
  'wadler_lindig',
}  # fmt: skip


@pytest.mark.fence
def test_the_loss_needs_jax_and_jaxtyping_alone(tmp_path):
  place = tmp_path / 'environment'
  pip = [place / 'bin' / 'python', '-m', 'pip', 'install', '--quiet']
  for command in (
    [sys.executable, '-m', 'venv', place],
    [*pip, '-c', ROOT / 'constraints.txt', 'jax', 'jaxtyping'],
    [*pip, '--no-deps', ROOT],
  ):
    subprocess.run(command, check=True, cwd=tmp_path)
  done = subprocess.run(
    [place / 'bin' / 'python', '-c', PROGRAM],
    capture_output=True,
    text=True,
    cwd=tmp_path,
  )
  assert done.returncode == 0, done.stderr
  refusal, packages = done.stdout.splitlines()
  assert 'levels' in refusal and 'give a whole number' in refusal
  found = {name.replace('-', '_') for name in packages.split()}
  assert found - {'pip', 'setuptools', 'sel_jax'} == BROUGHT
