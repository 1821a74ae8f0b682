"""What people should be told of an incident and its current plan, and of a namespace: all that is so, in its order.

The outbox keeps what was told, so nothing depends on seeing the moment in which it became so.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from bokgu.api.fields import format_timestamp
from bokgu.api.incident import Incident, IncidentStatus
from bokgu.api.meta import ConditionStatus, OpenBreaker, find_condition
from bokgu.api.outbox import Outbox
from bokgu.api.recovery_plan import OperationStatus, RecoveryPlan
from bokgu.api.vocabulary import AlertKind, IncidentPhase, OperationPhase, PlanPhase, Severity
from bokgu.core.alerts.outbox import Notice
from bokgu.core.announcement import APPROVED
from bokgu.core.approval.tally import AUTO_APPROVED, EMERGENCY_OVERRIDE
from bokgu.core.dry_run import DRY_RUN
from bokgu.core.guards.protection import BREAKER_OPEN
from bokgu.core.proof import awaits_confirmation
from bokgu.core.steps import NOT_NEEDED
from bokgu.core.storm import Storm


@dataclass(frozen=True)
class Neighbourhood:
    """What stands around an incident. `storm` blows over its namespace; `tells_storm`: no policy can, so this incident
    does. `breaker` is that of its service, while it is open."""

    storm: Storm | None = None
    tells_storm: bool = False
    breaker: OpenBreaker | None = None


def worst_severity(incident: Incident, status: IncidentStatus) -> Severity:
    """The worst of declared severity and classified impact."""
    known = [incident.spec.severity, *([status.classification.impact_level] if status.classification else [])]
    return max(known, key=lambda severity: severity.rank)


def list_incident_notices(
    incident: Incident,
    status: IncidentStatus,
    plan: RecoveryPlan | None,
    around: Neighbourhood,
    *,
    outbox: Outbox,
    now: datetime,
) -> tuple[Notice, ...]:
    """`status` is the new one of the incident, `plan` the current one."""
    found = [] if status.phase is IncidentPhase.SUPPRESSED else list(_detected(incident, status, around, outbox, now))
    if around.storm and around.tells_storm:
        found.append(_storm(around.storm))
    if plan is not None:
        found += _of_plan(plan, now)
    mine = {entry.name for entry in status.plans}
    if around.breaker and mine & set(around.breaker.plans):
        found.append(_breaker(around.breaker))
    if status.phase is IncidentPhase.ESCALATED and status.reason:
        about = status.plans[-1] if status.plans else None
        found.append(
            Notice(
                key=f"{about.uid[:8] if about else 'unplanned'}/{AlertKind.ESCALATED}/{status.reason}",
                kind=AlertKind.BREAKER if status.reason == BREAKER_OPEN else AlertKind.ESCALATED,
                at=now,
                message=_explain(status),
                plan=about.name if about else None,
            )
        )
    if status.phase is IncidentPhase.RESOLVED and _was_told_of(outbox):
        kind = AlertKind.INCIDENT_RESOLVED
        found.append(Notice(str(kind), kind, status.resolved_at or now, _explain(status)))
    return tuple(found)


def list_namespace_notices(storm: Storm | None, breaker: OpenBreaker | None) -> tuple[Notice, ...]:
    """What a RecoveryPolicy tells for its namespace."""
    return (*([_storm(storm)] if storm else ()), *([_breaker(breaker)] if breaker else ()))


def must_ask_for_storm(outbox: Outbox | None) -> bool:
    """Whether a storm decides about the next alert: an incident that nobody was told of is part of it."""
    return outbox is None or not told_severities(outbox)


def told_severities(outbox: Outbox) -> tuple[Severity, ...]:
    """As how bad people were told of the incident: once, and when it became worse."""
    return tuple(s for s in Severity if f"{AlertKind.INCIDENT_DETECTED}/{s}" in outbox.told)


def _was_told_of(outbox: Outbox) -> bool:
    """Whether somebody heard of the incident itself, and not only of the storm that it is part of."""
    return any(not key.startswith(f"{AlertKind.STORM}/") for key in outbox.told)


def _explain(status: IncidentStatus) -> str:
    """The reason of the phase, and what its condition says of it."""
    said = find_condition(status.conditions, "Resolved")
    return ": ".join(part for part in (status.reason, said.message if said else "") if part)


def _detected(
    incident: Incident, status: IncidentStatus, around: Neighbourhood, outbox: Outbox, now: datetime
) -> Iterator[Notice]:
    """The incident, once and when it becomes worse; then its second, fourth, eighth occurrence, and so on."""
    kind, worst = AlertKind.INCIDENT_DETECTED, worst_severity(incident, status)
    told = told_severities(outbox)
    if status.phase is IncidentPhase.RESOLVED or (around.storm and not told):
        return
    if all(severity.rank < worst.rank for severity in told):
        begun = incident.spec.detected_at or incident.metadata.creation_timestamp or now
        yield Notice(f"{kind}/{worst}", kind, now if told else begun, incident.spec.description)
    if status.occurrences > 1:
        power = 1 << (status.occurrences.bit_length() - 1)
        yield Notice(f"Occurrence/{power}", kind, status.last_seen_at or now, incident.spec.description)


def _of_plan(plan: RecoveryPlan, now: datetime) -> Iterator[Notice]:
    status, name = plan.status, plan.metadata.name

    def notice(
        kind: AlertKind, at: datetime | None, message: str = "", step: str | None = None, of: str = ""
    ) -> Notice:
        key = "/".join(part for part in (plan.metadata.uid[:8], str(kind), of, step) if part)
        return Notice(key, kind, at or now, message, name, step)

    if status.approval_request and not status.phase.terminal:
        waiting = next((step.name for step in status.steps if awaits_confirmation(step)), None)
        yield notice(AlertKind.APPROVAL_NEEDED, None, step=waiting)
    said = find_condition(status.conditions, APPROVED)
    if said and said.reason == EMERGENCY_OVERRIDE:
        yield notice(AlertKind.OVERRIDE, said.last_transition_time, said.message)
    for gate in status.gates:
        if gate.passed and gate.reason == EMERGENCY_OVERRIDE:
            yield notice(AlertKind.OVERRIDE, None, f"{gate.name}: {gate.value or ''}", of=gate.name)
    if status.started_at:
        unusual = [
            condition.message
            for condition in status.conditions
            if condition.status is ConditionStatus.TRUE
            and (condition.type == DRY_RUN or condition.reason == AUTO_APPROVED)
        ]
        yield notice(AlertKind.RECOVERY_STARTED, status.started_at, "; ".join(unusual))
    failed: list[tuple[OperationStatus, str, str]] = [(s, "", s.name) for s in status.steps if _has_failed(s)]
    failed += [(s.rollback, "undo", s.name) for s in status.steps if s.rollback and _has_failed(s.rollback)]
    for operation, of, step in failed:
        what = "its undo failed: " if of else ""
        yield notice(AlertKind.STEP_FAILED, operation.finished_at, f"{what}{operation.output or ''}", step, of)
    ends = {PlanPhase.COMPLETED: AlertKind.RECOVERY_COMPLETED, PlanPhase.ROLLED_BACK: AlertKind.ROLLED_BACK}
    if status.phase in ends:
        yield notice(ends[status.phase], status.finished_at, status.reason or "")


def _has_failed(operation: OperationStatus) -> bool:
    """Whether it failed, also where the plan went on all the same."""
    unneeded = operation.reason in {DRY_RUN, NOT_NEEDED}
    return operation.phase is OperationPhase.FAILED or (operation.phase is OperationPhase.SKIPPED and not unneeded)


def _storm(storm: Storm) -> Notice:
    message = f"{storm.incidents} incidents at once: nothing new is planned or begun until it has been quiet"
    return Notice(f"{AlertKind.STORM}/{format_timestamp(storm.since)}", AlertKind.STORM, storm.since, message)


def _breaker(breaker: OpenBreaker) -> Notice:
    message = f"{', '.join(breaker.plans)} failed: find out why, then reset the breaker (spec.resetBreakerAt)"
    key = f"{AlertKind.BREAKER}/{format_timestamp(breaker.opened_at)}"
    return Notice(key, AlertKind.BREAKER, breaker.opened_at, message)
