"""What people must be told of a plan, as Events and counts: transitions only."""

from dataclasses import dataclass

from bokgu.api.incident import IncidentStatus
from bokgu.api.meta import Gate, TimelineEntry, find_condition, is_true
from bokgu.api.recovery_plan import RecoveryPlanStatus
from bokgu.core.approval.tally import EMERGENCY_OVERRIDE
from bokgu.core.guards.people import closed_gates
from bokgu.core.proof import awaits_confirmation
from bokgu.core.timeline import RECURRED, RELAPSED, REVERTED

APPROVED = "Approved"
BLOCKED = "Blocked"
UNBLOCKED = "Unblocked"

_WARNINGS = frozenset(
    {"Escalated", "StepFailed", "UndoFailed", "Rejected", EMERGENCY_OVERRIDE, RECURRED, RELAPSED, REVERTED}
)
"""Events of the timeline that somebody should look at."""


@dataclass(frozen=True)
class Announcement:
    """One Event (events.k8s.io/v1): `reason` in one CamelCase word, `note` for people."""

    reason: str
    note: str
    warning: bool = False


def announce_incident(old: IncidentStatus, new: IncidentStatus) -> tuple[Announcement, ...]:
    """What has been added to the timeline of an incident. Trouble that begins again is told in the same words each
    time, so that it is one Event with a count."""
    known = {(entry.event, entry.message) for entry in old.timeline}
    return tuple(
        Announcement(entry.event, _words(entry), warning=entry.event in _WARNINGS)
        for entry in new.timeline
        if (entry.event, entry.message) not in known
    )


def _words(entry: TimelineEntry) -> str:
    return "the trouble began again" if entry.event == RECURRED else entry.message or entry.event


def announce_approvals(old: RecoveryPlanStatus, new: RecoveryPlanStatus) -> tuple[Announcement, ...]:
    """What has changed about the approvals of a plan: they are needed, given, taken back, or stood in for."""
    said = find_condition(new.conditions, APPROVED)
    was, now = is_true(old.conditions, APPROVED), is_true(new.conditions, APPROVED)
    found: list[Announcement] = []
    if new.approval_request and not old.approval_request and not was:
        found.append(Announcement("ApprovalNeeded", new.approval_request))
    waiting = _find_waiting(new)
    if waiting is not None and waiting != _find_waiting(old) and new.approval_request:
        found.append(Announcement("ConfirmationNeeded", new.approval_request))
    before = find_condition(old.conditions, APPROVED)
    if said and now and (not was or (before and before.reason != said.reason)):
        found.append(Announcement(said.reason, said.message, warning=said.reason == EMERGENCY_OVERRIDE))
    override = _find_override(new)
    if override and not _find_override(old) and not (said and said.reason == EMERGENCY_OVERRIDE):
        found.append(Announcement(EMERGENCY_OVERRIDE, f"{override.name}: {override.value}", warning=True))
    if said and was and not now:
        found.append(Announcement("ApprovalWithdrawn", said.message, warning=True))
    return tuple(found)


def announce_block(old: RecoveryPlanStatus, new: RecoveryPlanStatus) -> Announcement | None:
    """Which gate holds the plan now, or that none does any more; None where nothing of that has changed."""
    before, now = find_condition(old.conditions, BLOCKED), find_condition(new.conditions, BLOCKED)
    was_held, held = is_true(old.conditions, BLOCKED), is_true(new.conditions, BLOCKED)
    if now and held and (not was_held or (before and before.reason != now.reason)):
        return Announcement(BLOCKED, f"{now.reason}: {now.message}", warning=True)
    if before and was_held and not held and not new.phase.terminal:
        return Announcement(UNBLOCKED, f"{before.reason} holds it no more")
    return None


def newly_closed(old: RecoveryPlanStatus, new: RecoveryPlanStatus) -> tuple[str, ...]:
    """Names of the gates that hold the plan now and did not before, but for missing approvals: all of them, in order. A
    gate that was not asked held nothing."""
    before = {gate.name for gate in closed_gates(old.gates)}
    return tuple(gate.name for gate in list_holding(new) if gate.name not in before)


def list_holding(status: RecoveryPlanStatus) -> tuple[Gate, ...]:
    """The gates that hold a plan now, but for missing approvals; none where it is over."""
    return () if status.phase.terminal else closed_gates(status.gates)


def _find_override(status: RecoveryPlanStatus) -> Gate | None:
    """The closed gate that a person lets the plan through."""
    return next((gate for gate in status.gates if gate.passed and gate.reason == EMERGENCY_OVERRIDE), None)


def _find_waiting(status: RecoveryPlanStatus) -> str | None:
    """The step that waits for a person to confirm it."""
    return next((step.name for step in status.steps if awaits_confirmation(step)), None)
