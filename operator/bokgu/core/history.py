"""History: what is kept of an incident that is over, and which incidents of the past are like a new one."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from statistics import median

from bokgu.api.fields import bounded, bounded_lines, format_decimal, format_duration, parse_duration
from bokgu.api.history import (
    MAX_SIGNATURE,
    ClassificationRecord,
    IncidentRecord,
    MetricRecord,
    Outcome,
    PlanRecord,
    StepRecord,
    clamp_minutes,
)
from bokgu.api.incident import Classification, EvidenceItem, Incident, IncidentPlan, SimilarIncidents
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.vocabulary import IncidentPhase, OperationPhase, PlanPhase, RootCause
from bokgu.core.dry_run import is_rehearsal

TYPE, CAUSE, SERVICE, EVIDENCE = 3.0, 4.0, 2.0, 3.0
"""What two incidents score for having each in common; evidence by the share of its words [experience]."""

ALIKE = 6.0
"""From this score on two incidents are similar: type and cause, cause and service, or type and service with a third of
the evidence. An unknown cause in common counts for nothing."""

MOST_ALIKE = 10
"""How many similar incidents are named, and give the median."""

_WORD = re.compile(r"(?<![\w.-])[^\W\d_][^\W\d]{3,62}(?![\w-])")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_EMPTY_WORDS = frozenset({"about", "after", "again", "been", "before", "from", "have", "into", "more", "none"}) | {
    "only", "since", "than", "that", "their", "there", "this", "were", "which", "while", "with", "service", "task",
    "tasks",
}  # fmt: skip
"""Words that say nothing about what is wrong."""


def build_record(incident: Incident, plans: Iterable[RecoveryPlan], environment: str) -> IncidentRecord:
    """What is kept of the incident. Of plans that are gone only that is known which the incident's status says."""
    spec, status = incident.spec, incident.status
    by_uid = {plan.metadata.uid: plan for plan in plans}
    found = status.classification
    return IncidentRecord(
        id=incident.metadata.uid,
        namespace=incident.metadata.namespace,
        name=incident.metadata.name,
        type=spec.type,
        severity=spec.severity,
        service=spec.service_ref.name,
        environment=environment,
        description=spec.description,
        metrics=tuple(MetricRecord(name=m.name, value=m.value) for m in spec.metrics),
        affected_resources=spec.affected_resources,
        root_cause=found.root_cause if found else None,
        new_revision_at_fault=found.new_revision_at_fault if found else None,
        classification=_classification(found) if found else None,
        signature=build_signature(found.evidence if found else (), spec.description, spec.service_ref.name),
        detected_at=detected_at(incident),
        resolved_at=status.resolved_at,
        resolution_minutes=_resolution_minutes(incident),
        outcome=_outcome(incident),
        plans=tuple(
            plan
            for entry in status.plans
            if (plan := _plan(by_uid[entry.uid]) if entry.uid in by_uid else _gone_plan(entry, found))
        ),
    )


def detected_at(incident: Incident) -> datetime:
    """When the trouble was seen. Raises ValueError for an object that the API server has not seen."""
    begun = incident.spec.detected_at or incident.metadata.creation_timestamp
    if begun is None:
        raise ValueError(f"incident {incident.metadata.name} has no time: the API server gives it one")
    return begun


def is_same_incident(known: IncidentRecord, record: IncidentRecord) -> bool:
    """Whether two records of different ids are of one incident, which was restored from a backup in between."""

    def identify(one: IncidentRecord) -> tuple[object, ...]:
        return one.name, one.service, one.type, one.detected_at.replace(microsecond=0)

    return known.resolved_at is not None and known.id != record.id and identify(known) == identify(record)


def build_signature(evidence: Iterable[EvidenceItem], description: str, service: str) -> tuple[str, ...]:
    """The words by which evidence is compared: sources as `@source`, and words of the facts and the description
    without names, numbers and ids, which differ each time. Sorted."""
    items = tuple(evidence)
    words: dict[str, None] = {f"@{bounded(item.source.lower(), 62)}": None for item in items}
    for text in (*(item.fact for item in items), description):
        for word in _WORD.findall(text.lower()):
            if word not in _EMPTY_WORDS and word != service:
                words[word] = None
    return tuple(sorted(tuple(words)[:MAX_SIGNATURE]))


def find_similar(
    incident: Incident, root_cause: RootCause, evidence: Iterable[EvidenceItem], records: Iterable[IncidentRecord]
) -> SimilarIncidents:
    """How many incidents of the past are like this one, how long they took, and the names of the most alike."""
    ranked = rank_similar(incident, root_cause, evidence, records)
    lengths = [
        float(clamp_minutes(r.resolution_minutes)) for r in ranked[:MOST_ALIKE] if r.resolution_minutes is not None
    ]
    names = (r.name or r.id for r in ranked)
    return SimilarIncidents(
        count=len(ranked),
        median_resolution=format_duration(timedelta(minutes=max(0.0, median(lengths)))) if lengths else None,
        names=tuple(name for name in names if len(name) <= 253 and _NAME.fullmatch(name))[:MOST_ALIKE],
    )


def rank_similar(
    incident: Incident, root_cause: RootCause, evidence: Iterable[EvidenceItem], records: Iterable[IncidentRecord]
) -> tuple[IncidentRecord, ...]:
    """The incidents of the past that are like this one, the most alike first, of equals the newest. Deterministic: the
    order in which they come plays no part."""
    signature = build_signature(evidence, incident.spec.description, incident.spec.service_ref.name)
    known = {record.id: record for record in sorted(records, key=_order) if record.id != incident.metadata.uid}
    scored = [(score_likeness(incident, root_cause, signature, record), record) for record in known.values()]
    alike = [(score, record) for score, record in scored if score >= ALIKE and record.resolved_at is not None]
    alike.sort(key=lambda pair: (-pair[0], -pair[1].detected_at.timestamp(), pair[1].id))
    return tuple(record for _, record in alike)


def score_likeness(
    incident: Incident, root_cause: RootCause, signature: Sequence[str], record: IncidentRecord
) -> float:
    """How alike the two are: 0 for nothing in common."""
    same_cause = record.root_cause == root_cause and root_cause is not RootCause.UNKNOWN
    mine, theirs = set(signature), set(record.signature)
    shared = len(mine & theirs) / len(mine | theirs) if mine and theirs else 0.0
    return (
        TYPE * (record.type is incident.spec.type)
        + CAUSE * same_cause
        + SERVICE * (record.service == incident.spec.service_ref.name)
        + EVIDENCE * round(shared, 3)
    )


def _order(record: IncidentRecord) -> tuple[int, str]:
    """Two records of one incident: the one that knows more comes last, and counts."""
    return (len(record.signature) + len(record.plans), repr(record.to_dict()))


def _resolution_minutes(incident: Incident) -> str | None:
    end = incident.status.mitigated_at or incident.status.resolved_at
    if end is None or incident.status.resolved_at is None:
        return None
    return format_decimal(max(timedelta(), end - detected_at(incident)) / timedelta(minutes=1))


def _outcome(incident: Incident) -> Outcome:
    status = incident.status
    if status.phase is not IncidentPhase.RESOLVED:
        return Outcome.ESCALATED
    if status.reason == Outcome.RECOVERED:
        return Outcome.RECOVERED
    completed = any(entry.outcome is PlanPhase.COMPLETED for entry in status.plans)
    return Outcome.RELAPSED if completed else Outcome.CLEARED


def _classification(found: Classification) -> ClassificationRecord:
    minutes = parse_duration(found.estimated_resolution_time) / timedelta(minutes=1)
    return ClassificationRecord(
        category=found.category,
        impact_level=found.impact_level,
        required_actions=found.required_actions,
        priority=found.priority,
        estimate_minutes=max(1, round(minutes)),
    )


def _plan(plan: RecoveryPlan) -> PlanRecord:
    status, reference = plan.status, plan.spec.runbook_ref
    return PlanRecord(
        id=plan.metadata.uid,
        runbook=bounded(reference.name) if reference else None,
        root_cause=plan.spec.preconditions.root_cause,
        outcome=status.phase,
        # What was verified in a plan that ended as a dry run says nothing about the plan.
        verdict=None
        if is_rehearsal(status)
        else next((step.verdict for step in reversed(status.steps) if step.verdict), None),
        started_at=status.started_at,
        finished_at=status.finished_at,
        steps=tuple(
            StepRecord(
                action=spec.action,
                status=step.phase,
                undone=step.rollback is not None and step.rollback.phase is OperationPhase.COMPLETED,
                started_at=step.started_at,
                finished_at=step.finished_at,
                output=bounded_lines(step.output or "", 300),
            )
            for spec, step in zip(plan.spec.steps, status.steps, strict=False)
        ),
        metrics=tuple(
            MetricRecord(name=m.name, value=m.before, after=m.after) for m in status.metrics if m.before is not None
        ),
    )


def _gone_plan(entry: IncidentPlan, found: Classification | None) -> PlanRecord:
    return PlanRecord(
        id=entry.uid,
        root_cause=found.root_cause if found else None,
        outcome=entry.outcome or PlanPhase.CANCELLED,
        started_at=entry.started_at,
    )
