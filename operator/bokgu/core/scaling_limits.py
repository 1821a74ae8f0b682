"""What a change of the number of tasks must keep to (S11), and what must hold for Application Auto Scaling to be asked.

Each function says in a sentence what is wrong, or None.
"""

from bokgu.api.observed import EcsService, ScalableTarget
from bokgu.api.recovery_plan import RecoveryPlan, Step, StepParameters
from bokgu.api.vocabulary import Action
from bokgu.core.giving_back import find_raised
from bokgu.core.writes.write import took_effect

SCALING = frozenset({Action.SCALE_OUT, Action.SCALE_IN})
"""Actions that change how many tasks are wanted."""


def scales(plan: RecoveryPlan) -> bool:
    """Whether who owns the count matters to the plan."""
    return plan.spec.preconditions.scalable_target is not None or any(s.action in SCALING for s in plan.spec.steps)


def most_wanted(step: Step) -> int | None:
    """The most tasks that the step asks for, or lets others ask for; None where it asks for none."""
    asked = step.parameters or StepParameters()
    counts = [n for n in (asked.desired_count, asked.min_capacity, asked.max_capacity) if n is not None]
    return max(counts, default=None)


def find_other_owner(step: Step, target: ScalableTarget | None) -> str | None:
    """A count that is set beside Application Auto Scaling is set back, and a range that is set where it is not there
    would bring it in."""
    if step.action not in SCALING:
        return None
    moves_range = step.parameters is not None and step.parameters.min_capacity is not None
    if moves_range and target is None:
        return "Application Auto Scaling does not own the count, and setting a range would bring it in"
    if target is not None and not moves_range:
        owned = f"Application Auto Scaling owns the count ({target.minimum} to {target.maximum})"
        return f"{owned} and would set it back: its minimum must be moved instead, by a new plan"
    return None


def find_misfit(step: Step, service: EcsService, target: ScalableTarget | None) -> str | None:
    """Any RegisterScalableTarget brings the count into the range (API_RegisterScalableTarget): a service that somebody
    took out of it, such as to zero, would come back."""
    asked = step.parameters or StepParameters()
    if step.action not in SCALING or asked.min_capacity is None or target is None:
        return None
    count, low, high = service.desired_count, target.minimum, target.maximum
    if count == 0 or not low <= count <= high:
        return (
            f"{count} tasks are wanted, outside of {low} to {high}: somebody wants it so, and a new range would end it"
        )
    new_high = high if asked.max_capacity is None else asked.max_capacity
    if asked.min_capacity > new_high:
        return f"a minimum of {asked.min_capacity} is above the maximum of {new_high}"
    if step.action is Action.SCALE_OUT and (asked.min_capacity < low or new_high < high):
        return f"{asked.min_capacity} to {new_high} is less than {low} to {high}"
    return None


def find_floor(plan: RecoveryPlan, step: Step, service: EcsService) -> str | None:
    """A scale_in never takes more away than its own plan has added; without a scale_out before it, it leaves a task."""
    asked = step.parameters or StepParameters()
    if step.action is not Action.SCALE_IN:
        return None
    if asked.min_capacity is not None:
        raised = find_raised(plan, plan.status, step)
        before = raised.intent.before.scalable_target if raised and raised.intent else None
        if before is None:
            return "no step of this plan has raised a minimum that could be given back"
        if before.min_capacity != asked.min_capacity:
            return f"the minimum was {before.min_capacity} before this plan, not {asked.min_capacity}"
        return None
    if not asked.desired_count or asked.desired_count >= service.desired_count:
        return f"{asked.desired_count} tasks are not fewer than the {service.desired_count} of now, or none"
    before_ours = _count_before(plan)
    if before_ours is not None and asked.desired_count < before_ours:
        return f"there were {before_ours} tasks before this plan scaled out, and {asked.desired_count} are fewer"
    return None


def _count_before(plan: RecoveryPlan) -> int | None:
    """Desired count before the first scale_out of the plan, where one had its effect."""
    for step, operation in zip(plan.spec.steps, plan.status.steps, strict=False):
        if step.action is Action.SCALE_OUT and operation.intent and took_effect(operation):
            return operation.intent.before.desired_count
    return None
