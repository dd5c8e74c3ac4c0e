"""Exchange with other frameworks."""

from sel_jax.interop.torch_files import infer_model
from sel_jax.interop.torch_files import read_state
from sel_jax.interop.torch_files import to_params
from sel_jax.interop.torch_files import to_state
from sel_jax.interop.torch_files import write_state
from sel_jax.interop.torch_weights import nafnet_params
from sel_jax.interop.torch_weights import nafnet_state
from sel_jax.interop.torch_weights import unet_params
from sel_jax.interop.torch_weights import unet_state
