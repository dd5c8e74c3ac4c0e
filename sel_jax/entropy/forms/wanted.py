"""Derivatives by the wanted images alone; the others cost nothing.

Contract: a `custom_vjp` with `symbolic_zeros` hears which of its operands are
differentiated. `Wanted` carries that from the forward to the backward rule, and
does there what both forms need.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp


def values(primals: Any) -> Any:
  """A rule's operands without what `symbolic_zeros` says about them."""
  return jax.tree.map(lambda x: x.value, primals)


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Wanted:
  """The images whose gradient is wanted.

  A pytree without leaves: among a rule's residuals it stays static, so that
  the backward rule can branch on it in Python.

  Attributes:
    images: their indices, ascending.
  """

  images: tuple[int, ...]

  @classmethod
  def among(cls, primals: Iterable[Any]) -> 'Wanted':
    """The images that are differentiated.

    Args:
      primals: for each image, what a forward rule with `symbolic_zeros` is
        given; any pytree.
    """
    perturbed = [
      any(x.perturbed for x in jax.tree.leaves(image)) for image in primals
    ]
    return cls(tuple(k for k, found in enumerate(perturbed) if found))

  def pick(self, images: Sequence[Any]) -> tuple[Any, ...]:
    """Of something of every image, that of the wanted ones."""
    return tuple(images[k] for k in self.images)

  def replace(
    self, images: Sequence[Any], chosen: Sequence[Any]
  ) -> tuple[Any, ...]:
    """Something of every image, that of the wanted ones exchanged."""
    replaced = list(images)
    for k, x in zip(self.images, chosen, strict=True):
      replaced[k] = x
    return tuple(replaced)

  def complete(
    self, gradients: Sequence[Any], images: Sequence[Any]
  ) -> tuple[Any, ...]:
    """The wanted images' gradients, and zeros like the others."""
    zeros = jax.tree.map(jnp.zeros_like, tuple(images))
    return self.replace(zeros, gradients)

  def vjp(
    self, function: Callable[..., Any], *operands: Sequence[Any]
  ) -> tuple[Any, Callable[..., Any]]:
    """`jax.vjp` by what each operand holds of the wanted images.

    Args:
      function: takes the operands.
      *operands: each a sequence over all images.

    Returns:
      The value, and a function from its cotangent to one tuple per operand,
      over the wanted images.
    """

    def of_wanted(*chosen):
      return function(*map(self.replace, operands, chosen))

    return jax.vjp(of_wanted, *map(self.pick, operands))
