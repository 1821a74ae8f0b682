"""stop_unhealthy_tasks: a step for each of the few tasks that are not well."""

from bokgu.api.recovery_plan import Step, StepParameters
from bokgu.api.runbook import RunbookStep
from bokgu.core.building.step import concrete_step
from bokgu.core.planning_facts import NoPlan, PlanningFacts
from bokgu.core.task_health import find_bad, find_trouble, too_many

TASKS_UNKNOWN = "TasksUnknown"
"""Reason for no plan while nobody has asked how the tasks are."""

_FOR_GOOD = "Nothing takes that back: a new task has taken its place."


def build_stops(step: RunbookStep, facts: PlanningFacts) -> tuple[Step, ...] | NoPlan:
    """The steps `NAME-1`, `NAME-2` …, or why no task is stopped.

    Only after the last one can the metric be well: before, another bad task is still there.
    """
    if facts.tasks is None and facts.tasks_problem:
        return NoPlan("TasksUnreadable", f"which tasks are not well is not known: {facts.tasks_problem}", wait=False)
    if facts.tasks is None:
        return NoPlan(TASKS_UNKNOWN, "ECS does not describe the tasks of the service", wait=True)
    bad = find_bad(facts.tasks)
    if not bad:
        return NoPlan("NoBadTask", "no running task can be told to be the one that is not well", wait=False)
    if (many := too_many(len(bad), facts.service)) is not None:
        return NoPlan("TooManyBadTasks", many, wait=False)
    steps = []
    for number, task in enumerate(bad, 1):
        remark = f"It is task {task.id}, because {find_trouble(task)}. {_FOR_GOOD}"
        one = step.model_copy(update={"name": f"{step.name[:60].rstrip('-')}-{number}"})
        made = concrete_step(one, facts, parameters=StepParameters(task=task.arn), remark=remark)
        steps.append(made if number == len(bad) else made.model_copy(update={"validation": None}))
    return tuple(steps)
