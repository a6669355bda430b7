"""Measurements as ratios to a base timed in the same run: ``python -m benchmarks.NAME``."""
