"""Experiments as configurations."""
