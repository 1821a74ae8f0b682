"""What proves that a step worked, once its effect is complete: a metric or a log for a whole window, or a person.

ECS agrees already when anything here is asked: two sources must say the same before a step has passed.
"""

from datetime import datetime, timedelta

from bokgu.api.fields import bounded_lines, format_decimal, format_timestamp, parse_duration
from bokgu.api.recovery_plan import MetricReading, RecoveryPlanStatus, Step, StepStatus, Validation
from bokgu.api.vocabulary import Action, ValidationType, Verdict
from bokgu.core.deadlines import verified_by
from bokgu.core.operation import fail, succeed
from bokgu.core.plan_facts import PlanFacts
from bokgu.core.verification import parse_expression, verify_window


def describe_validation(validation: Validation) -> str:
    """What proves a step, for people."""
    if validation.type is ValidationType.MANUAL:
        return f"proven when a person confirms it, within {validation.timeout}"
    of_log = f" of the events that match {validation.pattern}" if validation.pattern else ""
    return f"proven when {validation.expression}{of_log} holds for {validation.for_}, within {validation.timeout}"


AWAITING_CONFIRMATION = "AwaitingConfirmation"
"""Reason of a step, and of its plan, that waits for a person to confirm it."""


def awaits_confirmation(step: StepStatus) -> bool:
    """Whether the step waits for a person."""
    return step.reason == AWAITING_CONFIRMATION and step.finished_at is None


def await_confirmation(
    step: Step, operation: StepStatus, facts: PlanFacts, *, by: datetime, proves: bool
) -> StepStatus:
    """Wait until somebody confirms the step. `proves`: that is what proves that it worked, and then it is inconclusive
    that nobody does (S9)."""
    counted = facts.tally.confirmed.get(step.name)
    said = (operation.output or "").split("; waits until", 1)[0]
    operation = operation.model_copy(update={"reason": None})
    if counted is not None:
        output = f"{said}; confirmed by {counted.approver} as {counted.role} ({counted.proof})"
        verdict = Verdict.PASSED if proves else None
        return succeed(operation.model_copy(update={"verdict": verdict, "confirmation": counted}), facts, output)
    if facts.now >= by:
        verdict = Verdict.INCONCLUSIVE if proves else None
        return fail(operation.model_copy(update={"verdict": verdict}), "NotConfirmed", facts, said)
    roles = " or ".join(dict.fromkeys(facts.tally.required))
    how = f"waits until {format_timestamp(by)} for a person: bokgu approve PLAN --step {step.name} --role {roles}"
    output = bounded_lines(f"{said}; {how}", 2048)
    return operation.model_copy(update={"reason": AWAITING_CONFIRMATION, "output": output})


UNPROVEN = "no more was checked: the step has no validation"


def verify_step(step: Step, operation: StepStatus, facts: PlanFacts) -> StepStatus:
    """Judge a step whose effect is complete. One without a validation is done, and nothing but ECS says so."""
    validation, since = step.validation, operation.effective_at
    if validation is None or since is None:
        return succeed(operation, facts, "; ".join(filter(None, (operation.output, UNPROVEN))))
    if validation.type is ValidationType.MANUAL:
        return await_confirmation(
            step, operation, facts, by=verified_by(step, operation, facts, thin=False), proves=True
        )
    measured = facts.measurement
    try:
        expression = parse_expression(validation.expression or "")
    except ValueError as error:  # A plan that was stored before admission looked at it.
        unproven = operation.model_copy(update={"verdict": Verdict.INCONCLUSIVE})
        return fail(unproven, f"Verification{Verdict.INCONCLUSIVE}", facts, str(error))
    result = verify_window(
        expression,
        measured.points if measured else (),
        period=measured.period if measured else timedelta(minutes=1),
        since=since,
        hold=parse_duration(validation.for_ or "0s"),
        deadline=verified_by(step, operation, facts, thin=False),
        patience=verified_by(step, operation, facts, thin=True),
        volumes=measured.volumes if measured else {},
        enough=measured.enough if measured else 0.0,
        now=facts.earliest,
    )
    output = bounded_lines(f"{(operation.output or '').split('; verified', 1)[0]}; verified: {result.message}", 2048)
    if result.verdict is None:
        return operation.model_copy(update={"output": output})
    operation = operation.model_copy(update={"verdict": result.verdict})
    if result.verdict is Verdict.PASSED:
        return succeed(operation, facts, output)
    kept = "; not taken back while the incident is open" if step.action is Action.SCALE_OUT else ""
    return fail(operation, f"Verification{result.verdict}", facts, output + kept)


def metrics_after(status: RecoveryPlanStatus, step: Step, facts: PlanFacts) -> tuple[MetricReading, ...]:
    """The value that the verification ended with, beside the one that the plan started with."""
    values = [value for _, value in facts.measurement.points if value is not None] if facts.measurement else []
    if step.validation is None or step.validation.type is not ValidationType.METRIC or not values:
        return status.metrics
    name = parse_expression(step.validation.expression or "").name
    after = format_decimal(values[-1])
    if all(m.name != name for m in status.metrics):
        return (*status.metrics, MetricReading(name=name, after=after))[:16]
    return tuple(m.model_copy(update={"after": after}) if m.name == name else m for m in status.metrics)
