"""Benchmarks: figures beside a yardstick measured in the same run. Nothing here is asserted as a time."""
