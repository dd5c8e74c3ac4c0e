"""What arrays are called in signatures.

Contract: names for annotations alone. A function takes JAX's arrays and NumPy's
alike and gives JAX's back. Shapes are checked while the tests run, see
`tests/helpers/checker.py`; a user's program pays nothing.
"""

import jax
from jaxtyping import Float
from jaxtyping import Int
from jaxtyping import Key
from jaxtyping import UInt8
import numpy as np

Array = jax.Array
AnyArray = jax.Array | np.ndarray

Images = Float[AnyArray, 'B H W C']
# Any shape.
Floats = Float[AnyArray, '...']
# What any shape will do for, the same one wherever it stands in a signature.
Same = Float[AnyArray, '*S']
# t of each image, or one of all.
Times = Int[AnyArray, '...'] | np.integer | int
RandomKey = Key[Array, '']

# Photographs on the host, in [0, 1] and as a file holds them.
Rgb = Float[np.ndarray, 'H W 3']
Rgb8 = UInt8[np.ndarray, 'H W 3']
Rgbs = list[Float[np.ndarray, '_ _ 3']]  # of any sizes
