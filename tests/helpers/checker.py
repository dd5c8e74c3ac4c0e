"""What checks the annotations of sel_jax while the tests run.

jaxtyping's plugin applies `checked` to every function as it is imported, see
`addopts` in pyproject.toml.
"""

from beartype import beartype
from beartype import BeartypeConf

# PEP 484: where a float is expected, an int will do.
checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
