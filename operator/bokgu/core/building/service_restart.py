"""service_restart: new tasks of the same revision."""

from bokgu.api.recovery_plan import Step
from bokgu.api.runbook import RunbookStep
from bokgu.core.building.step import concrete_step
from bokgu.core.planning_facts import NoPlan, PlanningFacts


def build_restart(step: RunbookStep, facts: PlanningFacts) -> tuple[Step, ...] | NoPlan:
    """The step, or why a restart would interrupt the service."""
    keeps, needed = facts.service.minimum_healthy_percent, None
    if step.parameters:
        needed = step.parameters.minimum_healthy_percent
    if needed and (keeps is None or keeps < needed):
        return NoPlan(
            "WouldInterrupt",
            f"minimumHealthyPercent of the service is {'not known' if keeps is None else keeps}: a restart would stop"
            f" tasks before new ones run, and {needed} is needed",
            wait=False,
        )
    return (concrete_step(step, facts),)
