"""Which tasks of a service are not well, and whether one of them may be stopped.

StopTask ignores minimumHealthyPercent and whatever else keeps a service up: what must go on running is looked after
here.
"""

from collections.abc import Collection, Iterable, Mapping

from bokgu.api.fields import bounded
from bokgu.api.observed import EcsService, Task
from bokgu.api.recovery_plan import RecoveryPlan, Step
from bokgu.api.vocabulary import Action, RootCause

FULL = 95.0
"""Percent of a task's ephemeral storage from where on it counts as full: what the preset ecs-disk calls high."""

MOST_STOPPED = 3
"""Tasks that one plan stops. More that are bad at a time have something in common that a stop does not mend."""

SHARE = 3
"""Fewer than one in so many tasks may be bad (what on-call engineers go by: if a third is bad, it is no single task's
fault, and each stop takes away a part of what still serves)."""


def find_trouble(task: Task) -> str | None:
    """Why the task is not well, or None where nothing says so."""
    if task.health_status == "UNHEALTHY":
        return "it fails its container health check"
    if "unhealthy" in task.target_states:
        return "it is unhealthy in its target group"
    if task.disk_percent is not None and task.disk_percent >= FULL:
        return f"its ephemeral storage is {task.disk_percent:.0f} % full"
    return None


def find_unready(task: Task, service: EcsService, *, checked: bool) -> str | None:
    """Why the task is not known to serve well, or None where it does. `checked`: its containers have a health check."""
    if task.stopped or task.last_status != "RUNNING":
        return f"it is {task.last_status}"
    if (trouble := find_trouble(task)) is not None:
        return trouble
    if checked and task.health_status != "HEALTHY":
        return f"its health is {task.health_status}"
    used = [state for state in task.target_states if state != "unused"]
    if service.target_groups and not used:
        return "it is in none of the service's target groups yet"
    return next((f"it is {state} in its target group" for state in used if state != "healthy"), None)


def find_bad(tasks: Iterable[Task]) -> list[Task]:
    """The running tasks that are not well, the oldest first."""
    bad = (t for t in tasks if not t.stopped and find_trouble(t))
    return sorted(bad, key=lambda t: (t.created_at is None, t.created_at, t.arn))


def too_many(bad: int, service: EcsService) -> str | None:
    """Why so many bad tasks are not stopped, or None where they may be."""
    if bad * SHARE >= service.desired_count:
        return (
            f"{bad} of {service.desired_count} tasks are not well: tasks are stopped only while fewer than a third are"
        )
    if bad > MOST_STOPPED:
        return f"{bad} tasks are not well: at most {MOST_STOPPED} are stopped"
    return None


def named_tasks(steps: Iterable[Step]) -> frozenset[str]:
    """ARNs of the tasks that steps stop."""
    stops = (s.parameters for s in steps if s.action is Action.STOP_UNHEALTHY_TASKS)
    return frozenset(p.task for p in stops if p and p.task)


def find_needless(step: Step, tasks: Mapping[str, Task] | None, service: EcsService, cause: RootCause) -> str | None:
    """Why what the step is for is so already, or None where it is not or that cannot be told: the task that it names
    need not be stopped any more, or ECS has returned to the service revision by itself."""
    wanted = step.parameters.service_revision_arn if step.parameters else None
    if step.action is Action.ROLLBACK and wanted is not None and wanted == service.service_revision_arn:
        return None if service.deploying else f"{wanted} is in use already"
    arn = step.parameters.task if step.parameters else None
    if step.action is not Action.STOP_UNHEALTHY_TASKS or arn is None or tasks is None:
        return None
    task = tasks.get(arn)
    if task is None or task.stopped:
        return f"task {arn.rpartition('/')[2]} has stopped already"
    known = cause is not RootCause.DISK_EXHAUSTED or task.disk_percent is not None
    if known and find_unready(task, service, checked=_checked(tasks.values())) is None:
        return f"task {task.id} is well again"
    return None


def find_obstacle(
    plan: RecoveryPlan, step: Step, tasks: Mapping[str, Task] | None, service: EcsService | None
) -> str | None:
    """Why the task that the step names must not be stopped now, or None.

    All others must be running and well, those aside that the same plan stops later; a task that is on its way down or
    was started in its place must not be one too many.
    """
    arn = step.parameters.task if step.parameters else None
    if tasks is None or service is None or arn is None:
        return "which tasks are well is not known"
    named = named_tasks(plan.spec.steps)
    task = tasks.get(arn)
    if task is None or find_trouble(task) is None:
        return f"nothing says that task {arn.rpartition('/')[2]} is not well"
    if task.started_by not in service.deployment_ids:
        return f"task {task.id} is none of the service's"
    wanted = [t for t in tasks.values() if t.desired_status == "RUNNING"]
    if (many := too_many(len(find_bad(wanted)), service)) is not None:
        return many
    checked = _checked(wanted)
    for other in wanted:
        if other.arn not in named and (why := find_unready(other, service, checked=checked)):
            return bounded(f"task {other.id} is not well either: {why}")
    running = sum(t.last_status == "RUNNING" for t in wanted)
    if running < service.desired_count or not service.steady:
        return f"{running} of {service.desired_count} tasks are running: one is stopped when all others run"
    return None


def _checked(tasks: Collection[Task]) -> bool:
    return any(t.health_status != "UNKNOWN" for t in tasks)
