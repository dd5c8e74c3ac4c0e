"""Pairs of photographs: folders, splits, degradations, training batches."""

from sel_jax.data.augment import AugmentSpec
from sel_jax.data.cache import CacheSpec
from sel_jax.data.degrade import darken
from sel_jax.data.degrade import LowLight
from sel_jax.data.folders import FilePair
from sel_jax.data.folders import find_pairs
from sel_jax.data.pairs import open_pairs
from sel_jax.data.pairs import PairsSpec
from sel_jax.data.pipeline import LoaderSpec
from sel_jax.data.pipeline import TrainingData
from sel_jax.data.sequences import Pair
from sel_jax.data.sequences import Pairs
