"""What Prometheus scrapes. Names follow Prometheus's rules: base units, `_total`, bounded labels."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

BUILD = Info("bokgu_build", "Version of the operator.", registry=REGISTRY)
INCIDENTS_OPENED = Counter(
    "bokgu_incidents_opened",
    "Incidents opened, by the kind of what opened them.",
    ["type", "severity", "source"],
    registry=REGISTRY,
)
INCIDENTS_ENDED = Counter(
    "bokgu_incidents_ended", "Incidents that were resolved or escalated.", ["type", "phase"], registry=REGISTRY
)
INCIDENTS_RECORDED = Counter(
    "bokgu_incidents_recorded", "Incidents whose history was stored.", ["type"], registry=REGISTRY
)
INCIDENTS_RETIRED = Counter(
    "bokgu_incidents_retired",
    "Resolved incidents that were deleted after their retention.",
    ["type"],
    registry=REGISTRY,
)
PLANS_CREATED = Counter("bokgu_plans_created", "Recovery plans created.", ["root_cause"], registry=REGISTRY)
AUTO_APPROVALS = Counter(
    "bokgu_auto_approvals", "Plans that a RecoveryPolicy let start without people.", registry=REGISTRY
)
EMERGENCY_OVERRIDES = Counter(
    "bokgu_emergency_overrides",
    "Plans that an emergency role approved alone, or let through closed change windows.",
    registry=REGISTRY,
)
EVENTS_FAILED = Counter(
    "bokgu_kubernetes_events_failed", "Kubernetes Events that could not be created.", registry=REGISTRY
)
HEARTBEATS = Counter(
    "bokgu_heartbeats", "Signs of life to the receiver outside, by what became of them.", ["result"], registry=REGISTRY
)
ALERT_DELIVERIES = Counter(
    "bokgu_alert_deliveries",
    "Tries to deliver alerts, by the name of the receiver and by what became of them.",
    ["receiver", "result"],
    registry=REGISTRY,
)
ALERTS_UNDECIDED = Counter(
    "bokgu_alerts_undecided", "Passes that could not decide on alerts and went on without.", registry=REGISTRY
)
TEMPLATES_BROKEN = Counter(
    "bokgu_alert_templates_broken", "Alerts sent in the built-in words, as a template was broken.", registry=REGISTRY
)
PLANS_BLOCKED = Counter(
    "bokgu_plans_blocked", "How often a gate began to hold a plan, by the gate.", ["gate"], registry=REGISTRY
)
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
AWS_HELD_BACK = Counter(
    "bokgu_aws_held_back_seconds",
    "Seconds for which calls waited so that the account's quota holds.",
    ["service", "operation"],
    registry=REGISTRY,
)
RECONCILE_SECONDS = Histogram(
    "bokgu_reconcile_duration_seconds", "Duration of a pass over one object.", ["resource"], registry=REGISTRY
)
RECONCILE_ERRORS = Counter(
    "bokgu_reconcile_errors", "Passes that ended with an error and are tried again.", ["resource"], registry=REGISTRY
)
STATUS_WRITES = Counter("bokgu_status_writes", "Status PUTs by result.", ["resource", "result"], registry=REGISTRY)
QUEUE_DEPTH = Gauge("bokgu_queue_depth", "Objects that wait for a worker.", registry=REGISTRY)
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
