"""What Prometheus scrapes. Names follow Prometheus's rules: base units, `_total`, bounded labels."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

BUILD = Info("bokgu_build", "Version of the operator.", registry=REGISTRY)
INCIDENTS_OPENED = Counter(
    "bokgu_incidents_opened", "Incidents opened by detectors.", ["type", "severity"], registry=REGISTRY
)
INCIDENTS_ENDED = Counter(
    "bokgu_incidents_ended", "Incidents that were resolved or escalated.", ["type", "phase"], registry=REGISTRY
)
PLANS_CREATED = Counter("bokgu_plans_created", "Recovery plans created.", ["root_cause"], registry=REGISTRY)
PLANS_FINISHED = Counter("bokgu_plans_finished", "Recovery plans that ended.", ["phase"], registry=REGISTRY)
STEPS_FINISHED = Counter(
    "bokgu_steps_finished",
    "Steps that ended, undo of a step counted apart.",
    ["action", "kind", "phase"],
    registry=REGISTRY,
)
AWS_REQUESTS = Counter(
    "bokgu_aws_requests", "AWS calls by their result code.", ["service", "operation", "code"], registry=REGISTRY
)
AWS_SECONDS = Histogram(
    "bokgu_aws_request_duration_seconds", "Duration of AWS calls.", ["service", "operation"], registry=REGISTRY
)
RECONCILE_SECONDS = Histogram(
    "bokgu_reconcile_duration_seconds", "Duration of a pass over one object.", ["resource"], registry=REGISTRY
)
RECONCILE_ERRORS = Counter(
    "bokgu_reconcile_errors", "Passes that ended with an error and are tried again.", ["resource"], registry=REGISTRY
)
STATUS_WRITES = Counter("bokgu_status_writes", "Status PUTs by result.", ["resource", "result"], registry=REGISTRY)
QUEUE_DEPTH = Gauge("bokgu_queue_depth", "Objects that wait for a worker.", registry=REGISTRY)
