"""Exchange with other frameworks."""

from sel_jax.interop.torch_weights import nafnet_params
from sel_jax.interop.torch_weights import unet_params
