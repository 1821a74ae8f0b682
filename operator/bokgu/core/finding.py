"""A finding: trouble that somebody saw, in the shape of the Incident that it opens."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from bokgu.api.incident import Incident, IncidentMetric, IncidentSource, IncidentSpec
from bokgu.api.meta import NameReference, ObjectMeta
from bokgu.api.redaction import redact_quote
from bokgu.api.vocabulary import IncidentType, Severity


@dataclass(frozen=True)
class Finding:
    """Trouble of one service, whichever door it came through.

    `metrics` holds measured values only; `at` is when the trouble was seen by whoever saw it, `begun` when it had begun
    by what was seen, where that tells.
    """

    namespace: str
    service: str
    type: IncidentType
    severity: Severity
    source: IncidentSource
    description: str
    at: datetime
    metrics: tuple[IncidentMetric, ...] = ()
    resources: tuple[str, ...] = ()
    begun: datetime | None = None


def fingerprint(service: str, type_: IncidentType) -> str:
    """Same trouble, same fingerprint: one open incident per service and type."""
    return hashlib.sha256(f"{service}|{type_}".encode()).hexdigest()[:16]


def incident_name(service: str, type_: IncidentType, previous_uid: str) -> str:
    """Name of the incident that follows the one with that uid ("" for the first).

    Everybody who sees the same trouble at the same time computes the same name, so the API server's 409 removes the
    duplicates.
    """
    suffix = hashlib.sha256(f"{fingerprint(service, type_)}|{previous_uid}".encode()).hexdigest()[:8]
    return f"{service[:200].rstrip('-.')}-{type_.replace('_', '-')}-{suffix}"


def build_incident(finding: Finding, previous_uid: str) -> Incident:
    """The Incident that a finding opens, after the one with that uid."""
    return Incident(
        kind=Incident.kind_name,
        metadata=ObjectMeta(
            name=incident_name(finding.service, finding.type, previous_uid), namespace=finding.namespace
        ),
        spec=IncidentSpec(
            type=finding.type,
            severity=finding.severity,
            service_ref=NameReference(name=finding.service),
            description=redact_quote(finding.description),
            metrics=finding.metrics,
            affected_resources=finding.resources,
            detected_at=finding.at,
            source=finding.source,
        ),
    )
