"""Detection: how late looks at AWS are, and what they cost."""

from prometheus_client import Histogram

from bokgu.metrics.registry import REGISTRY

DETECTION_LAG = Histogram(
    "bokgu_detection_lag_seconds",
    "From when a cycle of looks was due to when all that it saw was handed out.",
    ["region"],
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60, 120, 300),
    registry=REGISTRY,
)
CYCLE_CALLS = Histogram(
    "bokgu_detection_cycle_calls",
    "AWS calls that one cycle of looks made.",
    ["region"],
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
    registry=REGISTRY,
)
