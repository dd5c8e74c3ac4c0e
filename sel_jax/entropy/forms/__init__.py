"""Forms of the sum over all bins: the same numbers, other machines."""
