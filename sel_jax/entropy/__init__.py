"""Differentiable spatial entropy by kernel density estimation."""

from sel_jax.entropy.bandwidth import RULES as BANDWIDTH_RULES
from sel_jax.entropy.bandwidth import scott
from sel_jax.entropy.bandwidth import silverman
from sel_jax.entropy.density import DensitySpec
from sel_jax.entropy.density import global_density
from sel_jax.entropy.density import local_density
from sel_jax.entropy.density import patch_density
from sel_jax.entropy.divergences import cross_entropy
from sel_jax.entropy.divergences import divergence
from sel_jax.entropy.divergences import DIVERGENCES
from sel_jax.entropy.divergences import entropy
from sel_jax.entropy.divergences import hellinger
from sel_jax.entropy.divergences import jensen_shannon
from sel_jax.entropy.divergences import relative_entropy
from sel_jax.entropy.kernels import bin_mass
from sel_jax.entropy.kernels import Kernel
from sel_jax.entropy.kernels import KERNELS
from sel_jax.entropy.losses import distance_map
from sel_jax.entropy.losses import entropy_map
from sel_jax.entropy.losses import spatial_entropy
from sel_jax.entropy.losses import spatial_entropy_loss
from sel_jax.entropy.neighborhood import extract_patches
from sel_jax.entropy.neighborhood import neighbor_mean
from sel_jax.entropy.neighborhood import positive_weights
from sel_jax.entropy.neighborhood import reference_weights
from sel_jax.entropy.neighborhood import uniform_weights
from sel_jax.entropy.spec import EntropySpec
