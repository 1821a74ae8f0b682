"""Classification: a diagnosis and the state of the service to impact, priority and what can help."""

from collections.abc import Iterable
from datetime import timedelta
from statistics import median

from bokgu.api.fields import format_duration
from bokgu.api.incident import Classification, Incident, SimilarIncidents
from bokgu.api.observed import EcsService
from bokgu.api.protected_service import ProtectedService
from bokgu.api.vocabulary import RootCause, Severity
from bokgu.core.diagnosis import Diagnosis
from bokgu.core.runbooks import choose_runbook

CATEGORIES = {
    RootCause.BAD_DEPLOYMENT: "Deployment",
    RootCause.IMAGE_PULL_FAILURE: "Configuration",
    RootCause.OUT_OF_MEMORY: "Application",
    RootCause.APPLICATION_CRASH: "Application",
    RootCause.HEALTH_CHECK_FAILURE: "Application",
    RootCause.CAPACITY_UNAVAILABLE: "Capacity",
    RootCause.SECRET_OR_CONFIG_FAILURE: "Configuration",
    RootCause.NETWORK_FAILURE: "Network",
    RootCause.PERMISSION_DENIED: "Configuration",
    RootCause.CPU_SATURATION: "Capacity",
    RootCause.MEMORY_SATURATION: "Capacity",
    RootCause.TRAFFIC_SURGE: "Capacity",
    RootCause.DEPENDENCY_FAILURE: "Dependency",
    RootCause.THROTTLED: "Dependency",
    RootCause.DISK_EXHAUSTED: "Capacity",
    RootCause.HOST_OR_SPOT_INTERRUPTION: "Platform",
    RootCause.HUMAN_ACTION: "Human",
    RootCause.DATA_CORRUPTION: "Data",
    RootCause.UNKNOWN: "Unknown",
}
"""Who usually has to do with it, in one word."""
PRIORITIES = {Severity.CRITICAL: 1, Severity.HIGH: 2, Severity.MEDIUM: 3, Severity.LOW: 4}
PERSON_ESTIMATE = timedelta(hours=1)
"""What an incident usually takes when only a person can help [experience]."""


def classify_incident(
    incident: Incident,
    diagnosis: Diagnosis,
    protected_service: ProtectedService,
    service: EcsService | None,
    similar: Iterable[Incident],
) -> Classification:
    """Combine what is wrong with how much it matters. Deterministic: same facts, same classification."""
    runbook = choose_runbook(diagnosis.root_cause, diagnosis.new_revision_at_fault)
    impact = classify_impact(incident.spec.severity, service)
    less_urgent = protected_service.spec.environment != "production"
    past = find_similar(incident, diagnosis.root_cause, similar)
    estimate = runbook.estimate if runbook else PERSON_ESTIMATE
    return Classification(
        category=CATEGORIES[diagnosis.root_cause],
        root_cause=diagnosis.root_cause,
        new_revision_at_fault=diagnosis.new_revision_at_fault,
        confidence=diagnosis.confidence,
        evidence=diagnosis.evidence,
        impact_level=impact,
        required_actions=tuple(runbook.actions) if runbook else ("manual",),
        priority=PRIORITIES[impact] + less_urgent,
        estimated_resolution_time=past.median_resolution or format_duration(estimate),
        similar_incidents=past,
    )


def classify_impact(severity: Severity, service: EcsService | None) -> Severity:
    """The declared severity, raised by the share of tasks that is lost: half of them is high, all is critical."""
    impact = severity
    if service and service.desired_count:
        if service.running_count == 0:
            impact = Severity.CRITICAL
        elif service.running_count * 2 <= service.desired_count:
            impact = max(severity, Severity.HIGH, key=lambda s: s.rank)
    return impact


def find_similar(incident: Incident, root_cause: RootCause, others: Iterable[Incident]) -> SimilarIncidents:
    """Resolved incidents of the same type and cause, those of the same service first, then the newest."""
    found = [
        other
        for other in others
        if other.metadata.uid != incident.metadata.uid
        and other.spec.type is incident.spec.type
        and other.status.resolved_at
        and other.status.classification
        and other.status.classification.root_cause is root_cause
    ]
    found.sort(
        key=lambda o: (
            o.spec.service_ref.name != incident.spec.service_ref.name,
            -(o.status.resolved_at.timestamp() if o.status.resolved_at else 0),
        )
    )
    lengths = [
        (end - since).total_seconds()
        for o in found
        if (end := o.status.mitigated_at or o.status.resolved_at)  # Without the relapse watch.
        and (since := o.spec.detected_at or o.metadata.creation_timestamp)
    ]
    return SimilarIncidents(
        count=len(found),
        median_resolution=format_duration(timedelta(seconds=median(lengths))) if lengths else None,
        names=tuple(o.metadata.name for o in found[:10]),
    )
