"""Photographs: files, pairs, degradations, training batches."""
