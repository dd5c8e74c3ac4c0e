"""Operations of a program, counted without running it."""

import math


def flops(jaxpr) -> float:
  """Floating-point operations of matrix products and convolutions.

  Args:
    jaxpr: the program; loops count as often as they run, branches never.
  """
  total = 0.0
  for equation in jaxpr.eqns:
    name, out = equation.primitive.name, equation.outvars[0].aval
    shapes = [getattr(v.aval, 'shape', ()) for v in equation.invars]
    if name == 'dot_general':
      (contract, _), _ = equation.params['dimension_numbers']
      total += 2 * out.size * math.prod(shapes[0][d] for d in contract)
    elif name == 'conv_general_dilated':
      rhs = equation.params['dimension_numbers'].rhs_spec
      total += 2 * out.size * math.prod(shapes[1]) / shapes[1][rhs[0]]
    times = equation.params.get('length', 1) if name == 'scan' else 1
    for inner in equation.params.values():
      inner = getattr(inner, 'jaxpr', inner)
      if hasattr(inner, 'eqns'):
        total += times * flops(inner)
  return total
