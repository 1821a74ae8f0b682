"""The life of an incident: its phase, conditions and timeline, derived from what is known."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from bokgu.api.detector import Detection
from bokgu.api.fields import format_timestamp
from bokgu.api.incident import Classification, Incident, IncidentPlan, IncidentStatus
from bokgu.api.meta import Condition, Gate, find_condition, is_true, set_condition
from bokgu.api.protected_service import Reversal
from bokgu.api.recovery_plan import RecoveryPlan
from bokgu.api.vocabulary import (
    DetectionState,
    IncidentPhase,
    IncidentType,
    PlanPhase,
    SourceKind,
    Verdict,
)
from bokgu.core.correlation import RELAPSE_WATCH, Suppression
from bokgu.core.dry_run import DRY_RUN, describe_rehearsal, is_rehearsal
from bokgu.core.finding import fingerprint
from bokgu.core.guards.people import closed_gates
from bokgu.core.next_rung import describe_plans, has_relapsed, may_follow, used_up
from bokgu.core.planning_facts import NoPlan
from bokgu.core.timeline import RECURRED, RELAPSED, REVERTED, build_timeline, describe_cause

RECORDED = "Recorded"
"""Condition of an incident whose history is stored."""

FLAPPING = 3
"""Beginnings of the trouble within two relapse watches from where on it flaps."""

_PHASE_OF_PLAN = {
    PlanPhase.PENDING: IncidentPhase.AWAITING_APPROVAL,
    PlanPhase.AWAITING_APPROVAL: IncidentPhase.AWAITING_APPROVAL,
    PlanPhase.APPROVED: IncidentPhase.AWAITING_APPROVAL,
    PlanPhase.IN_PROGRESS: IncidentPhase.RECOVERING,
    PlanPhase.ROLLING_BACK: IncidentPhase.RECOVERING,
    PlanPhase.VERIFYING: IncidentPhase.VERIFYING,
    PlanPhase.COMPLETED: IncidentPhase.RESOLVED,
}


@dataclass(frozen=True)
class Standing:
    """What a pass found out about an incident.

    `problem` is (reason, message) of what keeps the incident from being classified; `no_plan` why there is no plan.
    `plan` is the current plan as the API server has it, `entry` its line in `status.plans[]` when it was just created.
    `suppression` names the incident that this one is folded into; `relapse_watch` is how long the trouble must stay
    away until the incident is resolved, `clears_within` how long a detection needs to say that it is away. `reversal`
    is what somebody has set back of the plan.
    """

    now: datetime
    detection: Detection | None
    classification: Classification | None
    problem: tuple[str, str] | None
    plan: RecoveryPlan | None
    entry: IncidentPlan | None
    no_plan: NoPlan | None
    suppression: Suppression | None = None
    relapse_watch: timedelta = timedelta()
    clears_within: timedelta | None = None
    reversal: Reversal | None = None

    @property
    def patience(self) -> timedelta:
        """How long after a plan completed its trouble may still seem to be there."""
        return min(self.relapse_watch, self.clears_within or self.relapse_watch)


def is_over(incident: Incident) -> bool:
    """Whether nothing will change the incident any more."""
    return incident.status.phase is IncidentPhase.RESOLVED


def cleared(incident: Incident, detection: Detection | None, plan: RecoveryPlan | None) -> bool:
    """Whether the trouble has gone away with no plan at work: by itself, by ECS, or by a person."""
    at_work = plan is not None and plan.status.started_at is not None and not plan.status.phase.terminal
    return _gone_since(incident, detection) is not None and not at_work


def _gone_since(incident: Incident, detection: Detection | None) -> datetime | None:
    """Since when the symptom is away. Silence after it had gone is no relapse; corrupted data does not heal by silence:
    a person looks, and deletes the incident."""
    if incident.spec.type is IncidentType.DATA_CORRUPTION:
        return None
    if detection is not None and detection.state is DetectionState.CLEAR:
        return detection.since
    silent = detection is None or detection.state is DetectionState.UNKNOWN
    return incident.status.mitigated_at if silent else None


def calm_since(incident: Incident, standing: Standing) -> datetime | None:
    """Since when the trouble has been gone: cleared by itself, or proven gone by a plan that completed. None while it
    is there, or may be."""
    plan, detection = standing.plan, standing.detection
    gone = _gone_since(incident, detection)
    if plan is not None and plan.status.phase is PlanPhase.COMPLETED and plan.status.finished_at:
        if incident.spec.type is IncidentType.DATA_CORRUPTION or (gone is None and has_relapsed(incident)):
            return None
        return max(plan.status.finished_at, gone or plan.status.finished_at)
    return gone if cleared(incident, detection, plan) else None


def find_relapse(incident: Incident, standing: Standing) -> str | None:
    """Why a completed plan did not end the trouble, or None.

    The beginning of the trouble that the incident knows is the one that the plan was made for, even where another clock
    says that the plan ended before it (S5).
    """
    plan, detection = standing.plan, standing.detection
    if plan is None or plan.status.finished_at is None or detection is None:
        return None
    if detection.state is not DetectionState.FIRING:
        return None
    again = has_relapsed(incident) or detection.since > _last_seen(incident, standing)
    if again and detection.since > plan.status.finished_at:
        return "the trouble has come back since"
    if standing.now - plan.status.finished_at >= standing.patience > timedelta():
        return "the trouble is still there"
    return None


def build_status(incident: Incident, standing: Standing) -> IncidentStatus:
    """The status that says all of that."""
    old, now = incident.status, standing.now
    phase, reason, message = _phase(incident, standing)
    resolved_at = (old.resolved_at or now) if phase is IncidentPhase.RESOLVED else None
    status = old.model_copy(
        update={
            "observed_generation": incident.metadata.generation,
            "uid": incident.metadata.uid,
            "phase": phase,
            "reason": reason,
            "fingerprint": fingerprint(incident.spec.service_ref.name, incident.spec.type),
            "classification": standing.classification,
            "leader": standing.suppression.leader
            if phase is IncidentPhase.SUPPRESSED and standing.suppression
            else None,
            "plans": _plans(incident, standing),
            "gates": _closed_gates(standing),
            "resolved_at": resolved_at,
            **_occurrences(incident, standing),
        }
    )
    timeline = build_timeline(incident, status, standing.plan, now=now, message=message, reversal=standing.reversal)
    status = status.model_copy(update={"timeline": timeline})
    conditions = _conditions(incident, status, standing, message)
    block = find_condition(conditions, "Blocked")
    held = block if block and is_true((block,), "Blocked") else None
    return status.model_copy(update={"conditions": conditions, "blocked_by": held.reason if held else None})


def _phase(incident: Incident, standing: Standing) -> tuple[IncidentPhase, str | None, str]:
    """(phase, reason, message): the reason says why it is blocked, escalated, or how it was resolved."""
    plans, plan, no_plan = incident.status.plans, standing.plan, standing.no_plan
    name, how = (plans[-1].name, plans[-1].outcome) if plans else ("", None)
    how = plan.status.phase if plan else how
    if standing.entry is not None:
        return IncidentPhase.AWAITING_APPROVAL, "ApprovalsMissing", ""
    if how is PlanPhase.COMPLETED and (relapse := find_relapse(incident, standing)):
        return _after_plan(incident, standing, RELAPSED, f"plan {name} completed, and {relapse}")
    if (calm := calm_since(incident, standing)) is not None:
        reason, message = "Recovered", f"plan {name} completed"
        if how is not PlanPhase.COMPLETED or has_relapsed(incident):
            unsent = plan.metadata.uid if plan and is_rehearsal(plan.status) else None
            begun = next((p.name for p in plans if p.started_at and p.uid != unsent), None)
            how_cleared = f"after plan {begun} had begun, not by its completion" if begun else "without a plan of ours"
            reason, message = "Cleared", f"the trouble went away {how_cleared}"
        if standing.now - calm < standing.relapse_watch:
            return IncidentPhase.VERIFYING, RELAPSE_WATCH, f"{message}; watched until it has stayed away"
        return IncidentPhase.RESOLVED, reason, message
    if standing.suppression:
        return IncidentPhase.SUPPRESSED, standing.suppression.reason, standing.suppression.message
    if standing.problem:
        reason, message = standing.problem
        return IncidentPhase.CLASSIFIED if standing.classification else IncidentPhase.DETECTED, reason, message
    if plan is not None and plan.status.phase in _PHASE_OF_PLAN and how is not PlanPhase.COMPLETED:
        phase = _PHASE_OF_PLAN[plan.status.phase]
        new = plan.status.phase is PlanPhase.PENDING  # What it will say in a moment, said now: one write less.
        return phase, "ApprovalsMissing" if new else plan.status.reason, ""
    if how is PlanPhase.COMPLETED and incident.spec.type is IncidentType.DATA_CORRUPTION:
        left = "what was written wrong before is still wrong: look at the data, then delete this incident"
        return IncidentPhase.ESCALATED, "DataToCheck", f"plan {name} completed; {left}"
    if how is PlanPhase.COMPLETED:
        left = "the trouble came back, and nobody says whether it has gone"
        return _after_plan(incident, standing, RELAPSED, left)
    if plan is not None and plan.status.reason == DRY_RUN:
        told = describe_rehearsal(plan.status)
        return _after_plan(incident, standing, DRY_RUN, f"plan {name} was a dry run, {told}")
    if plans and how is not None:
        why = f": {plan.status.reason}" if plan else ""
        return _after_plan(incident, standing, f"Plan{how}", f"plan {name} ended as {how}{why}")
    if plans:
        return (
            IncidentPhase.ESCALATED,
            "PlanGone",
            f"plan {name} is gone, and how it ended is not known: look at the service",
        )
    if no_plan is not None:
        phase = IncidentPhase.CLASSIFIED if no_plan.wait else IncidentPhase.ESCALATED
        return phase, no_plan.reason, no_plan.message
    return (IncidentPhase.CLASSIFIED if standing.classification else IncidentPhase.DETECTED), None, ""


def _after_plan(
    incident: Incident, standing: Standing, reason: str, story: str
) -> tuple[IncidentPhase, str | None, str]:
    """(phase, reason, message) after a plan that did not end the trouble: the next rung, or a person."""
    no_plan = standing.no_plan
    if not may_follow(incident, standing.plan, standing.detection):
        tried = f". {describe_plans(_plans(incident, standing))}" if used_up(incident) else ""
        return IncidentPhase.ESCALATED, reason, f"{story}{tried}"
    if standing.problem:
        return IncidentPhase.CLASSIFIED, *standing.problem
    if no_plan is None:
        return IncidentPhase.CLASSIFIED, reason, story
    if no_plan.wait:
        return IncidentPhase.CLASSIFIED, no_plan.reason, f"{story}. Next: {no_plan.message}"
    return IncidentPhase.ESCALATED, reason, f"{story}. Nothing follows: {no_plan.message}"


def _closed_gates(standing: Standing) -> tuple[Gate, ...]:
    """What holds the current plan, but for approvals."""
    plan = standing.plan if standing.entry is None else None
    if plan is None or plan.status.phase.terminal:
        return ()
    return closed_gates(plan.status.gates)


def _plans(incident: Incident, standing: Standing) -> tuple[IncidentPlan, ...]:
    plans = incident.status.plans
    if standing.entry and all(p.uid != standing.entry.uid for p in plans):
        plans = (*plans, standing.entry)
    plan = standing.plan
    if plan is None or not plan.status.phase.terminal:
        return plans
    relapsed = plan.status.phase is PlanPhase.COMPLETED and find_relapse(incident, standing) is not None
    return tuple(
        p.model_copy(
            update={
                "outcome": plan.status.phase,
                "relapsed_at": p.relapsed_at or (standing.now if relapsed else None),
            }
        )
        if p.uid == plan.metadata.uid
        else p
        for p in plans
    )


def _occurrences(incident: Incident, standing: Standing) -> dict[str, object]:
    """Count the beginnings of the trouble, and note when it stopped."""
    old, detection = incident.status, standing.detection
    last = _last_seen(incident, standing)
    if detection is None or detection.state is DetectionState.UNKNOWN:
        return {"last_seen_at": last}
    if detection.state is DetectionState.CLEAR:
        return {"last_seen_at": last, "mitigated_at": max(detection.since, last)}
    again = old.mitigated_at is not None and detection.since >= old.mitigated_at
    return {
        "last_seen_at": detection.since if again else last,
        "mitigated_at": None,
        "occurrences": old.occurrences + again,
    }


def _last_seen(incident: Incident, standing: Standing) -> datetime:
    """When the trouble last began, as far as the incident knows."""
    begun = incident.spec.detected_at or incident.metadata.creation_timestamp or standing.now
    return incident.status.last_seen_at or begun


def note_outcome(status: IncidentStatus, plan: RecoveryPlan | None) -> IncidentStatus | None:
    """The status of an incident that is over with the end of its last plan, which came after that; None: no news."""
    if plan is None or not plan.status.phase.terminal:
        return None
    if all(p.outcome for p in status.plans if p.uid == plan.metadata.uid):
        return None
    plans = (
        p.model_copy(update={"outcome": plan.status.phase}) if p.uid == plan.metadata.uid else p for p in status.plans
    )
    return status.model_copy(update={"plans": tuple(plans)})


def _conditions(incident: Incident, status: IncidentStatus, standing: Standing, message: str) -> tuple[Condition, ...]:
    detection, no_plan = standing.detection, standing.no_plan
    plan = standing.plan if standing.entry is None else None  # The one that was just made is the current one.
    classification, problem = standing.classification, standing.problem
    state = detection.state if detection else None
    if detection is None and incident.spec.source.kind in {SourceKind.DETECTOR, SourceKind.PRESET}:
        state = DetectionState.FIRING  # It opened the incident and has not said anything else yet.
    relapsed = bool(status.plans) and status.plans[-1].relapsed_at is not None
    planned = bool(status.plans) and not relapsed
    verdict = next((s.verdict for s in reversed(plan.status.steps) if s.verdict), None) if plan else None
    verified = None if verdict in {None, Verdict.INCONCLUSIVE} else verdict is Verdict.PASSED
    resolved = status.phase is IncidentPhase.RESOLVED
    waiting = no_plan.reason if no_plan else RELAPSED if relapsed else "Pending"
    blocked = None if resolved else _find_block(standing)
    rows: tuple[tuple[str, bool | None, str, str], ...] = (
        (
            "Classified",
            classification is not None,
            str(classification.root_cause) if classification else problem[0] if problem else "Pending",
            describe_cause(classification) if classification else problem[1] if problem else "",
        ),
        ("Planned", planned, "PlanCreated" if planned else waiting, status.plans[-1].name if planned else message),
        (
            "Mitigated",
            None if state in {None, DetectionState.UNKNOWN} else state is DetectionState.CLEAR,
            str(state or "NotMeasured"),
            _trouble(state, status),
        ),
        (
            "Verified",
            False if relapsed else verified,
            RELAPSED if relapsed else str(verdict or "NotYet"),
            "the trouble came back, or is still there" if relapsed else _PROVEN[verdict],
        ),
        (
            "Blocked",
            blocked is not None,
            blocked[0] if blocked else "NotBlocked",
            blocked[1] if blocked else "",
        ),
        _flapping(incident, status, standing),
        ("Resolved", resolved, (status.reason if resolved else str(status.phase)) or "Resolved", message),
    )
    conditions = status.conditions
    if standing.reversal or find_condition(conditions, REVERTED):
        rows = (*rows, _reverted(standing.reversal))
    for type_, value, reason, text in rows:
        conditions = set_condition(
            conditions, type_, value, reason, text, now=standing.now, generation=incident.metadata.generation
        )
    if find_condition(conditions, RECORDED) is None:
        generation = incident.metadata.generation
        conditions = set_condition(conditions, RECORDED, False, "NotOver", "", now=standing.now, generation=generation)
    return conditions


_PROVEN = {
    None: "no step was verified yet",
    Verdict.PASSED: "the last step that was verified worked",
    Verdict.FAILED: "the last step that was verified did not work",
    Verdict.INCONCLUSIVE: "whether the last step worked could not be told",
}


def _trouble(state: DetectionState | None, status: IncidentStatus) -> str:
    """What is known of the symptom."""
    if state is DetectionState.CLEAR and status.mitigated_at:
        return f"the trouble has been gone since {format_timestamp(status.mitigated_at)}"
    return "the trouble is there" if state is DetectionState.FIRING else "nothing says whether the trouble is there"


def _flapping(incident: Incident, status: IncidentStatus, standing: Standing) -> tuple[str, bool, str, str]:
    """Whether the trouble comes and goes: it began three times within two relapse watches."""
    begin = standing.now - 2 * standing.relapse_watch
    begun = incident.spec.detected_at or incident.metadata.creation_timestamp or standing.now
    beginnings = [begun, *(entry.at for entry in status.timeline if entry.event == RECURRED)]
    recent = sum(at >= begin for at in beginnings)
    if recent < FLAPPING:
        return ("Flapping", False, "Steady", "")
    return ("Flapping", True, "ComesAndGoes", f"the trouble began {status.occurrences} times")


def _reverted(reversal: Reversal | None) -> tuple[str, bool, str, str]:
    """Whether somebody has set back what the plan had set: the trouble will probably be back."""
    return (REVERTED, True, "SetBack", reversal.message) if reversal else (REVERTED, False, "Holds", "")


def _find_block(standing: Standing) -> tuple[str, str] | None:
    """(reason, message) of what holds the recovery up: before there is a plan, or a gate of the plan."""
    if standing.problem:
        return standing.problem
    if standing.no_plan:
        return standing.no_plan.reason, standing.no_plan.message
    plan = standing.plan if standing.entry is None else None
    gate = find_condition(plan.status.conditions, "Blocked") if plan else None
    return (gate.reason, gate.message) if gate and is_true((gate,), "Blocked") else None
