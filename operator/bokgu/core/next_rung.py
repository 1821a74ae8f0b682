"""The next rung: whether another plan may follow one that did not end its incident, and what has been tried."""

from dataclasses import dataclass
from datetime import datetime

from bokgu.api.detector import Detection
from bokgu.api.incident import Classification, Incident, IncidentPlan
from bokgu.api.meta import is_true
from bokgu.api.recovery_plan import RecoveryPlan, Step, StepParameters
from bokgu.api.vocabulary import Action, DetectionState, IncidentType, PlanPhase
from bokgu.core.timeline import REVERTED

MAX_PLANS = 3
"""Plans of one incident, those of people too: who needs a fourth needs a person [experience]."""

DID_NOT_HELP = "VerificationFailed"
"""Reason of a plan that did all that it was to do, and was measured not to help. All other ends but completion leave
something open (an unknown effect, a foreign change, a refused call, a person's word), and a person looks."""

Write = tuple[Action, StepParameters | None]
"""What a step asks of AWS."""


@dataclass(frozen=True)
class Tried:
    """A plan of the incident that had begun, and how it ended. `runbook` is the one that it was made from; `helped`: it
    completed, and for a time it did. `writes` is what it asked of AWS, None where the plan is gone and nobody knows."""

    plan: str
    runbook: str | None
    ended: str
    helped: bool
    writes: tuple[Write, ...] | None


def may_follow(incident: Incident, plan: RecoveryPlan | None, detection: Detection | None) -> bool:
    """Whether another plan may follow the last one, `plan`: it is over in a known state, and the trouble is there."""
    if incident.spec.type is IncidentType.DATA_CORRUPTION or plan is None:
        return False
    if detection is None or detection.state is not DetectionState.FIRING or used_up(incident):
        return False
    if is_true(incident.status.conditions, REVERTED):
        return False  # Somebody sets back what a plan of ours sets: people settle that among themselves.
    status = plan.status
    measured = status.phase in {PlanPhase.FAILED, PlanPhase.ROLLED_BACK} and status.reason == DID_NOT_HELP
    # People had approved it, and a gate, such as that of the budget, held it until it was too old.
    held = status.phase is PlanPhase.EXPIRED and status.started_at is None and is_true(status.conditions, "Approved")
    return measured or held or status.phase is PlanPhase.COMPLETED


def awaits_next_rung(incident: Incident, plan: RecoveryPlan | None, detection: Detection | None) -> bool:
    """Whether another plan is made now. That the last one did not end the trouble is written down first: a pass that
    dies in between finds it there."""
    if not incident.status.plans or not may_follow(incident, plan, detection):
        return False
    last = incident.status.plans[-1]
    return last.relapsed_at is not None if last.outcome is PlanPhase.COMPLETED else last.outcome is not None


def used_up(incident: Incident) -> bool:
    """Whether the incident has had all its plans."""
    return len(incident.status.plans) >= MAX_PLANS


def has_relapsed(incident: Incident) -> bool:
    """Whether the trouble was back, or still there, after the last plan had completed."""
    return bool(incident.status.plans) and incident.status.plans[-1].relapsed_at is not None


def told_before(classification: Classification, incident: Incident, plan: RecoveryPlan | None) -> bool:
    """Whether the cause was told before the last plan proved not to end the trouble: what was right then is not."""
    if not incident.status.plans:
        return False
    ended = incident.status.plans[-1].relapsed_at or (plan.status.finished_at if plan else None)
    return ended is not None and _before(classification.told_at, ended)


def _before(told_at: datetime | None, moment: datetime) -> bool:
    return told_at is None or told_at < moment


def read_tried(entry: IncidentPlan, plan: RecoveryPlan | None) -> Tried | None:
    """What was tried with the plan of that entry in `status.plans[]`; None where it never began, or is not over."""
    phase = plan.status.phase if plan else entry.outcome
    begun = plan.status.started_at if plan else entry.started_at
    if begun is None or (phase is not None and not phase.terminal):
        return None
    ended = "completed, and did not end the trouble"
    if phase is not PlanPhase.COMPLETED:
        why = f": {plan.status.reason}" if plan and plan.status.reason else ""
        ended = f"ended as {phase or 'nobody knows'}{why}"
    reference = plan.spec.runbook_ref if plan else None
    return Tried(
        plan=entry.name,
        runbook=reference.name if reference else entry.runbook,
        ended=ended,
        helped=phase is PlanPhase.COMPLETED,
        writes=find_writes(plan.spec.steps) if plan else None,
    )


def find_writes(steps: tuple[Step, ...]) -> tuple[Write, ...]:
    """What these steps ask of AWS."""
    return tuple((step.action, step.parameters) for step in steps if step.action.writes)


def describe_plans(plans: tuple[IncidentPlan, ...]) -> str:
    """All that was planned, for the person who is called: plans with their runbooks and outcomes."""
    said = (f"{p.name} ({', '.join(filter(None, (p.runbook, p.outcome or 'not over')))})" for p in plans)
    tried = sum(p.started_at is not None for p in plans)
    return f"{len(plans)} plans were made and {tried} tried: {', '.join(said)}"
