"""What an incident leaves for people: what Bokgu does not do by itself, once it has done what it does."""

from collections.abc import Iterator, Sequence

from bokgu.api.meta import find_condition, is_true
from bokgu.api.recovery_plan import RecoveryPlan, Step, StepStatus
from bokgu.api.vocabulary import Action, IncidentPhase, OperationPhase, PlanPhase
from bokgu.commands.explanation import Explanation, step_statuses
from bokgu.commands.overview_text import format_people
from bokgu.core.announcement import APPROVED
from bokgu.core.approval.tally import EMERGENCY_OVERRIDE
from bokgu.core.timeline import REVERTED
from bokgu.core.writes.write import took_effect

_ENDED_BADLY = frozenset({PlanPhase.FAILED, PlanPhase.ROLLED_BACK, PlanPhase.ROLLBACK_FAILED, PlanPhase.CANCELLED})


def find_left(told: Explanation, plans: Sequence[RecoveryPlan]) -> tuple[str, ...]:
    """What is left for a person, the most pressing first; empty where nothing is that Bokgu knows of."""
    return tuple(dict.fromkeys((*_while_open(told), *_about_plans(told, plans), *_about_the_cause(told, plans))))


def _while_open(told: Explanation) -> Iterator[str]:
    wait = told.entry.wait
    if told.entry.incident.status.phase is IncidentPhase.RESOLVED:
        return
    yield f"it is not over, and waits for {f'{format_people(wait)}: ' if wait.whom else ''}{wait.what}"
    yield from wait.advice
    if wait.then:
        yield f"if nobody does anything: {wait.then}"


def _about_plans(told: Explanation, plans: Sequence[RecoveryPlan]) -> Iterator[str]:
    for entry in told.entry.incident.status.plans:
        if entry.relapsed_at is not None:
            yield f"the trouble came back after plan {entry.name} had completed: find out why it did not last"
    for plan in plans:
        name, status = plan.metadata.name, plan.status
        if status.phase in _ENDED_BADLY:
            yield f"plan {name} ended as {status.phase} ({status.reason}): find out why"
        said = find_condition(status.conditions, APPROVED)
        if said is not None and is_true((said,), APPROVED) and said.reason == EMERGENCY_OVERRIDE:
            yield f"plan {name} was let through by the emergency role: look at it with those who would have approved"
        yield from _about_scaling(plan)


def _about_scaling(plan: RecoveryPlan) -> Iterator[str]:
    """Tasks that a scale_out added, and that no later step took away."""
    steps = tuple(zip(plan.spec.steps, step_statuses(plan), strict=True))
    for index, (step, done) in enumerate(steps):
        given_back = any(s.action is Action.SCALE_IN and _worked(d) for s, d in steps[index + 1 :])
        if step.action is Action.SCALE_OUT and took_effect(done) and not given_back:
            yield _name_scaling(step, done)


def _name_scaling(step: Step, done: StepStatus) -> str:
    before = f", from {done.intent.before.desired_count}" if done.intent else ""
    wanted = step.parameters.desired_count if step.parameters else None
    what = "the minimum of Application Auto Scaling" if _raises(step) else "the desired count"
    return f"step {step.name} set {what} to {wanted}{before}: it stays so until somebody changes it"


def _raises(step: Step) -> bool:
    return step.parameters is not None and step.parameters.min_capacity is not None


def _worked(done: StepStatus) -> bool:
    return done.phase is OperationPhase.COMPLETED


def _about_the_cause(told: Explanation, plans: Sequence[RecoveryPlan]) -> Iterator[str]:
    incident = told.entry.incident
    status, known = incident.status, incident.status.classification
    if any(entry.event == REVERTED for entry in status.timeline):
        yield "somebody has set back what a plan had set: the timeline says what"
    completed = [plan for plan in plans if plan.status.phase is PlanPhase.COMPLETED]
    returned = any(
        step.action is Action.ROLLBACK and _worked(done)
        for plan in completed
        for step, done in zip(plan.spec.steps, step_statuses(plan), strict=True)
    )
    if returned:
        yield "the revision that was rolled back still has its fault: mend it before it is deployed again"
    if known and status.phase is IncidentPhase.RESOLVED and not completed:
        yield f"no plan of Bokgu ended it: find out whether {known.root_cause} is still there"
