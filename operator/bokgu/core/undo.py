"""Taking a plan back: its finished steps in reverse order, each only while the service still holds what it set."""

from datetime import timedelta

from bokgu.api.fields import parse_duration
from bokgu.api.recovery_plan import OperationStatus, RecoveryPlan, RecoveryPlanStatus, Step, StepStatus
from bokgu.api.vocabulary import OperationPhase, PlanPhase, Verdict
from bokgu.core.actions.action import AlreadyOver, NotSeen
from bokgu.core.actions.table import AWS_ACTIONS
from bokgu.core.operation import fail, follow_operation, may_be_stale, pace, succeed
from bokgu.core.plan_facts import Outcome, PlanFacts, finish, with_undo
from bokgu.core.writes.automation import AUTOMATION_FAILED
from bokgu.core.writes.run_task import TASK_FAILED
from bokgu.core.writes.table import find_change
from bokgu.core.writes.token import carry_token
from bokgu.core.writes.write import observe_before, took_effect

UNDO_OVER = frozenset({OperationPhase.COMPLETED, OperationPhase.FAILED})
"""Phases of an undo that nothing more is done about."""


def roll_back(plan: RecoveryPlan, status: RecoveryPlanStatus, facts: PlanFacts) -> Outcome:
    """Undo in reverse order. It rests on the approvals in the forward intent: no gate or expiry stops it (S1)."""
    index = next_undo(plan, status)
    if index is None:
        undone = [s.rollback for s in status.steps if s.rollback]
        failed = next((u for u in undone if u.phase is OperationPhase.FAILED), None)
        phase = PlanPhase.ROLLBACK_FAILED if failed else PlanPhase.ROLLED_BACK
        reason = (failed.reason if failed else status.reason) or "StepFailed"
        return Outcome(finish(status, phase, reason, facts))
    step, forward = plan.spec.steps[index], status.steps[index]
    undo = forward.rollback or OperationStatus(started_at=facts.now)
    if undo.answer and undo.answer.result == "NotSent":
        # ECS moved on by itself: look and ask again. What is looked at for a new request was not, beside an old one.
        undo = undo.model_copy(update={"intent": None, "answer": None, "phase": OperationPhase.PENDING})
        return Outcome(with_undo(status, index, undo), requeue_after=timedelta())
    if undo.intent is None:
        undo = _write_undo_intent(step, forward, undo, status, facts)
        return Outcome(
            with_undo(status, index, undo),
            requeue_after=timedelta() if undo.intent or undo.phase in UNDO_OVER else facts.timing.poll,
        )
    moved = follow_operation(undo, parse_duration(step.timeout), timedelta(), facts, serves=False)
    undo = moved.operation
    if moved.complete:
        undo = succeed(undo.model_copy(update={"verdict": Verdict.PASSED}), facts, undo.output or "")
    return Outcome(with_undo(status, index, undo), moved.effect, pace(undo, facts))


def next_undo(plan: RecoveryPlan, status: RecoveryPlanStatus) -> int | None:
    """The last step with an effect whose undo is not over yet."""
    for index in reversed(range(len(status.steps))):
        step = status.steps[index]
        over = step.rollback is not None and step.rollback.phase in UNDO_OVER
        over = over or (plan.spec.steps[index].action.runs and _has_ended(step))
        if took_effect(step) and plan.spec.steps[index].rollback and not over:
            return index
    return None


def _has_ended(step: StepStatus) -> bool:
    """Whether what the step started has ended by itself: what it did is not taken back."""
    return step.phase is OperationPhase.COMPLETED or step.reason in {TASK_FAILED, AUTOMATION_FAILED}


def _write_undo_intent(
    step: Step, forward: StepStatus, undo: OperationStatus, status: RecoveryPlanStatus, facts: PlanFacts
) -> OperationStatus:
    """Store the undo of a step, if the service still holds what the step set."""
    live, intent, target = facts.live, forward.intent, status.target
    if intent is None or target is None:
        return fail(undo, "NothingToUndo", facts)
    # Nothing was sent yet: time in which no process was there does not count (S10).
    started = max(undo.started_at or facts.now, facts.known_since)
    if facts.now >= started + parse_duration(step.timeout):
        return fail(undo, "Timeout" if live else "ServiceUnreadable", facts)
    if live is None:
        return undo
    changed = find_change(forward, live, _own_deployments(status))
    if changed and may_be_stale(forward, live, facts):
        return undo
    if changed and changed.foreign:
        return fail(undo, changed.reason, facts, f"not undone: {changed.message}")
    attempt = undo.attempt + 1
    token = f"{intent.token}-undo-{attempt}"
    try:
        asked = AWS_ACTIONS[step.action].ask_undo(step, intent, live, target)
        request = carry_token(asked.request, token)
    except AlreadyOver as over:
        return succeed(undo, facts, str(over))
    except NotSeen as unseen:
        if facts.now < started + facts.timing.consistency_delay:
            return undo
        return fail(undo, "CannotBuildRequest", facts, str(unseen))  # The undos of earlier steps must go on (S1).
    except ValueError as error:
        return fail(undo, "CannotBuildRequest", facts, str(error))
    again = intent.model_copy(
        update={
            "token": token,
            "attempt": attempt,
            "request": request,
            "restores": asked.restores,
            "before": observe_before(live),
            "holder": facts.holder,
            "lease_transitions": facts.lease_transitions,
            "written_at": facts.now,
        }
    )
    return undo.model_copy(
        update={
            "phase": OperationPhase.IN_PROGRESS,
            "started_at": started,
            "attempt": attempt,
            "intent": again,
            "reason": None,
        }
    )


def _own_deployments(status: RecoveryPlanStatus) -> frozenset[str]:
    """Ids of all deployments that this plan made, forward and back."""
    answers = (o.answer for s in status.steps for o in (s, s.rollback) if o)
    return frozenset(a.deployment_id for a in answers if a and a.deployment_id)
