"""Before a plan runs: may it still, have the people spoken, do the guards let it, and who else is at work?"""

from datetime import timedelta

from bokgu.api.incident import Incident
from bokgu.api.recovery_plan import FINALIZER, MetricReading, RecoveryPlan, RecoveryPlanStatus, Step
from bokgu.api.vocabulary import Action, IncidentPhase, PlanPhase
from bokgu.core.approval.tally import AUTO_APPROVED
from bokgu.core.copies import INCIDENT_GONE, find_original
from bokgu.core.guards.chain import evaluate_gates, first_blocking, look_again
from bokgu.core.plan_facts import (
    Claim,
    HoldPlan,
    Outcome,
    PlanFacts,
    ReleaseService,
    ask_guards,
    finish,
    guard_facts,
)
from bokgu.core.steps import run_steps
from bokgu.core.task_health import find_needless

BLOCKED_RETRY = timedelta(seconds=30)
"""How soon a closed gate is tried again when nothing announces its opening."""


def await_start(plan: RecoveryPlan, status: RecoveryPlanStatus, facts: PlanFacts) -> Outcome:
    """Wait for the people and the gates; then take the lock, mark the incident, and begin. A health check that comes
    first is done in the same pass."""
    end = _reason_not_to_start(plan, facts)
    if end:
        phase, reason = end
        return Outcome(finish(status, phase, reason, facts))
    wait = plan.spec.expires_at - facts.now
    step = first_write(plan) or plan.spec.steps[0]
    if not facts.tally.approved:
        gates = evaluate_gates(guard_facts(plan, step, facts))
        blocking = first_blocking(gates)
        held = status.model_copy(
            update={
                "phase": PlanPhase.AWAITING_APPROVAL,
                "reason": blocking.reason if blocking else None,
                "gates": gates,
            }
        )
        if _holds_lock(plan, facts):
            return Outcome(held, ReleaseService())
        # What could not be read, or a budget that was used up, announces no change.
        may_change = facts.tally.undecided or facts.tally.auto is not None
        usual = min(wait, BLOCKED_RETRY) if may_change else wait
        return Outcome(held, requeue_after=look_again(usual, gates, facts.now))
    step, needless = _first_needed(plan, step, facts)
    held, changed = ask_guards(plan, status, step, facts)
    changed = changed or needless
    if changed:
        return Outcome(finish(status, PlanPhase.CANCELLED, "PreconditionChanged", facts, changed))
    blocking = first_blocking(held.gates)
    if blocking:
        held = held.model_copy(update={"phase": PlanPhase.APPROVED, "reason": blocking.reason})
        if _holds_lock(plan, facts):
            return Outcome(held, ReleaseService())
        return Outcome(held, requeue_after=look_again(min(wait, BLOCKED_RETRY), held.gates, facts.now))
    if FINALIZER not in plan.metadata.finalizers:
        return Outcome(held, HoldPlan())
    if (claim := _find_claim(plan, facts)) is not None:
        return Outcome(held, claim)
    begun = held.model_copy(
        update={
            "phase": PlanPhase.IN_PROGRESS,
            "reason": None,
            "started_at": facts.now,
            "metrics": _metrics_before(facts.incident),
        }
    )
    # It is seen to have begun before it intends a write: of two plans that both believe to have the lock, such as where
    # the object that it stands on was made anew, one sees the other (S5).
    only_looks = plan.spec.steps[0].action is Action.HEALTH_CHECK
    return run_steps(plan, begun, facts) if only_looks else Outcome(begun, requeue_after=timedelta())


def _find_claim(plan: RecoveryPlan, facts: PlanFacts) -> Claim | None:
    """What the plan has not claimed yet."""
    tally, protected = facts.tally, facts.protected_service
    automatic = tally.stand_in is not None and tally.stand_in.reason == AUTO_APPROVED
    claim = Claim(
        auto=automatic and tally.auto is not None and not tally.auto.claimed,
        service=protected is None or protected.status.active_plan is None,
        digest=None if _claimed(plan, facts) else facts.digest,
    )
    return None if claim == Claim() else claim


def _holds_lock(plan: RecoveryPlan, facts: PlanFacts) -> bool:
    active = facts.protected_service.status.active_plan if facts.protected_service else None
    return active is not None and active.uid == plan.metadata.uid


def _reason_not_to_start(plan: RecoveryPlan, facts: PlanFacts) -> tuple[PlanPhase, str] | None:
    """Why the plan can never start, as (final phase, reason)."""
    incident = facts.incident
    if plan.metadata.deletion_timestamp:
        return PlanPhase.CANCELLED, "Deleted"
    if incident is None:
        return PlanPhase.CANCELLED, INCIDENT_GONE
    if (copied := find_original(plan, incident, facts.digest)) is not None:
        return PlanPhase.CANCELLED, copied
    if incident.status.phase is IncidentPhase.RESOLVED:
        return PlanPhase.CANCELLED, "IncidentResolved"
    if facts.tally.rejected_by:
        return PlanPhase.REJECTED, "Rejected"
    if facts.latest >= plan.spec.expires_at:
        return PlanPhase.EXPIRED, "Expired"
    return None


def first_write(plan: RecoveryPlan) -> Step | None:
    """The first step that changes something in AWS."""
    return next((step for step in plan.spec.steps if step.action.writes), None)


def _first_needed(plan: RecoveryPlan, step: Step, facts: PlanFacts) -> tuple[Step, str | None]:
    """The first write whose work is not done already, and where all of it is done, what says so."""
    said, live, cause = None, facts.live, plan.spec.preconditions.root_cause
    for write in (s for s in plan.spec.steps if s.action.writes):
        needless = find_needless(write, live.tasks, live.service, cause) if live else None
        if needless is None:
            return write, None
        said = said or needless
    return step, said


def _claimed(plan: RecoveryPlan, facts: PlanFacts) -> bool:
    plans = facts.incident.status.plans if facts.incident else ()
    return any(e.uid == plan.metadata.uid and e.digest == facts.digest and e.started_at for e in plans)


def _metrics_before(incident: Incident | None) -> tuple[MetricReading, ...]:
    return tuple(MetricReading(name=m.name, before=m.value) for m in incident.spec.metrics) if incident else ()
