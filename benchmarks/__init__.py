"""Measurements that anyone can run: one file a question."""
