"""The tasks that stay running while a single one is stopped."""

from bokgu.api.meta import Gate
from bokgu.api.vocabulary import Action
from bokgu.core.guards.facts import GuardFacts
from bokgu.core.guards.gate import build_gate
from bokgu.core.task_health import find_obstacle


def check_others_well(facts: GuardFacts) -> Gate:
    """StopTask asks nobody: what must stay running is looked after here."""
    live, stops = facts.live, facts.step.action is Action.STOP_UNHEALTHY_TASKS
    obstacle = find_obstacle(facts.plan, facts.step, live.tasks if live else None, facts.service) if stops else None
    return build_gate("OtherTasksWell", "TasksNotWell", obstacle is None, message=obstacle or "")
