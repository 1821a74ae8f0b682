"""scale_out: more tasks, within what the ProtectedService allows.

Where Application Auto Scaling owns the count, its minimum is raised, and given back when the trouble has stayed away.
Its maximum is somebody's decision about money: a plan may raise it where people approve exactly that, and never lowers
it again.
"""

from datetime import timedelta

from bokgu.api.fields import format_duration, parse_duration
from bokgu.api.observed import ScalableTarget
from bokgu.api.recovery_plan import Step, StepParameters
from bokgu.api.runbook import RunbookParameters, RunbookStep
from bokgu.api.vocabulary import Action, OnFailure
from bokgu.core.building.count import wanted_count
from bokgu.core.building.step import concrete_step
from bokgu.core.building.wait import LONGEST, SHORTEST, build_wait
from bokgu.core.planning_facts import NoPlan, PlanningFacts
from bokgu.core.scaling_limits import find_misfit


def build_scale_out(step: RunbookStep, facts: PlanningFacts) -> tuple[Step, ...] | NoPlan:
    """The step and what gives back its minimum, or why no more tasks may be asked for."""
    wanted, maximum = wanted_count(facts, step), facts.protected_service.spec.limits.max_desired_count
    if wanted is None:
        return NoPlan(
            "AtMaximum",
            f"{facts.service.desired_count} tasks are wanted and spec.limits.maxDesiredCount is {maximum or 'not set'}",
            wait=False,
        )
    if facts.scaling_unread is not None:
        message = f"it is not known whether Application Auto Scaling owns the count: {facts.scaling_unread}"
        return NoPlan("ScalingUnknown", message, wait=True)
    if facts.scalable_target is None:
        return (concrete_step(step, facts, parameters=StepParameters(desired_count=wanted)),)
    return _move_range(step, facts, facts.scalable_target, wanted)


def _move_range(
    step: RunbookStep, facts: PlanningFacts, target: ScalableTarget, wanted: int
) -> tuple[Step, ...] | NoPlan:
    raises = wanted > target.maximum
    parameters = StepParameters(desired_count=wanted, min_capacity=wanted, max_capacity=wanted if raises else None)
    owned = f"Application Auto Scaling owns the count, from {target.minimum} to {target.maximum}"
    suspended = f" ({', '.join(target.suspended)} suspended)" if target.suspended else ""
    calm = _calm(facts)
    if raises:
        moved = (
            f"its maximum is raised from {target.maximum} to {wanted} and its minimum from {target.minimum} to"
            f" {wanted}; both stay so until people lower them"
        )
    else:
        moved = (
            f"its minimum is raised to {wanted}, and given back when the trouble has stayed away for"
            f" {format_duration(calm)}"
        )
    raising = concrete_step(step, facts, parameters=parameters, remark=f"{owned}{suspended}: {moved}.")
    if (misfit := find_misfit(raising, facts.service, target)) is not None:
        return NoPlan("OutsideRange", misfit, wait=True)
    if raises:
        return (raising,)
    waits = RunbookStep(
        name=_name(step, "calm"),
        action=Action.WAIT,
        parameters=RunbookParameters(duration=format_duration(calm), calm=True),
        on_failure=OnFailure.STOP,
    )
    waiting = build_wait(waits, facts)
    if isinstance(waiting, NoPlan):
        return waiting
    gives_back = RunbookStep(
        name=_name(step, "give-back"),
        action=Action.SCALE_IN,
        description=f"Give the minimum of Application Auto Scaling back: {target.minimum} instead of {wanted}, if"
        " nobody has set another range meanwhile. Its policies and schedules decide on the tasks then.",
        on_failure=OnFailure.STOP,
    )
    restored = StepParameters(min_capacity=target.minimum)
    return (raising, *waiting, concrete_step(gives_back, facts, parameters=restored))


def _calm(facts: PlanningFacts) -> timedelta:
    watch = parse_duration(facts.protected_service.spec.detection.relapse_watch)
    return min(max(watch, SHORTEST), LONGEST)


def _name(step: RunbookStep, what: str) -> str:
    return f"{step.name[: 62 - len(what)].rstrip('-')}-{what}"
