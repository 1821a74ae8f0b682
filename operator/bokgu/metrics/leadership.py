"""Leadership: which process acts for a shard."""

from prometheus_client import Counter, Gauge

from bokgu.metrics.registry import REGISTRY

LEADER = Gauge(
    "bokgu_leader",
    "Whether this process acts for the shard: 0 stands by. It is told once everything is listed.",
    ["shard"],
    registry=REGISTRY,
)
LEASE_TRANSITIONS = Counter(
    "bokgu_lease_transitions",
    "Changes of the holder of the shard's Lease that this process saw or made.",
    ["shard"],
    registry=REGISTRY,
)
