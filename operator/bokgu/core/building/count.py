"""How many tasks a scale_out asks for."""

import math

from bokgu.api.runbook import RunbookStep
from bokgu.core.planning_facts import PlanningFacts


def wanted_count(facts: PlanningFacts, step: RunbookStep | None = None) -> int | None:
    """How many tasks a scale_out asks for; None where it may not ask for any more (S11)."""
    limits, desired = facts.protected_service.spec.limits, facts.service.desired_count
    maximum = limits.max_desired_count
    if maximum is None or desired >= maximum or desired == 0:
        return None
    percent = limits.scale_step_percent
    if step and step.parameters and step.parameters.scale_step_percent:
        percent = min(percent, step.parameters.scale_step_percent)
    grown = math.ceil(desired * (100 + percent) / 100)
    return min(maximum, max(desired + 1, grown))
