"""The timeline of an incident: what happened to it and in its plans, oldest first."""

from datetime import datetime

from bokgu.api.fields import bounded
from bokgu.api.incident import Classification, Incident, IncidentStatus
from bokgu.api.meta import TimelineEntry, find_condition
from bokgu.api.protected_service import Reversal
from bokgu.api.recovery_plan import ApprovalStatus, OperationStatus, RecoveryPlan
from bokgu.api.vocabulary import Decision, IncidentPhase, OperationPhase
from bokgu.core.approval.tally import AUTO_APPROVED, EMERGENCY_OVERRIDE

MAX_TIMELINE = 64

RECURRED = "Recurred"
"""Event of the timeline: the trouble began again while the incident was open."""

RELAPSED = "Relapsed"
"""Event of the timeline, and reason of an incident, whose trouble came back after a plan that had completed."""


REVERTED = "Reverted"
"""Event of the timeline, of the plan, and condition of the incident: somebody has set back what a plan had set."""


def build_timeline(
    incident: Incident,
    status: IncidentStatus,
    plan: RecoveryPlan | None,
    *,
    now: datetime,
    message: str,
    reversal: Reversal | None = None,
) -> tuple[TimelineEntry, ...]:
    """The entries so far and what is new, in order of time: `status` is the new one, `message` explains its reason."""
    classification = status.classification
    begun = incident.spec.detected_at or incident.metadata.creation_timestamp or now
    old = incident.status.timeline
    entries = {(e.event, e.message): e for e in old}

    def note(at: datetime, event: str, text: str) -> None:
        if len(old) >= MAX_TIMELINE and at <= old[0].at:
            return  # It was there, and had to make room.
        entries.setdefault((event, bounded(text)), TimelineEntry(at=at, event=event, message=bounded(text)))

    note(begun, "Detected", incident.spec.description or incident.spec.type)
    told = incident.status.classification
    if classification and (told is None or _says_more(classification, told)):
        note(now, "Classified", describe_cause(classification))
    relapsed = {entry.uid for entry in incident.status.plans if entry.relapsed_at}
    for entry in status.plans:
        if entry.relapsed_at and entry.uid not in relapsed:
            note(now, RELAPSED, message)
    for number, entry in enumerate(status.plans):
        if number >= len(incident.status.plans):
            rung = "next rung" if number else "runbook"
            note(now, "Planned", f"{entry.name}: {rung} {entry.runbook}" if entry.runbook else entry.name)
    for item in plan_timeline(plan) if plan else ():
        note(item.at, item.event, item.message)
    if status.phase is IncidentPhase.ESCALATED:
        note(now, "Escalated", f"{status.reason}: {message}")
    if status.phase is IncidentPhase.RESOLVED:
        note(now, "Resolved", f"{status.reason}: {message}")
    if status.occurrences > incident.status.occurrences and status.last_seen_at:
        note(status.last_seen_at, RECURRED, f"occurrence {status.occurrences}")
    if reversal is not None:
        note(reversal.at, REVERTED, reversal.message)
    if status.phase is IncidentPhase.SUPPRESSED:
        note(now, "Suppressed", f"{status.reason}: {message}")
    ordered = sorted(entries.values(), key=lambda e: e.at)
    return tuple(ordered[-MAX_TIMELINE:])


def describe_cause(found: Classification) -> str:
    """The cause and what it rests on, in a line."""
    facts = "; ".join(item.fact for item in found.evidence)
    return f"{found.root_cause} ({found.confidence} confidence): {facts}"


def _says_more(found: Classification, told: Classification) -> bool:
    """Whether the cause is told of another deployment, or is another one: the same in other figures is no news."""
    return any(
        getattr(found, name) != getattr(told, name)
        for name in ("deployment_id", "root_cause", "new_revision_at_fault", "confidence", "traits")
    )


def plan_timeline(plan: RecoveryPlan) -> tuple[TimelineEntry, ...]:
    """What happened in a plan, oldest first."""
    status, name = plan.status, plan.metadata.name
    entries: list[tuple[datetime | None, str, str]] = [
        (a.at, _said(a), f"{a.approver} as {a.role} ({a.verified_by})" + (f": step {a.step}" if a.step else ""))
        for a in status.approvals
        if a.verified_by
    ]
    if status.started_at:
        entries.append((status.started_at, "RecoveryStarted", name))
    said = find_condition(status.conditions, "Approved")
    if said and said.reason in {EMERGENCY_OVERRIDE, AUTO_APPROVED}:
        entries.append((said.last_transition_time, said.reason, said.message))
    undone: list[tuple[datetime | None, str, str]] = []
    for step in status.steps:
        entries += _operation_entries("Step", step.name, step)
        if step.rollback:
            undone += _operation_entries("Undo", step.name, step.rollback)
    entries += sorted((e for e in undone if e[0]), key=lambda e: e[0] or datetime.max)
    if status.finished_at:
        entries.append((status.finished_at, f"Plan{status.phase}", f"{name}: {status.reason}"))
    return tuple(TimelineEntry(at=at, event=event, message=bounded(text)) for at, event, text in entries if at)


def _said(approval: ApprovalStatus) -> str:
    if approval.decision is Decision.REJECT:
        return "Rejected"
    return "Confirmed" if approval.step else "Approved"


def _operation_entries(what: str, name: str, operation: OperationStatus) -> list[tuple[datetime | None, str, str]]:
    entries: list[tuple[datetime | None, str, str]] = [(operation.started_at, f"{what}Started", name)]
    ends = {OperationPhase.COMPLETED: "Completed", OperationPhase.FAILED: "Failed", OperationPhase.SKIPPED: "Skipped"}
    if operation.phase in ends:
        entries.append((operation.finished_at, f"{what}{ends[operation.phase]}", f"{name}: {operation.output or ''}"))
    return entries
