"""The same run many times, one thing changed."""
