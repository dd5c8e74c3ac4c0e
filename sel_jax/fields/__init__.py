"""How a key of a configuration is described, and how values are checked by it.

A key is written once, as a field of the frozen dataclass of the room that it
steers, with its default, its meaning, its range and its choices. What checks,
lists, parses or stores keys reads the field.
"""

from sel_jax.fields.check import checked
from sel_jax.fields.check import close
from sel_jax.fields.check import named
from sel_jax.fields.describe import Described
from sel_jax.fields.describe import described
from sel_jax.fields.describe import Key
from sel_jax.fields.describe import key
from sel_jax.fields.describe import Part
from sel_jax.fields.describe import part
from sel_jax.fields.describe import row
from sel_jax.fields.describe import Weights
from sel_jax.fields.describe import weights
from sel_jax.fields.specs import build
from sel_jax.fields.specs import flat
from sel_jax.fields.specs import is_unread
from sel_jax.fields.specs import refuse
from sel_jax.fields.specs import require_read
from sel_jax.fields.specs import spec
from sel_jax.fields.specs import unread
from sel_jax.fields.specs import unused
from sel_jax.fields.tables import table
