"""What several tests share."""

from helpers import checker as checker  # for jaxtyping, which asks by path
