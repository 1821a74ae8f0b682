"""What a new status decides that the one before did not: the lines that the log has of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from bokgu.api.fields import format_timestamp
from bokgu.api.incident import Classification, IncidentStatus
from bokgu.api.meta import Gate
from bokgu.api.recovery_plan import Answer, OperationStatus, RecoveryPlanStatus
from bokgu.api.vocabulary import IncidentPhase, OperationPhase, PlanPhase
from bokgu.core.guards.people import closed_gates

_BAD = frozenset(
    {
        *(IncidentPhase.ESCALATED, PlanPhase.FAILED, PlanPhase.ROLLING_BACK, PlanPhase.ROLLBACK_FAILED),
        OperationPhase.FAILED,
    }
)
"""Phases that somebody should look at."""


@dataclass(frozen=True)
class Change:
    """One decision, with its facts by name."""

    event: str
    facts: Mapping[str, str | int | bool | None] = field(default_factory=dict)
    warning: bool = False


def find_incident_changes(old: IncidentStatus, new: IncidentStatus) -> Iterator[Change]:
    """What was decided on an incident."""
    told, was = new.classification, old.classification
    if told and (was is None or _cause(told) != _cause(was)):
        yield Change("cause told", _cause(told))
    known = {plan.uid for plan in old.plans}
    for plan in new.plans:
        if plan.uid not in known:
            yield Change("plan made", {"plan": plan.name, "runbook": plan.runbook})
    if new.occurrences > old.occurrences:
        yield Change("trouble began again", {"occurrences": new.occurrences}, warning=True)
    if (old.phase, old.reason) != (new.phase, new.reason):
        yield _phase("incident phase", old.phase, new.phase, new.reason)


def find_plan_changes(old: RecoveryPlanStatus, new: RecoveryPlanStatus) -> Iterator[Change]:
    """What was decided on a plan: its gates, AWS's answers, its steps, and the whole."""
    yield from _find_gates(old.gates, new.gates)
    before = {step.name: step for step in old.steps}
    for step in new.steps:
        was = before.get(step.name)
        yield from _find_operation("step", step.name, was, step)
        if step.rollback:
            yield from _find_operation("undo", step.name, was.rollback if was else None, step.rollback)
    if (old.phase, old.reason) != (new.phase, new.reason):
        yield _phase("plan phase", old.phase, new.phase, new.reason)


def _cause(told: Classification) -> dict[str, str | int | bool | None]:
    return {
        "root_cause": str(told.root_cause),
        "new_revision_at_fault": told.new_revision_at_fault,
        "confidence": str(told.confidence),
    }


def _find_gates(old: tuple[Gate, ...], new: tuple[Gate, ...]) -> Iterator[Change]:
    """Gates that have closed, or hold for another reason, and those that have opened. Where none was asked nothing is
    known of them."""
    before = {gate.name: gate for gate in closed_gates(old)}
    now = {gate.name: gate for gate in closed_gates(new)}
    for gate in now.values():
        if gate.name not in before or before[gate.name].reason != gate.reason:
            until = format_timestamp(gate.blocked_until) if gate.blocked_until else None
            facts = {"gate": gate.name, "reason": gate.reason, "value": gate.value, "limit": gate.limit, "until": until}
            yield Change("gate closed", facts, warning=True)
    asked = {gate.name for gate in new}
    for name in before:
        if name in asked and name not in now:
            yield Change("gate opened", {"gate": name})


def _find_operation(what: str, step: str, old: OperationStatus | None, new: OperationStatus) -> Iterator[Change]:
    if new.answer and (old is None or old.answer != new.answer):
        yield _answer(step, what, new, new.answer)
    was = old.phase if old else OperationPhase.PENDING
    if (was, old.reason if old else None) != (new.phase, new.reason):
        yield _phase(f"{what} phase", was, new.phase, new.reason, step=step)


def _answer(step: str, what: str, operation: OperationStatus, answer: Answer) -> Change:
    """What became of an AWS write. AWS's own words stay in status."""
    intent = operation.intent
    facts = {
        "step": step,
        "of": what,
        "operation": intent.request.operation if intent else None,
        "token": intent.token if intent else None,
        "result": answer.result,
    }
    return Change("aws write answered", facts, warning=answer.result not in {"Accepted", "Adopted"})


def _phase(event: str, was: str, now: str, reason: str | None, **facts: str) -> Change:
    return Change(event, {**facts, "was": str(was), "now": str(now), "reason": reason}, warning=now in _BAD)
