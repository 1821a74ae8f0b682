"""The step `wait`: time passes, and where it asks for calm, the trouble must stay away meanwhile.

It sends nothing, so it needs no gates.
"""

from bokgu.api.fields import format_timestamp, parse_duration
from bokgu.api.recovery_plan import Step, StepStatus
from bokgu.api.vocabulary import OperationPhase, Verdict
from bokgu.core.operation import fail, succeed
from bokgu.core.plan_facts import PlanFacts


def wait_on(step: Step, operation: StepStatus, facts: PlanFacts) -> StepStatus:
    """The step as it stands now. `effective_at` is since when it counts: for calm, since the trouble is seen to be
    gone while the step waits."""
    started = operation.started_at or facts.now
    operation = operation.model_copy(
        update={"phase": OperationPhase.IN_PROGRESS, "started_at": started, "attempt": operation.attempt or 1}
    )
    asked = step.parameters
    if asked is None or asked.duration is None:
        return fail(operation, "CannotWait", facts, "wait needs parameters.duration")
    since = started
    if asked.calm:
        gone = facts.incident.status.mitigated_at if facts.incident else None
        if gone is None:
            return _not_calm(step, operation, facts)
        since = max(gone, started)
    what = "calm" if asked.calm else "waited"
    operation = operation.model_copy(
        update={"effective_at": since, "output": f"{what} since {format_timestamp(since)}, for {asked.duration}"}
    )
    if facts.now >= since + parse_duration(asked.duration):
        return succeed(operation.model_copy(update={"verdict": Verdict.PASSED}), facts, operation.output or "")
    return _give_up(step, operation, facts)


def _not_calm(step: Step, operation: StepStatus, facts: PlanFacts) -> StepStatus:
    """The trouble is there, or nobody says that it has gone."""
    if operation.effective_at is not None:
        since = format_timestamp(operation.effective_at)
        left = "nothing after this step is done, and what was scaled out stays so"
        return fail(operation, "TroubleBack", facts, f"the trouble was gone since {since} and has come back: {left}")
    return _give_up(step, operation.model_copy(update={"output": "the trouble is not seen to be gone yet"}), facts)


def _give_up(step: Step, operation: StepStatus, facts: PlanFacts) -> StepStatus:
    late = operation.started_at is not None and facts.now >= operation.started_at + parse_duration(step.timeout)
    return fail(operation, "Timeout", facts) if late else operation
