"""While a plan runs: one step at a time, forward."""

from dataclasses import replace
from datetime import timedelta

from bokgu.api.fields import bounded, parse_duration
from bokgu.api.recovery_plan import (
    MOST_PEOPLE,
    CountedApproval,
    Intent,
    RecoveryPlan,
    RecoveryPlanStatus,
    Step,
    StepStatus,
)
from bokgu.api.redaction import redact_quote
from bokgu.api.vocabulary import Action, IncidentPhase, OnFailure, OperationPhase, PlanPhase, Verdict
from bokgu.core.actions.table import AWS_ACTIONS
from bokgu.core.allow_lists import find_named_role
from bokgu.core.copies import INCIDENT_GONE
from bokgu.core.deadlines import begins_by, validation_timeout
from bokgu.core.dry_run import DRY_RUN, describe_unknown, describe_unsent, is_rehearsal
from bokgu.core.giving_back import find_raised
from bokgu.core.guards.chain import first_blocking, look_again
from bokgu.core.guards.people import SUSPENDED, list_holders
from bokgu.core.guards.protection import has_written
from bokgu.core.guards.windows import find_override
from bokgu.core.operation import Move, Op, fail, follow_operation, pace, succeed
from bokgu.core.plan_facts import Outcome, PlanFacts, ask_guards, finish, with_step, without_closed
from bokgu.core.proof import (
    AWAITING_CONFIRMATION,
    await_confirmation,
    awaits_confirmation,
    metrics_after,
    verify_step,
)
from bokgu.core.task_health import find_needless
from bokgu.core.undo import next_undo
from bokgu.core.waiting import wait_on
from bokgu.core.writes.new_deployment import ROLLED_BACK_BY_ECS
from bokgu.core.writes.token import carry_token
from bokgu.core.writes.write import FOREIGN_CHANGE, observe_before, summarise, took_effect

NOT_NEEDED = "NotNeeded"
"""Reason of a step whose work is done already, by ECS or by somebody else."""

_BESIDE = frozenset({Action.STOP_UNHEALTHY_TASKS, Action.REGISTER, Action.RUN_TASK, Action.AUTOMATION})
"""Actions that mend a part of the service, or do something beside it: while nothing is to be proven after them, it need
not serve with all its tasks."""


def run_steps(plan: RecoveryPlan, status: RecoveryPlanStatus, facts: PlanFacts) -> Outcome:
    """Take the first step that is not behind one move further."""
    index = next((i for i, s in enumerate(status.steps) if not behind(s)), None)
    if index is None:
        return Outcome(_conclude(plan, status, facts))
    step, operation = plan.spec.steps[index], status.steps[index]
    if operation.phase is OperationPhase.FAILED:
        return _after_failure(plan, status, index, facts)
    cancel = _cancelled_by(plan, facts)
    in_doubt = operation.intent is not None and (operation.answer is None or operation.answer.result == "Unknown")
    if cancel and not in_doubt:
        failed = fail(operation, cancel, facts)
        return Outcome(with_step(status, index, failed), requeue_after=timedelta())
    if operation.started_at is None and (holders := list_holders(plan, facts.protected_service, facts.policies)):
        return _hold(plan, status, index, holders, facts)
    if not step.action.writes:
        status = without_closed(status)
    if step.action is Action.MANUAL:
        return _ask_person(plan, status, index, facts)
    if step.action is Action.HEALTH_CHECK:
        return _check_health(plan, status, index, facts)
    if step.action is Action.WAIT:
        return _wait(step, status, index, facts)
    if operation.intent is None:
        return _write_intent(plan, status, index, facts)
    serves = step.action not in _BESIDE or step.validation is not None
    moved = follow_operation(
        operation, parse_duration(step.timeout), validation_timeout(step, facts), facts, serves=serves
    )
    if moved.complete:
        moved = Move(verify_step(step, moved.operation, facts))
    status = with_step(status, index, moved.operation)
    phase = PlanPhase.VERIFYING if moved.operation.phase is OperationPhase.VERIFYING else PlanPhase.IN_PROGRESS
    reason = AWAITING_CONFIRMATION if awaits_confirmation(moved.operation) else None
    status = status.model_copy(update={"phase": phase, "reason": reason})
    if moved.operation.phase in {OperationPhase.COMPLETED, OperationPhase.FAILED}:
        status = status.model_copy(update={"metrics": metrics_after(status, step, facts)})
    return Outcome(status, moved.effect, pace(moved.operation, facts))


def end_where_it_is(status: RecoveryPlanStatus, reason: str, said: str, facts: PlanFacts) -> RecoveryPlanStatus:
    """The plan is over in its middle, and nothing is undone. What was under way has failed."""

    def end(operation: Op) -> Op:
        over = operation.phase in {OperationPhase.COMPLETED, OperationPhase.FAILED, OperationPhase.SKIPPED}
        return operation if over or operation.started_at is None else fail(operation, reason, facts, said)

    steps = (end(step.model_copy(update={"rollback": step.rollback and end(step.rollback)})) for step in status.steps)
    ended = status.model_copy(update={"steps": tuple(steps)})
    return finish(ended, PlanPhase.CANCELLED, reason, facts, said)


def behind(step: StepStatus) -> bool:
    """Whether the plan has gone past the step."""
    return step.phase in {OperationPhase.COMPLETED, OperationPhase.SKIPPED}


def _cancelled_by(plan: RecoveryPlan, facts: PlanFacts) -> str | None:
    """Who stops the plan: a person's Reject, or the deletion of the plan."""
    if facts.tally.rejected_by:
        return "Rejected"
    return "Deleted" if plan.metadata.deletion_timestamp else None


def _conclude(plan: RecoveryPlan, status: RecoveryPlanStatus, facts: PlanFacts) -> RecoveryPlanStatus:
    """All steps are behind. A dry run, and a plan none of whose writes got through, recovered nothing; one with nothing
    left to do was made for a world that is gone."""
    if is_rehearsal(status):
        return finish(status, PlanPhase.CANCELLED, DRY_RUN, facts)
    writes = [s for spec, s in zip(plan.spec.steps, status.steps, strict=True) if spec.action.writes]
    skipped = next((s for s in status.steps if s.phase is OperationPhase.SKIPPED), None)
    if writes and all(s.phase is OperationPhase.SKIPPED and s.reason == NOT_NEEDED for s in writes):
        said = next((s.output for s in writes if s.output), "") or ""
        return finish(status, PlanPhase.CANCELLED, "PreconditionChanged", facts, bounded(said))
    if skipped and all(s.phase is OperationPhase.SKIPPED for s in writes):
        return finish(status, PlanPhase.FAILED, skipped.reason or "StepFailed", facts)
    return finish(status, PlanPhase.COMPLETED, "Recovered", facts)


def _check_health(plan: RecoveryPlan, status: RecoveryPlanStatus, index: int, facts: PlanFacts) -> Outcome:
    """Read the service and write down what it shows. It sends nothing, so it needs no gates."""
    operation = status.steps[index]
    started = operation.started_at or facts.now
    operation = operation.model_copy(
        update={"phase": OperationPhase.IN_PROGRESS, "started_at": started, "attempt": operation.attempt or 1}
    )
    if facts.service is not None:
        readings = ", ".join(f"{m.name} was {m.before}" for m in status.metrics)
        output = "; ".join(filter(None, (summarise(facts.service), readings)))
        operation = succeed(operation, facts, output)
    elif facts.now >= begins_by(plan.spec.steps[index], status, index):
        operation = fail(operation, facts.problem.code if facts.problem else "Timeout", facts)
    return Outcome(with_step(status, index, operation), requeue_after=pace(operation, facts))


def _hold(plan: RecoveryPlan, status: RecoveryPlanStatus, index: int, holders: list[str], facts: PlanFacts) -> Outcome:
    """A suspended plan begins no step, of whatever kind, until the time for that is over."""
    step, operation = plan.spec.steps[index], status.steps[index]
    status, _ = ask_guards(plan, status, step, facts)
    status = status.model_copy(update={"reason": SUSPENDED})
    if facts.now < begins_by(step, status, index):
        return Outcome(status, requeue_after=facts.timing.poll)
    failed = fail(operation, "BlockedTooLong", facts, f"held by {', '.join(holders)}")
    return Outcome(with_step(status, index, failed), requeue_after=timedelta())


def _ask_person(plan: RecoveryPlan, status: RecoveryPlanStatus, index: int, facts: PlanFacts) -> Outcome:
    """Wait for a person to confirm. It sends nothing, so it needs no gates."""
    step, operation = plan.spec.steps[index], status.steps[index]
    by = begins_by(step, status, index)
    if operation.started_at is None:
        said = redact_quote(step.description) if step.description else None
        begun = {"phase": OperationPhase.IN_PROGRESS, "started_at": facts.now, "attempt": 1, "output": said}
        operation, by = operation.model_copy(update=begun), facts.now + parse_duration(step.timeout)
    operation = await_confirmation(step, operation, facts, by=by, proves=False)
    reason = AWAITING_CONFIRMATION if awaits_confirmation(operation) else None
    status = status.model_copy(update={"phase": PlanPhase.IN_PROGRESS, "reason": reason})
    return Outcome(with_step(status, index, operation), requeue_after=pace(operation, facts))


def _wait(step: Step, status: RecoveryPlanStatus, index: int, facts: PlanFacts) -> Outcome:
    """Let time pass. While it is calm, that is watched."""
    operation = wait_on(step, status.steps[index], facts)
    watches = step.parameters is not None and bool(step.parameters.calm) and operation.finished_at is None
    phase = PlanPhase.VERIFYING if watches else PlanPhase.IN_PROGRESS
    status = with_step(status, index, operation).model_copy(update={"phase": phase, "reason": None})
    return Outcome(status, requeue_after=pace(operation, facts))


def _write_intent(plan: RecoveryPlan, status: RecoveryPlanStatus, index: int, facts: PlanFacts) -> Outcome:
    """Ask everything again, then store what is about to be sent."""
    step, operation = plan.spec.steps[index], status.steps[index]
    cause = plan.spec.preconditions.root_cause
    if facts.live and (needless := find_needless(step, facts.live.tasks, facts.live.service, cause)):
        operation = fail(operation, NOT_NEEDED, facts, needless)
        skipped = operation.model_copy(update={"phase": OperationPhase.SKIPPED})
        return Outcome(with_step(status, index, skipped), requeue_after=timedelta())
    if (overtaken := _overtaken(plan, status, facts)) is not None:
        failed = fail(operation, overtaken, facts)
        return Outcome(with_step(status, index, failed), requeue_after=timedelta())
    status, changed = ask_guards(plan, status, step, facts)
    late = facts.now >= begins_by(step, status, index)
    rehearsal = is_rehearsal(status)
    if changed and rehearsal:
        return _skip_unsent(status, index, describe_unknown(changed), facts)
    if changed:
        gives_back = find_raised(plan, status, step) is not None
        reason = FOREIGN_CHANGE if gives_back else "PreconditionChanged"
        operation = fail(operation, reason, facts, f"not given back: {changed}" if gives_back else changed)
        return Outcome(with_step(status, index, operation), requeue_after=timedelta())
    if not facts.tally.approved and not facts.tally.undecided:
        operation = fail(operation, "ApprovalWithdrawn", facts, f"no longer approved as {facts.tally.missing}")
        return Outcome(with_step(status, index, operation), requeue_after=timedelta())
    blocking = first_blocking(status.gates)
    live = facts.live
    if blocking and rehearsal:  # It waits for what a step before it would have done.
        return _skip_unsent(status, index, describe_unknown(blocking.message or blocking.name), facts)
    if late or blocking or live is None or status.target is None:
        if late:
            operation = fail(operation, "BlockedTooLong", facts, blocking.message if blocking else None)
        status = status.model_copy(update={"reason": blocking.reason if blocking else "ServiceUnreadable"})
        again = look_again(facts.timing.poll, status.gates, facts.now)
        return Outcome(with_step(status, index, operation), requeue_after=again)
    attempt = operation.attempt + 1
    token = f"{plan.metadata.uid[:8]}-{index + 1}-{attempt}"
    try:
        asked = AWS_ACTIONS[step.action].ask(step, replace(live, copies=_find_copies(plan, status)), status.target)
        request = carry_token(asked.request, token)
    except ValueError as error:
        if rehearsal:
            return _skip_unsent(status, index, describe_unknown(str(error)), facts)
        operation = fail(operation, "CannotBuildRequest", facts, str(error))
        return Outcome(with_step(status, index, operation), requeue_after=timedelta())
    if rehearsal or facts.dry_run:
        said = describe_unsent(request, find_named_role(step) or status.target.role_arn)
        return _skip_unsent(status, index, said, facts)
    intent = Intent(
        token=token,
        attempt=attempt,
        plan_uid=plan.metadata.uid,
        digest=facts.digest,
        approvals=_find_approvals(facts),
        request=request,
        role_arn=find_named_role(step),
        restores=asked.restores,
        before=observe_before(live),
        holder=facts.holder,
        lease_transitions=facts.lease_transitions,
        written_at=facts.now,
    )
    operation = operation.model_copy(
        update={
            "phase": OperationPhase.IN_PROGRESS,
            "started_at": operation.started_at or facts.now,
            "intent": intent,
            "attempt": attempt,
            "answer": None,
            "reason": None,
        }
    )
    status = status.model_copy(update={"phase": PlanPhase.IN_PROGRESS, "reason": None})
    return Outcome(with_step(status, index, operation), requeue_after=timedelta())


def _find_approvals(facts: PlanFacts) -> tuple[CountedApproval, ...]:
    """What an intent rests on: the approvals, and the one that opened what change windows close."""
    override, counted = find_override(facts.policies, facts.tally, facts.now), facts.tally.counted
    return counted if override is None or override in counted else (override, *counted)[:MOST_PEOPLE]


def _skip_unsent(status: RecoveryPlanStatus, index: int, said: str, facts: PlanFacts) -> Outcome:
    """A dry run goes past a write. The step never began: nothing stands in its intent, and nothing is sent (S1)."""
    unsent = fail(status.steps[index], DRY_RUN, facts, said)
    unsent = unsent.model_copy(update={"phase": OperationPhase.SKIPPED, "started_at": None})
    status = status.model_copy(update={"phase": PlanPhase.IN_PROGRESS, "reason": None})
    return Outcome(with_step(status, index, unsent), requeue_after=timedelta())


_OVERTAKEN = (INCIDENT_GONE, "IncidentResolved", "Expired")


def _overtaken(plan: RecoveryPlan, status: RecoveryPlanStatus, facts: PlanFacts) -> str | None:
    """Why the first write of a plan comes too late, one of the above: steps before it may have waited for long."""
    if has_written(status):
        return None
    if facts.incident is None or facts.incident.status.phase is IncidentPhase.RESOLVED:
        return INCIDENT_GONE if facts.incident is None else "IncidentResolved"
    return "Expired" if facts.latest >= plan.spec.expires_at else None


def _find_copies(plan: RecoveryPlan, status: RecoveryPlanStatus) -> dict[str, str]:
    """The task definitions that the plan registered, by the ARN of what they are copies of."""
    copies = {}
    for step, done in zip(plan.spec.steps, status.steps, strict=True):
        copied = step.parameters.task_definition if step.parameters else None
        if step.action is Action.REGISTER and copied and took_effect(done) and done.answer and done.answer.made:
            copies[copied] = done.answer.made[0]
    return copies


_PERSON_MUST_LOOK = frozenset({"EffectUnknown", FOREIGN_CHANGE, ROLLED_BACK_BY_ECS})


def _after_failure(plan: RecoveryPlan, status: RecoveryPlanStatus, index: int, facts: PlanFacts) -> Outcome:
    """Apply `onFailure`. An inconclusive verification is no failure: nothing is undone, a person must look (S9)."""
    step, operation = plan.spec.steps[index], status.steps[index]
    reason = operation.reason or "StepFailed"
    touched = any(took_effect(s) for s in status.steps)
    stop = reason in {"Rejected", "Deleted"}
    if is_rehearsal(status) and not stop and not touched:
        return Outcome(finish(status, PlanPhase.CANCELLED, DRY_RUN, facts))
    if reason in {"PreconditionChanged", *_OVERTAKEN} and not touched:
        return Outcome(finish(status, PlanPhase.CANCELLED, reason, facts))
    if operation.verdict is Verdict.INCONCLUSIVE or reason in _PERSON_MUST_LOOK:
        return Outcome(finish(status, PlanPhase.FAILED, reason, facts))
    if step.on_failure is OnFailure.CONTINUE and not stop and reason != "ApprovalWithdrawn":
        skipped = operation.model_copy(update={"phase": OperationPhase.SKIPPED})
        return Outcome(with_step(status, index, skipped), requeue_after=timedelta())
    if (step.on_failure is OnFailure.ROLL_BACK or stop) and next_undo(plan, status) is not None:
        rolling = status.model_copy(update={"phase": PlanPhase.ROLLING_BACK, "reason": reason})
        return Outcome(rolling, requeue_after=timedelta())
    phase = PlanPhase.CANCELLED if stop and not touched else PlanPhase.FAILED
    return Outcome(finish(status, phase, reason, facts))
