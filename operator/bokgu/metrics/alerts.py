"""Alerts: what became of telling people."""

from prometheus_client import Counter

from bokgu.metrics.registry import REGISTRY

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
