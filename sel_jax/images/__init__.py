"""Image files in and out: bytes, samples, what a file says besides."""

from sel_jax.images.codec import read_image
from sel_jax.images.codec import to_float
from sel_jax.images.codec import to_uint8
from sel_jax.images.codec import to_uint16
from sel_jax.images.codec import write_image
from sel_jax.images.metadata import Picture
from sel_jax.images.metadata import read_picture
from sel_jax.images.metadata import write_picture
