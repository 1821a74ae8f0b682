"""One AWS write from its stored intent to its effect: a step forward, or the undo of one."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from bokgu.api.fields import bounded, bounded_lines
from bokgu.api.recovery_plan import Answer, OperationStatus, RecoveryPlan, RecoveryPlanStatus, Step, StepStatus
from bokgu.api.vocabulary import OperationPhase, PlanPhase, Verdict
from bokgu.core.deadlines import effect_by, settled_by
from bokgu.core.live_state import LiveState
from bokgu.core.plan_facts import PlanFacts, Send
from bokgu.core.serving import UNREAD, find_unserved
from bokgu.core.writes.table import complete, find_change, write_of
from bokgu.core.writes.write import Touches, summarise, unchanged

Op = TypeVar("Op", bound=OperationStatus)

FRESH = timedelta(seconds=2)
"""A live read older than this is not acted on (S4)."""


@dataclass(frozen=True)
class Move(Generic[Op]):
    """`complete`: ECS was seen to run what was intended, in this very pass."""

    operation: Op
    effect: Send | None = None
    complete: bool = False


def follow_operation(
    operation: Op, timeout: timedelta, grace: timedelta, facts: PlanFacts, *, serves: bool
) -> Move[Op]:
    """Take an operation with a stored intent further: send it, find its effect, wait until it is complete.

    It must be complete within `timeout`; one that was and fell back, within `grace` more. `serves`: it is not complete
    before load balancers see all tasks as healthy; an undo may return to a service that they never did.
    """
    deadline = effect_by(operation, timeout, grace, facts.now)
    if operation.intent is None or operation.answer is None:
        return _settle_intent(operation, deadline, facts)
    if operation.answer.result == "Refused":
        return Move(fail(operation, "RefusedByAws", facts, operation.answer.message))
    if operation.answer.result == "NotSent":
        return Move(fail(operation, "PreconditionChanged", facts, operation.answer.message))
    if operation.answer.result == "Unknown":
        return Move(fail(operation, "EffectUnknown", facts, operation.answer.message))
    live, late = facts.live, facts.now >= deadline
    if live is None:  # A state that cannot be read is no reason to act, until time is up.
        if late and operation.phase is OperationPhase.VERIFYING:
            operation = operation.model_copy(update={"verdict": Verdict.INCONCLUSIVE})
        return Move(fail(operation, "ServiceUnreadable", facts) if late else operation)
    changed = find_change(operation, live)
    if changed and may_be_stale(operation, live, facts):
        return Move(operation.model_copy(update={"effective_at": None}))
    if changed:
        return Move(fail(operation, changed.reason, facts, changed.message))
    lacks = None if complete(operation, live) else ""
    if lacks is None and serves:
        lacks = find_unserved(live)
    if lacks is not None:
        output = "; ".join(filter(None, (_progress_text(operation, live), lacks)))
        if late and lacks == UNREAD:
            unknown = operation.model_copy(update={"verdict": Verdict.INCONCLUSIVE})
            return Move(fail(unknown, "VerificationInconclusive", facts, output))
        if late:
            return Move(fail(operation, "Timeout", facts, output))
        return Move(operation.model_copy(update={"effective_at": None, "reason": None, "output": output}))
    return Move(
        operation.model_copy(
            update={
                "phase": OperationPhase.VERIFYING,
                # By the later of two clocks: what was measured before proves nothing (S9).
                "effective_at": operation.effective_at or _next_second(facts.latest),
                "output": _effect_text(operation, live),
            }
        ),
        complete=True,
    )


def _settle_intent(operation: Op, deadline: datetime, facts: PlanFacts) -> Move[Op]:
    """An intent without an answer: send it if this process has just stored it, else find out what became of it."""
    intent, live = operation.intent, facts.live
    if intent is None or live is None:
        late = facts.now >= deadline + facts.timing.consistency_delay
        return Move(fail(operation, "EffectUnknown", facts) if late else operation)
    if intent.token in facts.unsent and facts.now - live.service.read_at <= FRESH:
        if unchanged(intent.before, live):
            return Move(operation, Send(intent.token, intent.request))
        answer = Answer(at=facts.now, result="NotSent", message="the service changed just before the call")
        return Move(operation.model_copy(update={"answer": answer}))
    if intent.token in facts.unsent:
        return Move(operation)
    write = write_of(intent.request)
    effect = write.find_effect(intent, live)
    if effect.seen and not effect.ambiguous:
        answer = Answer(
            at=facts.now,
            result="Adopted",
            deployment_id=effect.deployment_id,
            service_revision_arn=effect.service_revision_arn,
            made=effect.made,
            message="the answer was lost; the effect was found",
        )
        return Move(operation.model_copy(update={"answer": answer}))
    if facts.now < settled_by(intent, facts) and not effect.ambiguous:
        return Move(operation)  # ECS is eventually consistent: seeing nothing proves nothing yet.
    shown = write.shown_for is None or facts.now < intent.written_at + write.shown_for
    if not effect.ambiguous and write.repeatable and shown and unchanged(intent.before, live):
        # It never happened, and would do no harm if it still did: ask everything again and store a new intent.
        return Move(operation.model_copy(update={"intent": None, "phase": OperationPhase.PENDING}))
    answer = Answer(
        at=facts.now, result="Unknown", message="it cannot be told whether the call had its effect: a person must look"
    )
    return Move(operation.model_copy(update={"answer": answer}))


def may_be_stale(operation: OperationStatus, live: LiveState, facts: PlanFacts) -> bool:
    """Whether ECS may still show the service as it was before the call: it is eventually consistent."""
    intent, answer = operation.intent, operation.answer
    if intent is None or answer is None or facts.now >= answer.at + facts.timing.consistency_delay:
        return False
    return unchanged(intent.before, live)


def _next_second(moment: datetime) -> datetime:
    """Status keeps whole seconds: a window that must begin afterwards is rounded up."""
    return moment if moment.microsecond == 0 else moment.replace(microsecond=0) + timedelta(seconds=1)


def _progress_text(operation: OperationStatus, live: LiveState) -> str:
    """Where the service stands, or what was started and is no part of it."""
    intent = operation.intent
    if intent is None or write_of(intent.request).touches is not Touches.NOTHING:
        return summarise(live.service)
    return _effect_text(operation, live)


def _effect_text(operation: OperationStatus, live: LiveState) -> str:
    return write_of(operation.intent.request).describe(operation, live) if operation.intent else summarise(live.service)


def succeed(operation: Op, facts: PlanFacts, output: str) -> Op:
    """The operation is done."""
    return operation.model_copy(
        update={"phase": OperationPhase.COMPLETED, "finished_at": facts.now, "output": bounded_lines(output, 2048)}
    )


def fail(operation: Op, reason: str, facts: PlanFacts, output: str | None = None) -> Op:
    """The operation has failed; `output` says more than the reason."""
    return operation.model_copy(
        update={
            "phase": OperationPhase.FAILED,
            "reason": bounded(reason, 63),
            "finished_at": facts.now,
            "output": bounded_lines(output or operation.output or reason, 2048),
        }
    )


def in_flight(plan: RecoveryPlan) -> bool:
    """Whether a stored intent waits for its answer, its effect or its verification: no new one will be stored now."""
    operations = [o for s in plan.status.steps for o in (s, s.rollback) if o]
    going = {OperationPhase.IN_PROGRESS, OperationPhase.VERIFYING}
    return any(o.intent is not None and o.phase in going for o in operations)


def find_verified(plan: RecoveryPlan) -> tuple[Step, StepStatus] | None:
    """The step that has been sent and is not over, as planned and as it stands; none while the plan rolls back."""
    if plan.status.phase is PlanPhase.ROLLING_BACK:
        return None
    going = {OperationPhase.IN_PROGRESS, OperationPhase.VERIFYING}
    steps = zip(plan.spec.steps, plan.status.steps, strict=False)
    return next(((spec, status) for spec, status in steps if status.phase in going and status.answer), None)


def record_answer(status: RecoveryPlanStatus, token: str, answer: Answer) -> RecoveryPlanStatus:
    """Write down what AWS said to the intent with that token."""
    return status.model_copy(update={"steps": tuple(_record(step, token, answer) for step in status.steps)})


def _record(step: StepStatus, token: str, answer: Answer) -> StepStatus:
    if step.intent and step.intent.token == token:
        return step.model_copy(update={"answer": answer})
    if step.rollback and step.rollback.intent and step.rollback.intent.token == token:
        return step.model_copy(update={"rollback": step.rollback.model_copy(update={"answer": answer})})
    return step


LEASE_NOT_HELD = "LeaseNotHeld"
"""Reason of an operation that was not sent because its process was about to lose its lease, or had (S5)."""


def hold_unsent(status: RecoveryPlanStatus, token: str, reason: str) -> RecoveryPlanStatus:
    """Take back an intent that was not sent, and say why: no failure, whoever acts next asks everything again."""
    status = forget_intent(status, token, reason)
    return status if status.phase is PlanPhase.ROLLING_BACK else status.model_copy(update={"reason": reason})


def forget_intent(status: RecoveryPlanStatus, token: str, reason: str | None = None) -> RecoveryPlanStatus:
    """Take back an intent that AWS refused before acting, such as a throttled call: everything is asked again."""

    def forget(operation: Op) -> Op:
        if operation.intent is None or operation.intent.token != token:
            return operation
        pending = {"intent": None, "answer": None, "phase": OperationPhase.PENDING, "reason": reason}
        return operation.model_copy(update=pending)

    steps = (forget(step) for step in status.steps)
    return status.model_copy(
        update={
            "steps": tuple(s.model_copy(update={"rollback": forget(s.rollback)}) if s.rollback else s for s in steps)
        }
    )


def pace(operation: OperationStatus, facts: PlanFacts) -> timedelta:
    """At once when the move changed the phase for good, else at the polling interval."""
    done = operation.phase in {OperationPhase.COMPLETED, OperationPhase.FAILED}
    return timedelta() if done else facts.timing.poll
