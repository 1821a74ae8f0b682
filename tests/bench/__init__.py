"""Benchmarks: figures beside yardsticks measured in the same run. Nothing here is asserted as a time."""
