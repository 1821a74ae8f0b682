"""The operator's own work: passes over objects, and what it writes to the API server."""

from prometheus_client import Counter, Histogram

from bokgu.metrics.registry import REGISTRY

RECONCILE_SECONDS = Histogram(
    "bokgu_reconcile_duration_seconds", "Duration of a pass over one object.", ["resource"], registry=REGISTRY
)
RECONCILE_ERRORS = Counter(
    "bokgu_reconcile_errors", "Passes that ended with an error and are tried again.", ["resource"], registry=REGISTRY
)
STATUS_WRITES = Counter(
    "bokgu_status_writes",
    "Status PUTs by result: OK, or the API server's reason, such as Conflict.",
    ["resource", "result"],
    registry=REGISTRY,
)
EVENTS_FAILED = Counter(
    "bokgu_kubernetes_events_failed", "Kubernetes Events that could not be created.", registry=REGISTRY
)
HEARTBEATS = Counter(
    "bokgu_heartbeats", "Signs of life to the receiver outside, by what became of them.", ["result"], registry=REGISTRY
)
