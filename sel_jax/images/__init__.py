"""Image files in and out: bytes, samples, what a file says besides."""
