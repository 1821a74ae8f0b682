"""What comes through the doors: events, alarms and alerts."""

from prometheus_client import Counter, Histogram

from bokgu.metrics.registry import REGISTRY

EVENTS = Counter(
    "bokgu_events",
    "Events, alarms and alerts by the door they came through and what came of them.",
    ["door", "result"],
    registry=REGISTRY,
)
EVENT_AGE = Histogram(
    "bokgu_event_age_seconds",
    "Seconds from when a message was sent to its queue to when all that it says is stored.",
    ["door"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 1800),
    registry=REGISTRY,
)
