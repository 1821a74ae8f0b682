"""wait: time passes, or calm is waited for."""

from datetime import timedelta

from bokgu.api.fields import format_duration, parse_duration
from bokgu.api.recovery_plan import Step, StepParameters
from bokgu.api.runbook import RunbookStep
from bokgu.core.building.step import concrete_step
from bokgu.core.building.usual import USUAL
from bokgu.core.planning_facts import NoPlan, PlanningFacts

SHORTEST, LONGEST = timedelta(seconds=1), timedelta(hours=24)
"""What a step may wait (api/recovery_plan.py, WAIT_BOUNDS)."""


def build_wait(step: RunbookStep, facts: PlanningFacts) -> tuple[Step, ...] | NoPlan:
    """The step; calm is waited for at most twice as long as it must last, and some minutes more."""
    asked = step.parameters
    if asked is None or asked.duration is None:
        return NoPlan("RunbookIncomplete", f"step {step.name} of the runbook does not say how long to wait", wait=False)
    length = min(max(parse_duration(asked.duration), SHORTEST), LONGEST)
    runs = 2 if asked.calm else 1
    usual = runs * length + USUAL[step.action].timeout
    timeout = max(parse_duration(step.timeout), length) if step.timeout else usual
    text = f"Wait {format_duration(length)}. Changes nothing."
    if asked.calm:
        text = f"Wait until the trouble has stayed away for {format_duration(length)}. Changes nothing."
    concrete = step.model_copy(update={"description": step.description or text, "timeout": format_duration(timeout)})
    parameters = StepParameters(duration=format_duration(length), calm=asked.calm)
    return (concrete_step(concrete, facts, parameters=parameters),)
