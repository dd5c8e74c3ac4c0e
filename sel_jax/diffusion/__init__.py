"""Mean-reverting diffusion: schedules, SDEs, objectives, samplers."""

from sel_jax.diffusion.objectives import objective_pair
from sel_jax.diffusion.objectives import OBJECTIVES
from sel_jax.diffusion.predictions import PREDICTIONS
from sel_jax.diffusion.samplers import sample
from sel_jax.diffusion.samplers import SAMPLERS
from sel_jax.diffusion.schedules import SCHEDULES
from sel_jax.diffusion.sde import DenoisingSDE
from sel_jax.diffusion.sde import IRSDE
from sel_jax.diffusion.sde import SDES
from sel_jax.diffusion.sde import SDESpec
from sel_jax.diffusion.times import GRIDS
from sel_jax.diffusion.times import log_snr
from sel_jax.diffusion.times import log_snr_grid
from sel_jax.diffusion.times import time_grid
