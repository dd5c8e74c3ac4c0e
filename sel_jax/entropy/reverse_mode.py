"""A mark on what only reverse mode differentiates.

Contract: the identity, of no cost; `jax.grad` and `jax.vjp` pass, `jax.jvp` and
what is made of it (`jax.jacfwd`, `jax.hessian`, `jax.linearize`) is refused in
words, wherever it is compiled.
"""

from jax.extend.core import Primitive
from jax.interpreters import ad
from jax.interpreters import batching
from jax.interpreters import mlir
from jaxtyping import Float

from sel_jax.arrays import Array
from sel_jax.arrays import Floats

_MESSAGE = (
  'the spatial entropy is not differentiated in forward mode (jax.jvp, '
  'jax.jacfwd, jax.hessian): use jax.grad, jax.vjp or jax.jacrev'
)

_mark = Primitive('spatial_entropy_input')
# Its tangent: transposed in reverse mode, computed in forward mode alone.
_tangent = Primitive('spatial_entropy_tangent')


def reverse_only(x: Floats) -> Float[Array, '...']:
  """The argument itself, whose tangent cannot be computed."""
  return _mark.bind(x)


def _refuse(*operands, **params):
  del operands, params
  raise TypeError(_MESSAGE)


_mark.def_impl(lambda x: x)
_mark.def_abstract_eval(lambda x: x)
batching.defvectorized(_mark)
ad.defjvp(_mark, lambda tangent, x: _tangent.bind(tangent))
ad.deflinear2(_tangent, lambda cotangent, x: [cotangent])
mlir.register_lowering(_mark, lambda context, x: [x])

_tangent.def_impl(_refuse)
_tangent.def_abstract_eval(lambda x: x)
batching.primitive_batchers[_tangent] = _refuse
mlir.register_lowering(_tangent, _refuse)
