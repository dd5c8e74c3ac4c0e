"""Restoring photographs with a trained model."""

from sel_jax.inference.bulk import enhance_files
from sel_jax.inference.denoising import denoiser
from sel_jax.inference.drawings import spread
from sel_jax.inference.enhancer import Enhancer
from sel_jax.inference.listing import collect
from sel_jax.inference.restorer import local_mesh
from sel_jax.inference.restorer import Restorer
from sel_jax.places import SHIPPED
