"""Photographs: files, pairs, degradations, training batches."""

from sel_jax.data.augmentations import Augmentation
from sel_jax.data.degradations import darken
from sel_jax.data.degradations import LowLight
from sel_jax.data.images import read_image
from sel_jax.data.images import to_float
from sel_jax.data.images import to_uint8
from sel_jax.data.images import write_image
from sel_jax.data.photos import DataSpec
from sel_jax.data.photos import open_photos
from sel_jax.data.photos import Photo
from sel_jax.data.pipeline import LoaderSpec
from sel_jax.data.pipeline import TrainingData
from sel_jax.data.sources import find_pairs
from sel_jax.data.sources import Pair
