"""Classification: a diagnosis and the state of the service to impact, priority and what can help."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from bokgu.api.fields import bounded, format_duration
from bokgu.api.incident import Classification, Incident, SimilarIncidents
from bokgu.api.observed import EcsService
from bokgu.api.protected_service import ProtectedService, RecentStop
from bokgu.api.runbook import Runbook
from bokgu.api.vocabulary import Confidence, IncidentType, RootCause, Severity
from bokgu.core.diagnosis import Diagnosis
from bokgu.core.runbooks import choose_runbook, estimate_resolution, first_write

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
PRODUCTION = "production"
"""The environment whose incidents matter most."""

_ONE_WORSE = {
    Severity.LOW: Severity.MEDIUM,
    Severity.MEDIUM: Severity.HIGH,
    Severity.HIGH: Severity.HIGH,
    Severity.CRITICAL: Severity.CRITICAL,
}
PRIORITIES = {Severity.CRITICAL: 1, Severity.HIGH: 2, Severity.MEDIUM: 3, Severity.LOW: 4}
PERSON_ESTIMATE = timedelta(hours=1)
"""What an incident usually takes when only a person can help [experience]."""

TELL_AGAIN = 5
"""Minutes after which a cause may be told anew, and each time for twice as long: metrics and logs that were late are
there by then, and few calls go to trouble that stays [experience]."""
UNSURE = 30
"""Minutes from the beginning of the trouble for which a cause that is not known or not sure is told again: by then all
sources have spoken, and what they show later may be another matter [experience]."""


def classify_incident(
    incident: Incident,
    diagnosis: Diagnosis,
    protected_service: ProtectedService,
    service: EcsService | None,
    similar: SimilarIncidents,
    *,
    runbooks: Iterable[Runbook],
    dependents: int = 0,
    told_at: datetime | None = None,
) -> Classification:
    """Combine what is wrong with how much it matters. Deterministic: same facts, same classification.

    `dependents` counts the ProtectedServices that depend on this one. `told_at` is now.
    """
    environment = protected_service.spec.environment
    runbook = choose_runbook(
        runbooks,
        incident_type=incident.spec.type,
        root_cause=diagnosis.root_cause,
        new_revision_at_fault=diagnosis.new_revision_at_fault,
        traits=diagnosis.traits,
        labels=protected_service.metadata.labels,
        environment=environment,
        named=protected_service.spec.runbooks,
    )
    helps = runbook is not None and first_write(runbook) is not None
    impact = classify_impact(incident.spec.severity, service, environment=environment, dependents=dependents)
    less_urgent = environment != PRODUCTION
    estimate = (runbook and estimate_resolution(runbook)) or PERSON_ESTIMATE
    return Classification(
        category=CATEGORIES[diagnosis.root_cause],
        root_cause=diagnosis.root_cause,
        new_revision_at_fault=diagnosis.new_revision_at_fault,
        confidence=diagnosis.confidence,
        deployment_id=service.primary.id if service and service.primary else None,
        told_at=told_at,
        environment=environment,
        traits=diagnosis.traits,
        evidence=diagnosis.evidence,
        ruled_out=tuple(bounded(line) for line in diagnosis.ruled_out[:8]),
        impact_level=impact,
        required_actions=tuple(step.action for step in runbook.spec.steps)[:8] if runbook and helps else ("manual",),
        priority=PRIORITIES[impact] + less_urgent,
        estimated_resolution_time=similar.median_resolution or format_duration(estimate),
        similar_incidents=similar,
    )


def is_outdated(classification: Classification, service: EcsService) -> bool:
    """Whether ECS has begun another deployment since: what is true of one revision is not of the next. Where ECS names
    no deployment that cannot be told."""
    return service.primary is not None and classification.deployment_id != service.primary.id


def tell_again_at(
    classification: Classification, incident: Incident, stops: Iterable[RecentStop], minute: timedelta
) -> datetime | None:
    """From when on the cause is told anew though no deployment has begun since; None: not as it is now.

    That is where there is more to know: a task has ended by itself since it was told (a leak shows when one is killed,
    long after memory was short), or it was not known, or not sure. Corrupted data is not told away: a person looks.
    `minute` is how long a minute is.
    """
    told_at = classification.told_at
    if told_at is None or incident.spec.type is IncidentType.DATA_CORRUPTION:
        return None
    begun = seen_at(incident) or told_at
    due = told_at + max(TELL_AGAIN * minute, told_at - begun)
    if any(stop.at > told_at for stop in stops):
        return due
    unsure = classification.root_cause is RootCause.UNKNOWN or classification.confidence is Confidence.LOW
    return due if unsure and due <= begun + UNSURE * minute else None


def seen_at(incident: Incident) -> datetime | None:
    """When the trouble was seen; where it came back, when it last did."""
    begun = incident.spec.detected_at or incident.metadata.creation_timestamp
    last = incident.status.last_seen_at
    return max(begun, last) if begun and last else begun


def classify_impact(
    severity: Severity, service: EcsService | None, *, environment: str = PRODUCTION, dependents: int = 0
) -> Severity:
    """The declared severity, raised by what is lost and by who needs it; never lowered.

    All tasks lost is critical, half of them high; outside production both are high at most. A service that others
    depend on is one level worse, up to high.
    """
    worst = severity
    if service and service.desired_count:
        if service.running_count == 0:
            worst = Severity.CRITICAL if environment == PRODUCTION else Severity.HIGH
        elif service.running_count * 2 <= service.desired_count:
            worst = Severity.HIGH
    raised = (severity, worst, _ONE_WORSE[severity]) if dependents else (severity, worst)
    return max(raised, key=lambda level: level.rank)
