"""Execution: the state machine of a recovery plan.

`decide` looks at the plan and the facts and returns the new status and at most one effect. A write to AWS takes two
passes: one stores the intent, the next sends it (S2). An intent that this process did not just store itself is never
sent blindly: its effect is looked for first (S3).

    Pending → AwaitingApproval → Approved → InProgress ⇄ Verifying → Completed
       ↓             ↓              ↓           ↓            ↓
    Cancelled   Rejected/Expired  Cancelled   RollingBack → RolledBack | RollbackFailed,  or Failed
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from bokgu.api.fields import bounded, format_decimal, parse_duration
from bokgu.api.incident import Incident
from bokgu.api.meta import Gate, set_condition
from bokgu.api.observed import AwsError, EcsService, ServiceRevision
from bokgu.api.protected_service import ProtectedService
from bokgu.api.recovery_plan import (
    Answer,
    AwsRequest,
    Intent,
    MetricReading,
    OperationStatus,
    RecoveryPlan,
    RecoveryPlanStatus,
    Step,
    StepStatus,
)
from bokgu.api.vocabulary import (
    Action,
    IncidentPhase,
    OnFailure,
    OperationPhase,
    PlanPhase,
    Verdict,
)
from bokgu.core.approval import Tally
from bokgu.core.aws_effects import (
    build_request,
    complete,
    find_change,
    find_effect,
    observe_before,
    repeatable,
    summarise,
    unchanged,
)
from bokgu.core.detection import Points
from bokgu.core.guards import APPROVED, GuardFacts, changed_precondition, evaluate_gates, first_blocking
from bokgu.core.verification import parse_expression, verify_window

Op = TypeVar("Op", bound=OperationStatus)

FRESH = timedelta(seconds=2)
"""A live read older than this is not acted on (S4)."""

BLOCKED_RETRY = timedelta(seconds=30)
"""How soon a closed gate is tried again when nothing announces its opening."""


@dataclass(frozen=True)
class Timing:
    """Delays that configuration sets."""

    consistency_delay: timedelta
    poll: timedelta


@dataclass(frozen=True)
class Measurement:
    """The values that a validation's expression is about, one a period."""

    points: Points
    period: timedelta
    settle: timedelta


@dataclass(frozen=True)
class PlanFacts:
    """All that a decision rests on.

    `incident` is None unless the incident with the bound uid exists. `service` is None where it was not read, or could
    not be: `problem` says why. `unsent` are tokens of intents that this very process stored and has not sent.
    `known_since` is when this process first could have seen the plan (it counts in-doubt time from there, S5).
    """

    now: datetime
    digest: str
    incident: Incident | None
    protected_service: ProtectedService | None
    tally: Tally
    service: EcsService | None
    problem: AwsError | None
    revisions: Mapping[str, ServiceRevision]
    measurement: Measurement | None
    unsent: frozenset[str]
    known_since: datetime
    holder: str
    timing: Timing


@dataclass(frozen=True)
class ClaimService:
    """Take the lock: `ProtectedService.status.activePlan` (S5)."""


@dataclass(frozen=True)
class ClaimIncident:
    """Mark the digest as started under this plan's uid in `Incident.status.plans[]`: a plan runs once."""

    digest: str


@dataclass(frozen=True)
class Send:
    """Send the stored intent with that token."""

    token: str
    request: AwsRequest


Effect = ClaimService | ClaimIncident | Send


@dataclass(frozen=True)
class Outcome:
    """What a pass comes to. With an effect the status is not written before the effect is done."""

    status: RecoveryPlanStatus
    effect: Effect | None = None
    requeue_after: timedelta | None = None


def decide(plan: RecoveryPlan, facts: PlanFacts) -> Outcome:
    """Take the plan one move further. A plan that is over stays as it is."""
    if plan.status.phase.terminal:
        return Outcome(plan.status)
    status = _take_note(plan, facts)
    outcome = _execute(plan, status, facts) if status.started_at else _await_start(plan, status, facts)
    return Outcome(_summarise(plan, outcome.status, facts), outcome.effect, outcome.requeue_after)


def in_flight(plan: RecoveryPlan) -> bool:
    """Whether a stored intent waits for its answer, its effect or its verification: no new one will be stored now."""
    operations = [o for s in plan.status.steps for o in (s, s.rollback) if o]
    going = {OperationPhase.IN_PROGRESS, OperationPhase.VERIFYING}
    return any(o.intent is not None and o.phase in going for o in operations)


def record_answer(status: RecoveryPlanStatus, token: str, answer: Answer) -> RecoveryPlanStatus:
    """Write down what AWS said to the intent with that token."""
    return status.model_copy(update={"steps": tuple(_record(step, token, answer) for step in status.steps)})


def forget_intent(status: RecoveryPlanStatus, token: str) -> RecoveryPlanStatus:
    """Take back an intent that AWS refused before acting, such as a throttled call: everything is asked again."""

    def forget(operation: Op) -> Op:
        if operation.intent is None or operation.intent.token != token:
            return operation
        return operation.model_copy(update={"intent": None, "answer": None, "phase": OperationPhase.PENDING})

    steps = (forget(step) for step in status.steps)
    return status.model_copy(
        update={
            "steps": tuple(s.model_copy(update={"rollback": forget(s.rollback)}) if s.rollback else s for s in steps)
        }
    )


def _record(step: StepStatus, token: str, answer: Answer) -> StepStatus:
    if step.intent and step.intent.token == token:
        return step.model_copy(update={"answer": answer})
    if step.rollback and step.rollback.intent and step.rollback.intent.token == token:
        return step.model_copy(update={"rollback": step.rollback.model_copy(update={"answer": answer})})
    return step


# Before the start


def _take_note(plan: RecoveryPlan, facts: PlanFacts) -> RecoveryPlanStatus:
    """What every pass writes down: digest, approvals, where the service lives, the list of steps."""
    status = plan.status
    target = status.target or (facts.protected_service.spec.target if facts.protected_service else None)
    return status.model_copy(
        update={
            "observed_generation": plan.metadata.generation,
            "digest": facts.digest,
            "required_approvals": facts.tally.required,
            "approvals": facts.tally.approvals,
            "approval_count": facts.tally.count,
            "target": target,
            "steps": status.steps or tuple(StepStatus(name=step.name) for step in plan.spec.steps),
        }
    )


def _await_start(plan: RecoveryPlan, status: RecoveryPlanStatus, facts: PlanFacts) -> Outcome:
    end = _reason_not_to_start(plan, facts)
    if end:
        phase, reason = end
        return Outcome(_finish(status, phase, reason, facts))
    wait = plan.spec.expires_at - facts.now
    step = first_write(plan) or plan.spec.steps[0]
    if not facts.tally.approved:
        gates = evaluate_gates(_guard_facts(plan, step, facts))
        blocking = first_blocking(gates)
        held = status.model_copy(
            update={
                "phase": PlanPhase.AWAITING_APPROVAL,
                "reason": blocking.reason if blocking else None,
                "gates": gates,
            }
        )
        return Outcome(held, requeue_after=wait)
    held, changed = _ask(plan, status, step, facts)
    if changed:
        return Outcome(_finish(status, PlanPhase.CANCELLED, "PreconditionChanged", facts, changed))
    blocking = first_blocking(held.gates)
    if blocking:
        held = held.model_copy(update={"phase": PlanPhase.APPROVED, "reason": blocking.reason})
        return Outcome(held, requeue_after=min(wait, BLOCKED_RETRY))
    active = facts.protected_service.status.active_plan if facts.protected_service else None
    if active is None:
        return Outcome(held, ClaimService())
    if not _claimed(plan, facts):
        return Outcome(held, ClaimIncident(facts.digest))
    begun = held.model_copy(
        update={
            "phase": PlanPhase.IN_PROGRESS,
            "reason": None,
            "started_at": facts.now,
            "metrics": _metrics_before(facts.incident),
        }
    )
    return Outcome(begun, requeue_after=timedelta())


def first_write(plan: RecoveryPlan) -> Step | None:
    """The first step that changes something in AWS."""
    return next((step for step in plan.spec.steps if step.action.writes), None)


def _reason_not_to_start(plan: RecoveryPlan, facts: PlanFacts) -> tuple[PlanPhase, str] | None:
    """Why the plan can never start, as (final phase, reason)."""
    incident = facts.incident
    if plan.metadata.deletion_timestamp:
        return PlanPhase.CANCELLED, "Deleted"
    if incident is None:
        return PlanPhase.CANCELLED, "IncidentGone"
    if any(
        entry.digest == facts.digest and entry.started_at and entry.uid != plan.metadata.uid
        for entry in incident.status.plans
    ):
        return PlanPhase.CANCELLED, "AlreadyExecuted"
    if incident.status.phase is IncidentPhase.RESOLVED:
        return PlanPhase.CANCELLED, "IncidentResolved"
    if facts.tally.rejected_by:
        return PlanPhase.REJECTED, "Rejected"
    if facts.now >= plan.spec.expires_at:
        return PlanPhase.EXPIRED, "Expired"
    return None


def _claimed(plan: RecoveryPlan, facts: PlanFacts) -> bool:
    plans = facts.incident.status.plans if facts.incident else ()
    return any(e.uid == plan.metadata.uid and e.digest == facts.digest and e.started_at for e in plans)


def _metrics_before(incident: Incident | None) -> tuple[MetricReading, ...]:
    return tuple(MetricReading(name=m.name, before=m.value) for m in incident.spec.metrics) if incident else ()


def _guard_facts(plan: RecoveryPlan, step: Step, facts: PlanFacts) -> GuardFacts:
    return GuardFacts(
        plan=plan,
        step=step,
        protected_service=facts.protected_service,
        service=facts.service,
        problem=None if facts.problem is None else f"{facts.problem.code}: {facts.problem.message}",
        tally=facts.tally,
        now=facts.now,
    )


def _ask(
    plan: RecoveryPlan, status: RecoveryPlanStatus, step: Step, facts: PlanFacts
) -> tuple[RecoveryPlanStatus, str | None]:
    """Ask the guards and compare the preconditions: (status with gates, what has changed)."""
    gates = evaluate_gates(_guard_facts(plan, step, facts))
    changed = None
    if facts.service:
        changed = _find_surprise(plan, status, facts.service)
    return status.model_copy(update={"gates": gates}), changed


def _find_surprise(plan: RecoveryPlan, status: RecoveryPlanStatus, service: EcsService) -> str | None:
    """What is neither as the plan was made for nor as its own steps left it, or None (S4)."""
    expected = plan.spec.preconditions
    latest: dict[bool, tuple[Action, OperationStatus]] = {}
    for spec, operation in zip(plan.spec.steps, status.steps, strict=True):
        if not _took_effect(operation):
            continue
        scaled = spec.action is Action.SCALE_OUT
        latest[scaled] = (spec.action, operation)
        ours = {"desired_count": service.desired_count}
        replaced = {"service_revision_arn": None, "service_deployment_arn": None}
        expected = expected.model_copy(update=ours if scaled else replaced)
    changes = (find_change(action, operation, service) for action, operation in latest.values())
    return changed_precondition(expected, service) or next((c.message for c in changes if c), None)


# While it runs


def _took_effect(operation: OperationStatus) -> bool:
    return operation.answer is not None and operation.answer.result in {"Accepted", "Adopted"}


def _behind(step: StepStatus) -> bool:
    return step.phase in {OperationPhase.COMPLETED, OperationPhase.SKIPPED}


def _execute(plan: RecoveryPlan, status: RecoveryPlanStatus, facts: PlanFacts) -> Outcome:
    if status.phase is PlanPhase.ROLLING_BACK:
        return _roll_back(plan, status, facts)
    index = next((i for i, s in enumerate(status.steps) if not _behind(s)), None)
    if index is None:
        return Outcome(_conclude(plan, status, facts))
    step, operation = plan.spec.steps[index], status.steps[index]
    if operation.phase is OperationPhase.FAILED:
        return _after_failure(plan, status, index, facts)
    cancel = _cancelled_by(plan, facts)
    in_doubt = operation.intent is not None and (operation.answer is None or operation.answer.result == "Unknown")
    if cancel and not in_doubt:
        failed = _fail(operation, cancel, facts)
        return Outcome(_with_step(status, index, failed), requeue_after=timedelta())
    if step.action is Action.HEALTH_CHECK:
        return _check_health(plan, status, index, facts)
    if operation.intent is None:
        return _write_intent(plan, status, index, facts)
    grace = parse_duration(step.validation.timeout) if step.validation else timedelta()
    moved = _follow(step.action, operation, parse_duration(step.timeout), grace, facts)
    if moved.complete:
        moved = _Move(_verify(step, moved.operation, facts))
    status = _with_step(status, index, moved.operation)
    phase = PlanPhase.VERIFYING if moved.operation.phase is OperationPhase.VERIFYING else PlanPhase.IN_PROGRESS
    status = status.model_copy(update={"phase": phase, "reason": None})
    if moved.operation.phase in {OperationPhase.COMPLETED, OperationPhase.FAILED}:
        status = status.model_copy(update={"metrics": _metrics_after(status, step, facts)})
    return Outcome(status, moved.effect, _pace(moved.operation, facts))


def _conclude(plan: RecoveryPlan, status: RecoveryPlanStatus, facts: PlanFacts) -> RecoveryPlanStatus:
    """All steps are behind. A plan none of whose writes got through recovered nothing."""
    writes = [s for spec, s in zip(plan.spec.steps, status.steps, strict=True) if spec.action.writes]
    skipped = next((s for s in status.steps if s.phase is OperationPhase.SKIPPED), None)
    if skipped and all(s.phase is OperationPhase.SKIPPED for s in writes):
        return _finish(status, PlanPhase.FAILED, skipped.reason or "StepFailed", facts)
    return _finish(status, PlanPhase.COMPLETED, "Recovered", facts)


def _cancelled_by(plan: RecoveryPlan, facts: PlanFacts) -> str | None:
    """Who stops the plan: a person's Reject, or the deletion of the plan."""
    if facts.tally.rejected_by:
        return "Rejected"
    return "Deleted" if plan.metadata.deletion_timestamp else None


def _pace(operation: OperationStatus, facts: PlanFacts) -> timedelta:
    """At once when the move changed the phase for good, else at the polling interval."""
    done = operation.phase in {OperationPhase.COMPLETED, OperationPhase.FAILED}
    return timedelta() if done else facts.timing.poll


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
        operation = _succeed(operation, facts, output)
    elif facts.now >= started + parse_duration(plan.spec.steps[index].timeout):
        operation = _fail(operation, facts.problem.code if facts.problem else "Timeout", facts)
    return Outcome(_with_step(status, index, operation), requeue_after=_pace(operation, facts))


def _write_intent(plan: RecoveryPlan, status: RecoveryPlanStatus, index: int, facts: PlanFacts) -> Outcome:
    """Ask everything again, then store what is about to be sent."""
    step, operation = plan.spec.steps[index], status.steps[index]
    status, changed = _ask(plan, status, step, facts)
    waits_since = max(t for t in (status.started_at, *(s.finished_at for s in status.steps[:index])) if t)
    late = facts.now >= (operation.started_at or waits_since) + parse_duration(step.timeout)
    if changed:
        operation = _fail(operation, "PreconditionChanged", facts, changed)
        return Outcome(_with_step(status, index, operation), requeue_after=timedelta())
    if not facts.tally.approved:
        operation = _fail(operation, "ApprovalWithdrawn", facts, f"no longer approved as {facts.tally.missing}")
        return Outcome(_with_step(status, index, operation), requeue_after=timedelta())
    blocking = first_blocking(status.gates)
    if not (late or blocking) and facts.protected_service and facts.protected_service.status.active_plan is None:
        return Outcome(status, ClaimService())  # The lock was lost with the object that it stood on.
    if late or blocking or facts.service is None or status.target is None:
        if late:
            operation = _fail(operation, "BlockedTooLong", facts, blocking.message if blocking else None)
        status = status.model_copy(update={"reason": blocking.reason if blocking else "ServiceUnreadable"})
        return Outcome(_with_step(status, index, operation), requeue_after=facts.timing.poll)
    arn = step.parameters.service_revision_arn if step.parameters else None
    try:
        request = build_request(
            step.action,
            step.parameters,
            cluster=status.target.cluster,
            service=status.target.service,
            revision=facts.revisions.get(arn or ""),
            current=facts.revisions.get(facts.service.service_revision_arn or ""),
        )
    except ValueError as error:
        operation = _fail(operation, "CannotBuildRequest", facts, str(error))
        return Outcome(_with_step(status, index, operation), requeue_after=timedelta())
    attempt = operation.attempt + 1
    intent = Intent(
        token=f"{plan.metadata.uid[:8]}-{index + 1}-{attempt}",
        attempt=attempt,
        plan_uid=plan.metadata.uid,
        digest=facts.digest,
        approvals=facts.tally.counted,
        request=request,
        before=observe_before(facts.service),
        holder=facts.holder,
        written_at=facts.now,
    )
    operation = operation.model_copy(
        update={
            "phase": OperationPhase.IN_PROGRESS,
            "started_at": operation.started_at or facts.now,
            "intent": intent,
            "attempt": attempt,
            "answer": None,
        }
    )
    status = status.model_copy(update={"phase": PlanPhase.IN_PROGRESS, "reason": None})
    return Outcome(_with_step(status, index, operation), requeue_after=timedelta())


@dataclass(frozen=True)
class _Move(Generic[Op]):
    """`complete`: ECS was seen to run what was intended, in this very pass."""

    operation: Op
    effect: Send | None = None
    complete: bool = False


def _follow(action: Action, operation: Op, timeout: timedelta, grace: timedelta, facts: PlanFacts) -> _Move[Op]:
    """Take an operation with a stored intent further: send it, find its effect, wait until it is complete.

    It must be complete within `timeout`; one that was and fell back, within `grace` more.
    """
    deadline = (operation.started_at or facts.now) + timeout
    if operation.phase is OperationPhase.VERIFYING:
        deadline += grace
    if operation.intent is None or operation.answer is None:
        return _settle_intent(action, operation, deadline, facts)
    if operation.answer.result == "Refused":
        return _Move(_fail(operation, "RefusedByAws", facts, operation.answer.message))
    if operation.answer.result == "NotSent":
        return _Move(_fail(operation, "PreconditionChanged", facts, operation.answer.message))
    if operation.answer.result == "Unknown":
        return _Move(_fail(operation, "EffectUnknown", facts, operation.answer.message))
    service, late = facts.service, facts.now >= deadline
    if service is None:  # A state that cannot be read is no reason to act, until time is up.
        return _Move(_fail(operation, "ServiceUnreadable", facts) if late else operation)
    changed = find_change(action, operation, service)
    if changed and _may_be_stale(operation, service, facts):
        return _Move(operation.model_copy(update={"effective_at": None}))
    if changed:
        return _Move(
            _fail(operation, "ForeignChange" if changed.foreign else "DeploymentFailed", facts, changed.message)
        )
    if not complete(action, operation, service):
        if late:
            return _Move(_fail(operation, "Timeout", facts, summarise(service)))
        return _Move(operation.model_copy(update={"effective_at": None, "output": summarise(service)}))
    return _Move(
        operation.model_copy(
            update={
                "phase": OperationPhase.VERIFYING,
                "effective_at": operation.effective_at or _next_second(facts.now),
                "output": _effect_text(action, operation, service),
            }
        ),
        complete=True,
    )


def _may_be_stale(operation: OperationStatus, service: EcsService, facts: PlanFacts) -> bool:
    """Whether ECS may still show the service as it was before the call: it is eventually consistent."""
    intent, answer = operation.intent, operation.answer
    if intent is None or answer is None or facts.now >= answer.at + facts.timing.consistency_delay:
        return False
    return unchanged(intent.before, service)


def _next_second(moment: datetime) -> datetime:
    """Status keeps whole seconds: a window that must begin afterwards is rounded up."""
    return moment if moment.microsecond == 0 else moment.replace(microsecond=0) + timedelta(seconds=1)


def _settle_intent(action: Action, operation: Op, deadline: datetime, facts: PlanFacts) -> _Move[Op]:
    """An intent without an answer: send it if this process has just stored it, else find out what became of it."""
    intent, service = operation.intent, facts.service
    if intent is None or service is None:
        late = facts.now >= deadline + facts.timing.consistency_delay
        return _Move(_fail(operation, "EffectUnknown", facts) if late else operation)
    if intent.token in facts.unsent and facts.now - service.read_at <= FRESH:
        if unchanged(intent.before, service):
            return _Move(operation, Send(intent.token, intent.request))
        answer = Answer(at=facts.now, result="NotSent", message="the service changed just before the call")
        return _Move(operation.model_copy(update={"answer": answer}))
    if intent.token in facts.unsent:
        return _Move(operation)
    effect = find_effect(action, intent.before, intent.request, service)
    if effect.seen and not effect.ambiguous:
        answer = Answer(
            at=facts.now,
            result="Adopted",
            deployment_id=effect.deployment_id,
            service_revision_arn=effect.service_revision_arn,
            message="the answer was lost; the effect was found",
        )
        return _Move(operation.model_copy(update={"answer": answer}))
    in_doubt_since = max(intent.written_at, facts.known_since)
    if facts.now < in_doubt_since + facts.timing.consistency_delay and not effect.ambiguous:
        return _Move(operation)  # ECS is eventually consistent: seeing nothing proves nothing yet.
    if not effect.ambiguous and repeatable(action) and unchanged(intent.before, service):
        # It never happened, and would do no harm if it still did: ask everything again and store a new intent.
        return _Move(operation.model_copy(update={"intent": None, "phase": OperationPhase.PENDING}))
    answer = Answer(
        at=facts.now, result="Unknown", message="it cannot be told whether the call had its effect: a person must look"
    )
    return _Move(operation.model_copy(update={"answer": answer}))


def _verify(step: Step, operation: StepStatus, facts: PlanFacts) -> StepStatus:
    """Judge a step whose effect is complete. ECS agrees already; the metric must hold for its whole `for`."""
    validation, since = step.validation, operation.effective_at
    if validation is None or since is None:
        return _succeed(operation.model_copy(update={"verdict": Verdict.PASSED}), facts, operation.output or "")
    deadline = since + parse_duration(validation.timeout)
    last_chance = (operation.started_at or since) + parse_duration(step.timeout) + parse_duration(validation.timeout)
    measured = facts.measurement
    expression = parse_expression(validation.expression)
    result = verify_window(
        expression,
        measured.points if measured else (),
        period=measured.period if measured else timedelta(minutes=1),
        since=since,
        hold=parse_duration(validation.for_),
        deadline=min(deadline, last_chance),
        now=facts.now,
    )
    output = bounded(f"{(operation.output or '').split('; verified', 1)[0]}; verified: {result.message}", 2048)
    if result.verdict is None:
        return operation.model_copy(update={"output": output})
    operation = operation.model_copy(update={"verdict": result.verdict})
    if result.verdict is Verdict.PASSED:
        return _succeed(operation, facts, output)
    return _fail(operation, f"Verification{result.verdict}", facts, output)


def _metrics_after(status: RecoveryPlanStatus, step: Step, facts: PlanFacts) -> tuple[MetricReading, ...]:
    """The value that the verification ended with, beside the one that the plan started with."""
    values = [value for _, value in facts.measurement.points if value is not None] if facts.measurement else []
    if step.validation is None or not values:
        return status.metrics
    name = parse_expression(step.validation.expression).name
    after = format_decimal(values[-1])
    if all(m.name != name for m in status.metrics):
        return (*status.metrics, MetricReading(name=name, after=after))[:16]
    return tuple(m.model_copy(update={"after": after}) if m.name == name else m for m in status.metrics)


def _after_failure(plan: RecoveryPlan, status: RecoveryPlanStatus, index: int, facts: PlanFacts) -> Outcome:
    """Apply `onFailure`. An inconclusive verification is no failure: nothing is undone, a person must look (S9)."""
    step, operation = plan.spec.steps[index], status.steps[index]
    reason = operation.reason or "StepFailed"
    took_effect = any(_took_effect(s) for s in status.steps)
    if reason == "PreconditionChanged" and not took_effect:
        return Outcome(_finish(status, PlanPhase.CANCELLED, reason, facts))
    person_must_look = operation.verdict is Verdict.INCONCLUSIVE or reason in {"EffectUnknown", "ForeignChange"}
    stop = reason in {"Rejected", "Deleted"}
    if person_must_look:
        return Outcome(_finish(status, PlanPhase.FAILED, reason, facts))
    if step.on_failure is OnFailure.CONTINUE and not stop and reason != "ApprovalWithdrawn":
        skipped = operation.model_copy(update={"phase": OperationPhase.SKIPPED})
        return Outcome(_with_step(status, index, skipped), requeue_after=timedelta())
    if (step.on_failure is OnFailure.ROLL_BACK or stop) and _next_undo(plan, status) is not None:
        rolling = status.model_copy(update={"phase": PlanPhase.ROLLING_BACK, "reason": reason})
        return Outcome(rolling, requeue_after=timedelta())
    phase = PlanPhase.CANCELLED if stop and not took_effect else PlanPhase.FAILED
    return Outcome(_finish(status, phase, reason, facts))


# Undo


def _next_undo(plan: RecoveryPlan, status: RecoveryPlanStatus) -> int | None:
    """The last step with an effect whose undo is not over yet."""
    for index in reversed(range(len(status.steps))):
        step = status.steps[index]
        over = step.rollback is not None and step.rollback.phase in _UNDO_OVER
        if _took_effect(step) and plan.spec.steps[index].rollback and not over:
            return index
    return None


_UNDO_OVER = frozenset({OperationPhase.COMPLETED, OperationPhase.FAILED})


def _roll_back(plan: RecoveryPlan, status: RecoveryPlanStatus, facts: PlanFacts) -> Outcome:
    """Undo in reverse order. It rests on the approvals in the forward intent: no gate or expiry stops it (S1)."""
    index = _next_undo(plan, status)
    if index is None:
        undone = [s.rollback for s in status.steps if s.rollback]
        failed = next((u for u in undone if u.phase is OperationPhase.FAILED), None)
        phase = PlanPhase.ROLLBACK_FAILED if failed else PlanPhase.ROLLED_BACK
        reason = (failed.reason if failed else status.reason) or "StepFailed"
        return Outcome(_finish(status, phase, reason, facts))
    step, forward = plan.spec.steps[index], status.steps[index]
    undo = forward.rollback or OperationStatus(started_at=facts.now)
    if undo.answer and undo.answer.result == "NotSent":  # ECS moved on by itself: look and ask again.
        undo = undo.model_copy(update={"intent": None, "answer": None, "phase": OperationPhase.PENDING})
    if undo.intent is None:
        undo = _write_undo_intent(step, forward, undo, status, facts)
        return Outcome(
            _with_undo(status, index, undo),
            requeue_after=timedelta() if undo.intent or undo.phase in _UNDO_OVER else facts.timing.poll,
        )
    moved = _follow(step.action, undo, parse_duration(step.timeout), timedelta(), facts)
    undo = moved.operation
    if moved.complete:
        undo = _succeed(undo.model_copy(update={"verdict": Verdict.PASSED}), facts, undo.output or "")
    return Outcome(_with_undo(status, index, undo), moved.effect, _pace(undo, facts))


def _write_undo_intent(
    step: Step, forward: StepStatus, undo: OperationStatus, status: RecoveryPlanStatus, facts: PlanFacts
) -> OperationStatus:
    """Store the undo of a step, if the service still holds what the step set."""
    service, intent, target = facts.service, forward.intent, status.target
    started = undo.started_at or facts.now
    if intent is None or target is None:
        return _fail(undo, "NothingToUndo", facts)
    if facts.now >= started + parse_duration(step.timeout):
        return _fail(undo, "Timeout" if service else "ServiceUnreadable", facts)
    if service is None:
        return undo
    changed = find_change(step.action, forward, service, _own_deployments(status))
    if changed and _may_be_stale(forward, service, facts):
        return undo
    if changed and changed.foreign:
        return _fail(undo, "ForeignChange", facts, f"not undone: {changed.message}")
    arn = intent.before.service_revision_arn
    set_by_step = step.parameters.service_revision_arn if step.parameters else None
    try:
        request = build_request(
            step.action,
            None,
            cluster=target.cluster,
            service=target.service,
            revision=facts.revisions.get(arn or ""),
            current=facts.revisions.get(service.service_revision_arn or set_by_step or ""),
        )
    except ValueError as error:
        return _fail(undo, "CannotBuildRequest", facts, str(error))
    attempt = undo.attempt + 1
    again = intent.model_copy(
        update={
            "token": f"{intent.token}-undo-{attempt}",
            "attempt": attempt,
            "request": request,
            "before": observe_before(service),
            "holder": facts.holder,
            "written_at": facts.now,
        }
    )
    return undo.model_copy(
        update={"phase": OperationPhase.IN_PROGRESS, "started_at": started, "attempt": attempt, "intent": again}
    )


def _own_deployments(status: RecoveryPlanStatus) -> frozenset[str]:
    """Ids of all deployments that this plan made, forward and back."""
    answers = (o.answer for s in status.steps for o in (s, s.rollback) if o)
    return frozenset(a.deployment_id for a in answers if a and a.deployment_id)


# Small moves


def _with_step(status: RecoveryPlanStatus, index: int, step: StepStatus) -> RecoveryPlanStatus:
    steps = (*status.steps[:index], step, *status.steps[index + 1 :])
    return status.model_copy(update={"steps": steps})


def _with_undo(status: RecoveryPlanStatus, index: int, undo: OperationStatus) -> RecoveryPlanStatus:
    return _with_step(status, index, status.steps[index].model_copy(update={"rollback": undo}))


def _succeed(operation: Op, facts: PlanFacts, output: str) -> Op:
    return operation.model_copy(
        update={"phase": OperationPhase.COMPLETED, "finished_at": facts.now, "output": bounded(output, 2048)}
    )


def _fail(operation: Op, reason: str, facts: PlanFacts, output: str | None = None) -> Op:
    return operation.model_copy(
        update={
            "phase": OperationPhase.FAILED,
            "reason": bounded(reason, 63),
            "finished_at": facts.now,
            "output": bounded(output or operation.output or reason, 2048),
        }
    )


def _effect_text(action: Action, operation: OperationStatus, service: EcsService) -> str:
    before = operation.intent.before if operation.intent else None
    if before is None:
        return summarise(service)
    if action is Action.SCALE_OUT:
        return f"desired count {before.desired_count} → {service.desired_count}; {summarise(service)}"
    old, new = (arn.rsplit("/", 1)[-1] for arn in (before.task_definition, service.task_definition))
    return f"task definition {old} → {new}; {summarise(service)}"


def _finish(
    status: RecoveryPlanStatus, phase: PlanPhase, reason: str, facts: PlanFacts, message: str = ""
) -> RecoveryPlanStatus:
    gates = (
        (*status.gates, Gate(name="Unchanged", passed=False, reason=reason, message=message))
        if message
        else status.gates
    )
    return status.model_copy(
        update={"phase": phase, "reason": bounded(reason, 63), "finished_at": facts.now, "gates": gates}
    )


def _summarise(plan: RecoveryPlan, status: RecoveryPlanStatus, facts: PlanFacts) -> RecoveryPlanStatus:
    """Progress and conditions, derived from the rest."""
    done = sum(_behind(s) for s in status.steps)
    closed = tuple(g for g in status.gates if g.name != APPROVED) if not status.phase.terminal else ()
    blocking = first_blocking(closed)
    phase = status.phase
    undone = phase in {PlanPhase.ROLLED_BACK, PlanPhase.ROLLBACK_FAILED}
    verdict = next((s.verdict for s in reversed(status.steps) if s.verdict), None)
    waiting = f"waits for {', '.join(facts.tally.missing)}"
    approved = facts.tally.approved or (status.started_at is not None and not facts.tally.rejected_by)
    over = f"{phase}: {status.reason}"
    rows: tuple[tuple[str, bool | None, str, str], ...] = (
        (
            "Approved",
            approved,
            "Approved" if approved else "ApprovalsMissing",
            facts.tally.count if approved else waiting,
        ),
        (
            "Blocked",
            blocking is not None,
            (blocking.reason or blocking.name) if blocking else "GatesOpen",
            (blocking.message if blocking else None) or "",
        ),
        (
            "Executed",
            done == len(status.steps),
            "AllSteps" if done == len(status.steps) else "StepsLeft",
            f"{done} steps done",
        ),
        (
            "Verified",
            None if verdict in {None, Verdict.INCONCLUSIVE} else verdict is Verdict.PASSED,
            str(verdict or "NotYet"),
            "",
        ),
        ("RolledBack", phase is PlanPhase.ROLLED_BACK, str(phase) if undone else "NotRolledBack", ""),
        (
            "Succeeded",
            phase is PlanPhase.COMPLETED if phase.terminal else None,
            status.reason or str(phase) if phase.terminal else "Running",
            over if phase.terminal else "",
        ),
    )
    conditions = status.conditions
    for type_, value, reason, message in rows:
        conditions = set_condition(
            conditions, type_, value, reason, message, now=facts.now, generation=plan.metadata.generation
        )
    return status.model_copy(update={"progress": f"{done}/{len(status.steps)}", "conditions": conditions})
