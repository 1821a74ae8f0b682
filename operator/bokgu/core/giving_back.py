"""Giving back what a scale_out raised: the minimum of Application Auto Scaling, by a later step of the same plan.

It is what is left of the scale_out, so what allows that allows it too; and only its own range stands for it: whatever
else of the service has changed meanwhile, such as its revision, is no reason to keep the minimum up.
"""

from bokgu.api.recovery_plan import OperationStatus, RecoveryPlan, RecoveryPlanStatus, Step
from bokgu.api.vocabulary import Action
from bokgu.core.writes.write import took_effect


def find_raising(plan: RecoveryPlan, step: Step) -> int | None:
    """Index of the scale_out whose minimum the step gives back, or None where it gives none back."""
    if step.action is not Action.SCALE_IN or step.parameters is None or step.parameters.min_capacity is None:
        return None
    index = next((i for i, s in enumerate(plan.spec.steps) if s.name == step.name), 0)
    raising = [i for i, s in enumerate(plan.spec.steps[:index]) if s.action is Action.SCALE_OUT and _raises(s)]
    return raising[-1] if raising else None


def _raises(step: Step) -> bool:
    return step.parameters is not None and step.parameters.min_capacity is not None


def find_raised(plan: RecoveryPlan, status: RecoveryPlanStatus, step: Step) -> OperationStatus | None:
    """The operation that raised the minimum that the step gives back, where it had its effect."""
    index = find_raising(plan, step)
    operation = status.steps[index] if index is not None and index < len(status.steps) else None
    return operation if operation is not None and took_effect(operation) else None


def allowed_by(plan: RecoveryPlan, step: Step) -> Action:
    """The action whose allowance the step needs: its own, or scale_out where it gives exactly that back."""
    found = plan.spec.preconditions.scalable_target
    exact = step.parameters is not None and found is not None and step.parameters.min_capacity == found.min_capacity
    return Action.SCALE_OUT if exact and find_raising(plan, step) is not None else step.action
