"""What benchmarks share: timing, runs, baselines."""
