"""Alertmanager's webhook: the body of a notification to what its alerts say.

Shape: "webhook_config" (Prometheus Alertmanager documentation), version 4. Labels route an alert: they are what the
rule's author decides on, and Alertmanager keeps them as they are.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, Field

from bokgu.api.fields import bounded, format_decimal
from bokgu.api.incident import IncidentMetric, IncidentSource
from bokgu.api.own_patterns import OwnPatterns
from bokgu.api.redaction import redact_quote
from bokgu.api.vocabulary import DetectionState, IncidentType, Severity, SourceKind
from bokgu.core.event import Moment, WireModel, read_json, read_model
from bokgu.core.finding import Finding
from bokgu.core.statement import Statement

SERVICE, TYPE, NAMESPACES = "bokgu_service", "bokgu_type", ("bokgu_namespace", "namespace")
"""Labels that route an alert; of the two for the namespace the first one counts."""
VALUE, THRESHOLD, UNIT = "bokgu_value", "bokgu_threshold", "bokgu_unit"
"""Annotations with what was measured."""

SEVERITIES: Mapping[str, Severity] = {
    "critical": Severity.CRITICAL,
    "page": Severity.CRITICAL,
    "high": Severity.HIGH,
    "error": Severity.HIGH,
    "medium": Severity.MEDIUM,
    "warning": Severity.MEDIUM,
    "low": Severity.LOW,
    "info": Severity.LOW,
    "none": Severity.LOW,
}
"""What the usual values of the label `severity` mean; any other, or none, is high, as with alarms."""


class Alert(WireModel):
    """One alert. `ends_at` means something for resolved ones only."""

    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    annotations: dict[str, str] = Field(default_factory=dict)
    starts_at: Moment
    ends_at: AwareDatetime
    fingerprint: str = Field(min_length=1, max_length=63)

    @property
    def name(self) -> str:
        """The alert's name; Prometheus gives one to every alert, others may not."""
        return bounded(self.labels.get("alertname") or "alert", 255)


class Notification(WireModel):
    """The body of one request."""

    version: Literal["4"]
    alerts: tuple[Alert, ...] = Field(max_length=10_000)
    truncated_alerts: int = 0


@dataclass(frozen=True)
class Unroutable:
    """An alert that does not say, or says wrongly, what it is about."""

    alert: str
    reason: str


def parse_notification(body: bytes) -> Notification:
    """Read the body of a request. Raises MalformedMessage."""
    return read_model(Notification, read_json(body), "not a notification of Alertmanager, version 4")


def build_statement(
    alert: Alert,
    now: datetime,
    own: OwnPatterns = OwnPatterns(),  # noqa: B008 - it is frozen
) -> Statement | Unroutable:
    """What the alert says, about the service that its labels name; whether that exists is for the caller to see. What
    `own` patterns match is hidden in its annotations; labels are names, and stay."""
    labels = alert.labels
    service, namespace = labels.get(SERVICE), next((labels[n] for n in NAMESPACES if labels.get(n)), None)
    if not service:
        return Unroutable(alert.name, f"it has no label {SERVICE}")
    if namespace is None:
        return Unroutable(alert.name, f"it has neither label {' nor '.join(NAMESPACES)}")
    try:
        type_ = IncidentType(labels.get(TYPE, ""))
    except ValueError:
        wanted, given = ", ".join(IncidentType), labels.get(TYPE)
        said = redact_quote(own.hide(given or "missing"))
        return Unroutable(alert.name, f"its label {TYPE} is {said}, and must be one of {wanted}")
    firing = alert.status == "firing"
    finding = Finding(
        namespace=namespace,
        service=service,
        type=type_,
        severity=SEVERITIES.get(labels.get("severity", "").lower(), Severity.HIGH),
        # The same rule fires for several label sets, which begin and end apart: the fingerprint tells them apart.
        source=IncidentSource(kind=SourceKind.ALERTMANAGER, name=alert.name, condition=alert.fingerprint),
        description=_describe(alert, own),
        at=min(alert.starts_at if firing else max(alert.starts_at, alert.ends_at), now),
        metrics=_measured(alert, own),
    )
    return Statement(finding, DetectionState.FIRING if firing else DetectionState.CLEAR, repeats=True)


def _describe(alert: Alert, own: OwnPatterns) -> str:
    texts = (own.hide(alert.annotations.get(name, "")) for name in ("summary", "description", "message"))
    text = "; ".join(dict.fromkeys(text for text in texts if text))
    return f"alert {alert.name}: {text}" if text else f"alert {alert.name}"


def _measured(alert: Alert, own: OwnPatterns) -> tuple[IncidentMetric, ...]:
    """What the annotations say was measured, if both value and threshold are numbers."""
    numbers = (_number(alert.annotations.get(name)) for name in (VALUE, THRESHOLD))
    value, threshold = numbers
    if value is None or threshold is None:
        return ()
    unit = bounded(redact_quote(own.hide(alert.annotations.get(UNIT) or "None")), 63)
    return (IncidentMetric(name=bounded(alert.name, 63), value=value, unit=unit, threshold=threshold),)


def _number(text: str | None) -> str | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return format_decimal(value) if math.isfinite(value) else None
