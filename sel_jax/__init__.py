"""Low-light enhancement by diffusion with differentiable spatial entropy."""

__version__ = '0.1.0'
