"""Networks that estimate the noise from (x_t, mu, t)."""

from sel_jax.models.initialize import count_params
from sel_jax.models.initialize import init_params
from sel_jax.models.initialize import param_shapes
from sel_jax.models.nafnet import ConditionalNAFNet
from sel_jax.models.nafnet import unrolled_params
from sel_jax.models.unet import ConditionalUNet

MODELS = {'nafnet': ConditionalNAFNet, 'unet': ConditionalUNet}
