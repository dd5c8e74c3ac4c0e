"""What arrays are called in signatures.

Contract: names for annotations alone. A function takes JAX's arrays and NumPy's
alike and gives JAX's back. Shapes are checked while the tests run, see
`tests/helpers/checker.py`; a user's program pays nothing.
"""

from typing import Any

import jax
from jaxtyping import Bool
from jaxtyping import Float
from jaxtyping import Int
from jaxtyping import Key
from jaxtyping import Num
from jaxtyping import UInt8
import numpy as np

Array = jax.Array
AnyArray = jax.Array | np.ndarray

Images = Float[AnyArray, 'B H W C']
# Which pixels of images on a larger canvas are theirs.
Mask = Bool[AnyArray, 'B H W 1']
# Any shape.
Floats = Float[AnyArray, '...']
# What any shape will do for, the same one wherever it stands in a signature.
Same = Float[AnyArray, '*S']
# t of each image, or one of all.
Times = Int[AnyArray, '...'] | np.integer | int
# The same where it need not be whole, as networks take it.
AnyTimes = Num[AnyArray, '...'] | np.number | float
# Mean intensity of each clean photograph, in [0, 1]; NaN is not known.
Exposures = Float[AnyArray, ' B']
RandomKey = Key[Array, '']
# Length of an axis: an int, or a symbol in an export of free sizes.
Length = Any

# Photographs on the host, in [0, 1] and as a file holds them.
Rgb = Float[np.ndarray, 'H W 3']
Rgb8 = UInt8[np.ndarray, 'H W 3']
Rgbs = list[Float[np.ndarray, '_ _ 3']]  # of any sizes
