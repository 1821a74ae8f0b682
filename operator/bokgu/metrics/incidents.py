"""Incidents: what began, what ended, and how long its stages took."""

from prometheus_client import Counter, Histogram

from bokgu.metrics.registry import MINUTES, REGISTRY

INCIDENTS_OPENED = Counter(
    "bokgu_incidents_opened",
    "Incidents that the operator opened, by the kind of what made it do so.",
    ["type", "severity", "environment", "source"],
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
STAGE_SECONDS = Histogram(
    "bokgu_incident_stage_duration_seconds",
    "How long each stage of an incident took, once it is over.",
    ["stage", "type"],
    buckets=MINUTES,
    registry=REGISTRY,
)
INCIDENT_SECONDS = Histogram(
    "bokgu_incident_duration_seconds",
    "From when the trouble was seen to when its incident was resolved, with the relapse watch.",
    ["type"],
    buckets=MINUTES,
    registry=REGISTRY,
)
