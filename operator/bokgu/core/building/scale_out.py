"""scale_out: more tasks, within what the ProtectedService allows."""

from bokgu.api.recovery_plan import Step, StepParameters
from bokgu.api.runbook import RunbookStep
from bokgu.core.building.count import wanted_count
from bokgu.core.building.step import concrete_step
from bokgu.core.planning_facts import NoPlan, PlanningFacts


def build_scale_out(step: RunbookStep, facts: PlanningFacts) -> tuple[Step, ...] | NoPlan:
    """The step, or why no more tasks may be asked for."""
    wanted, maximum = wanted_count(facts, step), facts.protected_service.spec.limits.max_desired_count
    if wanted is None:
        return NoPlan(
            "AtMaximum",
            f"{facts.service.desired_count} tasks are wanted and spec.limits.maxDesiredCount is {maximum or 'not set'}",
            wait=False,
        )
    return (concrete_step(step, facts, parameters=StepParameters(desired_count=wanted)),)
